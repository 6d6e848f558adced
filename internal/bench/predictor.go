package bench

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/internal/tabular"
	"github.com/efficientnas/nas/predictor"
)

// PredictorSettings say how predictors are measured on a table.
type PredictorSettings struct {
	Space *arch.Template // of the table's networks
	// Train lists the numbers of networks to train on, drawn at random; 0 means
	// all of the table's train split.
	Train  []int
	Draws  int // how often each number is drawn
	Seed   uint64
	Model  predictor.Model
	Inputs []predictor.Input
	// Deviations are taken off the predicted accuracy before the front is chosen.
	Deviations float64
	Progress   func(done, total int) // may be nil
}

// A PredictorResult is how predictors did that were trained on so many networks:
// means over the draws.
type PredictorResult struct {
	Trained, HeldOut int // networks
	Draws            int
	Quality          predictor.Quality // on the networks that were not shown
	MACs             float64           // Kendall's tau of their accuracy with their MACs
	Chosen           Choice
}

// A Choice is what a search would choose among networks that a predictor has not
// seen: the front of the predicted accuracy, less some deviations, and MACs. It picks
// those that are predicted too well (the optimiser's curse); Optimism says by how
// much.
type Choice struct {
	Networks float64 // in the front
	Optimism float64 // mean of predicted less measured accuracy, in fractions of 1
	Coverage float64 // share of the chosen whose accuracy is in the 90 % interval
}

// Predictors trains predictors on networks of the table and measures them on the
// others: on those of the validation split if the table has one. The front is always
// chosen among all that were not shown.
func Predictors(ctx context.Context, t *tabular.Table, s PredictorSettings) ([]PredictorResult, error) {
	var train, validation []int
	for i := range t.Rows {
		if t.Rows[i].Split == "val" {
			validation = append(validation, i)
		} else {
			train = append(train, i)
		}
	}
	var results []PredictorResult
	total := len(s.Train) * s.Draws
	for _, n := range s.Train {
		draws := s.Draws
		if n == 0 || n >= len(train) {
			n, draws = len(train), 1
		}
		r := PredictorResult{Trained: n, Draws: draws}
		for draw := range draws {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			shuffled := slices.Clone(train)
			if n < len(train) {
				rng := rand.New(rand.NewPCG(s.Seed, uint64(draw)))
				rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			}
			shown, rest := shuffled[:n], shuffled[n:]
			held := validation
			if len(held) == 0 {
				held = rest
			}
			if len(held) == 0 {
				return nil, fmt.Errorf("bench: all %d networks of the table are to train on, which leaves none to predict", n)
			}
			if err := r.measure(t, s, shown, held, append(slices.Clone(rest), validation...)); err != nil {
				return nil, err
			}
			if s.Progress != nil {
				s.Progress(len(results)*s.Draws+draw+1, total)
			}
		}
		r.mean(float64(draws))
		results = append(results, r)
	}
	return results, nil
}

// measure adds one predictor's quality to the sums.
func (r *PredictorResult) measure(t *tabular.Table, s PredictorSettings, shown, held, unseen []int) error {
	p, err := predictor.Train(recordsOf(t, shown), predictor.Options{
		Model: s.Model, Inputs: s.Inputs, Space: s.Space, Seed: s.Seed,
	})
	if err != nil {
		return err
	}
	records := recordsOf(t, held)
	predictions, err := p.PredictRecords(records)
	if err != nil {
		return err
	}
	q, err := predictor.Assess(predictions, records)
	if err != nil {
		return err
	}
	r.HeldOut = len(held)
	a := &r.Quality
	a.N = q.N
	a.RMSE += q.RMSE
	a.MAE += q.MAE
	a.Kendall += q.Kendall
	a.Spearman += q.Spearman
	a.Coverage50 += q.Coverage50
	a.Coverage90 += q.Coverage90
	var macs, accuracy []float64
	for _, i := range held {
		macs, accuracy = append(macs, float64(t.Rows[i].MACs)), append(accuracy, t.Rows[i].Accuracy)
	}
	r.MACs += predictor.KendallTau(macs, accuracy)
	return r.choose(p, t, s, unseen)
}

// choose adds what a search would choose among the unseen networks.
func (r *PredictorResult) choose(p *predictor.Predictor, t *tabular.Table, s PredictorSettings, unseen []int) error {
	predictions, err := p.PredictRecords(recordsOf(t, unseen))
	if err != nil {
		return err
	}
	order := make([]int, len(unseen))
	for i := range order {
		order[i] = i
	}
	sober := func(i int) float64 { return predictions[i].Accuracy - s.Deviations*predictions[i].SD }
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(t.Rows[unseen[a]].MACs, t.Rows[unseen[b]].MACs), cmp.Compare(sober(b), sober(a)), cmp.Compare(a, b))
	})
	best, chosen := -1., 0.
	var optimism, covered float64
	for _, i := range order {
		if sober(i) <= best {
			continue
		}
		best = sober(i)
		chosen++
		measured := t.Rows[unseen[i]].Accuracy
		optimism += predictions[i].Accuracy - measured
		if low, high := predictions[i].Interval(0.9); low <= measured && measured <= high {
			covered++
		}
	}
	r.Chosen.Networks += chosen
	r.Chosen.Optimism += optimism / chosen
	r.Chosen.Coverage += covered / chosen
	return nil
}

// mean turns sums into means.
func (r *PredictorResult) mean(n float64) {
	for _, v := range []*float64{
		&r.Quality.RMSE, &r.Quality.MAE, &r.Quality.Kendall, &r.Quality.Spearman, &r.Quality.Coverage50, &r.Quality.Coverage90,
		&r.MACs, &r.Chosen.Networks, &r.Chosen.Optimism, &r.Chosen.Coverage,
	} {
		*v /= n
	}
}

// recordsOf returns rows of the table as records.
func recordsOf(t *tabular.Table, rows []int) []predictor.Record {
	records := make([]predictor.Record, len(rows))
	for i, r := range rows {
		row := &t.Rows[r]
		n := *row.Network
		n.Name = row.Key
		records[i] = predictor.Record{Network: &n, Accuracy: row.Accuracy, Dataset: t.Dataset, Recipe: t.Recipe, Source: t.Name}
	}
	return records
}
