// Package report draws what a person looks at after a search.
//
// [FrontPlot] is a figure of accuracy against a cost: the Pareto front with its
// uncertainty, the explored networks behind it, known networks named beside it.
// It takes plain numbers, so that the cost may be MACs, parameters, bytes or
// milliseconds, and the accuracy predicted or measured; it writes SVG and PNG.
//
// Three more figures show how good a predictor is: [PredictionPlot], predicted
// against true accuracy; [CalibrationPlot], how far its intervals can be
// trusted; [LearningCurvePlot], how many records it needs. [SearchCurvePlot] shows how soon
// searches find the front.
//
// The package imports nothing else of this module, and its output depends on
// its input alone: the same figure gives the same bytes.
package report
