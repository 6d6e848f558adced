package predictor

import "math"

// A Summary is what training found out, and its file keeps.
type Summary struct {
	Model Model `json:"model"` // what was trained; of Auto what it chose, and Auto for a weighted mean
	// Comparison is how good the models were that Auto chose from.
	Comparison []Comparison `json:"comparison,omitempty"`
	// Kendall is the rank correlation of the records with their predictions by
	// the others: left out one by one where that has a closed form, and otherwise
	// in folds. MACs is that of ranking by MACs alone. NaN is 0.
	Kendall float64 `json:"kendall"`
	MACs    float64 `json:"kendall_of_macs"`
	// Noise is the standard deviation of the log error from one measurement to
	// the next, as repeated records tell it; 0 if none were.
	Noise float64 `json:"noise,omitempty"`
	// Repeated lists the networks that had several records.
	Repeated []Repeated `json:"repeated,omitempty"`
}

// Repeated is a network with several records, which count as one of their mean.
type Repeated struct {
	Name    string  `json:"name"`
	Records int     `json:"records"`
	Low     float64 `json:"low"` // accuracies
	High    float64 `json:"high"`
	Mean    float64 `json:"mean"`
}

// Beats reports whether the predictor ranks networks better than their MACs
// alone do. One that does not is of no use to a search.
func (s *Summary) Beats() bool { return s.Kendall > s.MACs }

// Summary returns what training found out.
func (p *Predictor) Summary() Summary { return p.summary }

// assess fills in how well the predictor ranks its own records, by the targets
// that were predicted for them unseen, nil where the model has a closed form. Those whose
// recipe no other has stay out.
func (p *Predictor) assess(s *sample, unseen, macs []float64) error {
	if m, ok := p.model.(closedForm); ok && unseen == nil {
		unseen = make([]float64, s.len())
		var variance [1]float64
		for i := range unseen {
			if err := m.leaveOut([]int{i}, unseen[i:i+1], variance[:]); err != nil {
				return err
			}
		}
	}
	count := make([]int, len(p.recipes))
	for _, t := range s.task {
		count[t]++
	}
	var predicted, measured, cost []float64
	for i, t := range s.task {
		if count[t] > 1 && !s.derived[i] { // accuracies, but for their unit
			predicted, measured, cost = append(predicted, -unseen[i]), append(measured, -s.target[i]), append(cost, macs[i])
		}
	}
	p.summary.Kendall, p.summary.MACs = orZero(KendallTau(predicted, measured)), orZero(KendallTau(cost, measured))
	return nil
}

func orZero(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return rounded(v)
}
