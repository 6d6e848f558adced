// Package pareto compares vectors of objectives: dominance, non-dominated
// sorting, crowding, the archive of the best trade-offs, and hypervolume.
//
// An objective vector is a []float64 in the user's own units, such as
// {73.2 % accuracy, 300 million MACs}. Beside it stands a []Direction of the
// same length that says, objective by objective, whether less or more is
// better. Nothing has to be negated or scaled beforehand.
//
// A vector a dominates b if it is nowhere worse and somewhere better. The
// vectors of a set that no other vector of the set dominates are its Pareto
// front: there, one objective improves only at the cost of another.
//
//   - [Fronts] peels a set into fronts, the best first.
//   - [Crowding] says how alone each point stands within its front.
//   - [Archive] keeps the front of everything that it was ever shown.
//   - [Hypervolume] measures how good a front is, in one number.
//
// Objectives are finite numbers: NaN and the infinities are refused with an
// error wherever they could enter, because a single NaN makes every comparison
// false and so would stay on a front for ever.
package pareto
