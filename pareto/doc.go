// Package pareto compares vectors of objectives: dominance, non-dominated
// sorting, crowding, the archive of the best trade-offs, and measures of how good
// a front is.
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
// # Sorting and keeping
//
//   - [Fronts] peels a set into fronts, the best first; [Ranks] does so without
//     lists.
//   - [Crowding] says how alone each point stands within its front.
//   - [Archive] keeps the front of everything that it was ever shown; one of
//     [NewEpsilonArchive] keeps a part of it that is within an epsilon of the
//     whole.
//   - [Knee] chooses one point of a front.
//
// # Measuring
//
//   - [Hypervolume] measures how good a front is, in one number.
//   - [Volume] does so for a front that grows, and says what a candidate would
//     add.
//   - [IGDPlus] measures how far a front is from a reference front.
//   - [Coverage] compares two fronts, or says which share of the true front was
//     found.
//
// # Conditions
//
// Objectives are finite numbers: NaN and the infinities are refused with an
// error wherever they could enter, because a single NaN makes every comparison
// false and so would stay on a front for ever. Zeros of either sign are equal.
// A set has fewer than 2^32 points.
//
// Results do not depend on the machine, on time or on chance. Of d objectives
// and n points, sets take O(n log n) or O(n log² n) up to d = 3, and each function
// says what more objectives cost.
package pareto
