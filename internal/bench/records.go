package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
	"github.com/efficientnas/nas/predictor"
)

// A LeftOut is how well records were predicted from others that are unlike them
// in some way.
type LeftOut struct {
	What   string // what leaves together
	Groups int    // of records that left together
	// Anew says that everything was learnt anew without each group; otherwise the
	// hyper-parameters are those of all records.
	Anew bool
	// Quality is of all records together, but those whose recipe no other has.
	Quality predictor.Quality
	MACs    float64 // Kendall's tau of their accuracy with their MACs
	// Missing says why there is no quality. It is empty otherwise.
	Missing string
}

// Records predicts records in four ways that become harder: each from all others;
// a network at all resolutions and by all recipes from other networks; the networks of
// one combination of block types from others; and those of one source. Then
// it returns how well those of each source were predicted, by name.
//
// Each record and each network leave in closed form where the model has one, see
// [predictor.LeaveOut], since learning anew so often takes long; the others anew.
// progress is called, if it is not nil, after each part.
func Records(ctx context.Context, records []predictor.Record, o predictor.Options, progress func(done, total int)) (all, sources []LeftOut, err error) {
	bySource := func(_ int, r *predictor.Record) string { return Project(r.Source) }
	ways := []struct {
		what string
		by   predictor.Grouping
		anew bool
	}{
		{"each record", predictor.EachRecord, false},
		{"a network, at all resolutions, by all recipes", eachShape, false},
		{"a combination of block types", predictor.BlockTypes, true},
		{"a source", bySource, true},
	}
	for i, way := range ways {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		l := LeftOut{What: way.what, Anew: way.anew}
		predictions, err := l.predict(records, way.by, o)
		if err != nil {
			return nil, nil, fmt.Errorf("bench: without %s: %w", way.what, err)
		}
		if predictions != nil {
			comparable, kept := predictor.Comparable(predictions, records)
			if err := l.assess(comparable, kept); err != nil {
				return nil, nil, err
			}
			if i == len(ways)-1 {
				if sources, err = eachSource(comparable, kept); err != nil {
					return nil, nil, err
				}
			}
		}
		all = append(all, l)
		if progress != nil {
			progress(i+1, len(ways))
		}
	}
	return all, sources, nil
}

// predict returns no predictions if there is nothing to learn from.
func (l *LeftOut) predict(records []predictor.Record, by predictor.Grouping, o predictor.Options) ([]predictor.Prediction, error) {
	size, all := make(map[string]int), 0 // of measured ones
	for i := range records {
		if !records[i].Derived {
			size[by(i, &records[i])]++
			all++
		}
	}
	l.Groups = len(size)
	if len(size) < 2 {
		l.Missing = "all are of one"
		return nil, nil
	}
	for _, n := range size {
		if all-n < predictor.MinRecords {
			l.Missing = "too few others"
			return nil, nil
		}
	}
	if l.Anew {
		return predictor.CrossValidate(records, by, o)
	}
	return predictor.LeaveOut(records, by, o)
}

func (l *LeftOut) assess(predictions []predictor.Prediction, records []predictor.Record) (err error) {
	if len(records) == 0 {
		l.Missing = "each recipe has one record"
		return nil
	}
	if l.Quality, err = predictor.Assess(predictions, records); err != nil {
		return err
	}
	var macs, accuracy []float64
	var g arch.Graph
	for i := range records {
		if err := records[i].Network.Lower(&g); err != nil {
			return fmt.Errorf("bench: %s: %w", records[i].String(), err)
		}
		macs, accuracy = append(macs, float64(cost.Of(&g).MACs)), append(accuracy, records[i].Accuracy)
	}
	l.MACs = predictor.KendallTau(macs, accuracy)
	return nil
}

// eachSource assesses the predictions of each source's records on their own.
func eachSource(predictions []predictor.Prediction, records []predictor.Record) ([]LeftOut, error) {
	of := make(map[string][]int)
	var names []string
	for i := range records {
		name := Project(records[i].Source)
		if of[name] == nil {
			names = append(names, name)
		}
		of[name] = append(of[name], i)
	}
	slices.Sort(names)
	var out []LeftOut
	for _, name := range names {
		var p []predictor.Prediction
		var r []predictor.Record
		for _, i := range of[name] {
			p, r = append(p, predictions[i]), append(r, records[i])
		}
		l := LeftOut{What: name, Groups: 1, Anew: true}
		if err := l.assess(p, r); err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

// eachShape holds out together a network at all resolutions.
func eachShape(i int, r *predictor.Record) string {
	n := *r.Network
	n.Input.Resolution = 0
	return predictor.EachNetwork(i, &predictor.Record{Network: &n})
}

// Project returns whose figures a record's source has: the words before a bracket,
// a comma or a version.
func Project(source string) string {
	if i := strings.IndexAny(source, "(,;:"); i >= 0 {
		source = source[:i]
	}
	var words []string
	for _, w := range strings.Fields(source) {
		if startsWithDigit(strings.TrimPrefix(w, "v")) {
			break
		}
		words = append(words, w)
	}
	if len(words) == 0 {
		return "unknown"
	}
	return strings.Join(words, " ")
}

func startsWithDigit(s string) bool { return s != "" && s[0] >= '0' && s[0] <= '9' }
