package predictor

import "math"

// A Prediction is what a [Predictor] expects of a network once it is trained
// and measured: top-1 accuracy as a fraction of 1.
//
// Predictors work with the natural logarithm of the error, log(1 - accuracy),
// about which they are uncertain with a normal distribution. So the error E
// itself has a log-normal one, and Accuracy and SD are mean and standard
// deviation of max(0, 1 - E). Where an error above 1 is out of the question, as
// it is for all networks like those of the records, that is
//
//	Accuracy = 1 - exp(LogError + LogErrorSD²/2)
//	SD       = (1 - Accuracy) sqrt(exp(LogErrorSD²) - 1)
//
// The uncertainty includes the scatter of one training run.
type Prediction struct {
	Accuracy   float64 // mean, from 0 to 1
	SD         float64 // standard deviation of the accuracy
	LogError   float64 // mean, and median, of log(1 - accuracy)
	LogErrorSD float64 // its standard deviation
}

func newPrediction(mean, variance float64) Prediction {
	sd := math.Sqrt(variance)
	p := Prediction{LogError: mean, LogErrorSD: sd}
	if mean < -8*sd && sd < 1 { // an error above 1 lies 8 standard deviations away
		e := math.Exp(mean + variance/2)
		p.Accuracy, p.SD = 1-e, e*math.Sqrt(math.Expm1(variance))
		return p
	}
	// The moments of max(0, 1 - E), each a sum over E^k below 1, whose mean is
	// exp(k mean + k² variance/2) Φ(-mean/sd - k sd): of two factors of which one
	// overflows when the other vanishes, so that their asymptote takes over.
	below := func(k float64) float64 {
		u := (mean/sd + k*sd) / math.Sqrt2
		if u > 20 {
			return math.Exp(-mean*mean/(2*variance)) / (2 * math.Sqrt(math.Pi) * u) * (1 - 1/(2*u*u))
		}
		return math.Exp(k*mean+k*k*variance/2) * math.Erfc(u) / 2
	}
	one, first, second := below(0), below(1), below(2)
	p.Accuracy = max(0, one-first)
	p.SD = math.Sqrt(max(0, one-2*first+second-p.Accuracy*p.Accuracy))
	return p
}

// Interval returns the central interval that holds the accuracy with the given
// probability, such as 0.9. It lies within 0 and 1, and not symmetrically
// about the mean: see [Prediction].
func (p Prediction) Interval(probability float64) (low, high float64) {
	z := math.Sqrt2 * math.Erfinv(min(max(probability, 0), 1))
	return max(0, 1-math.Exp(p.LogError+z*p.LogErrorSD)), max(0, 1-math.Exp(p.LogError-z*p.LogErrorSD))
}

// leastError is the error that a perfect accuracy counts as, whose logarithm
// is finite: one image in 10,000.
const leastError = 1e-4

// logError is the target that models learn.
func logError(accuracy float64) float64 { return math.Log(max(1-accuracy, leastError)) }
