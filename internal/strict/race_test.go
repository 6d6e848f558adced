//go:build race

package strict

func init() { raceEnabled = true }
