// Package bench measures this project against tables of networks whose accuracy
// is known: how good predictors are that saw some of the networks, and how
// much they are fooled by choosing among the others. The command `nas bench`
// prints what it finds, and docs/predictors.md states it.
package bench
