package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"

	"github.com/efficientnas/nas/predictor"
	"github.com/efficientnas/nas/report"
)

// A figure is one of those that say how good predictions are.
type figure struct {
	name, key string
	format    func(float64) string
	of        func(*predictor.Quality) float64
}

var figures = []figure{
	{"tau", "kendall", thousandths, func(q *predictor.Quality) float64 { return q.Kendall }},
	{"Spearman", "spearman", thousandths, func(q *predictor.Quality) float64 { return q.Spearman }},
	{"RMSE", "rmse", points, func(q *predictor.Quality) float64 { return q.RMSE }},
	{"MAE", "mae", points, func(q *predictor.Quality) float64 { return q.MAE }},
	{"log-likelihood", "log_likelihood", hundredths, func(q *predictor.Quality) float64 { return q.LogLikelihood }},
	{"in 50 %", "coverage50", percent, func(q *predictor.Quality) float64 { return q.Coverage50 }},
	{"in 90 %", "coverage90", percent, func(q *predictor.Quality) float64 { return q.Coverage90 }},
}

func formatted(format string, v float64) string {
	if math.IsNaN(v) {
		return "-"
	}
	return fmt.Sprintf(format, v)
}

func thousandths(v float64) string { return formatted("%.3f", v) }
func hundredths(v float64) string  { return formatted("%.2f", v) }
func percent(v float64) string     { return formatted("%.0f", 100*v) }

// compared returns the rows of the quality table.
func compared(v *predictor.Validation) []struct {
	name, key string
	a         *predictor.Assessment
} {
	return []struct {
		name, key string
		a         *predictor.Assessment
	}{
		{"predictor", "predictor", &v.Predictor},
		{"MACs alone", "macs_alone", &v.Baselines.MACs},
		{"params alone", "params_alone", &v.Baselines.Params},
		{"mean", "mean", &v.Baselines.Mean},
	}
}

// writeQuality writes a predictor's quality beside what it has to beat, each
// figure above its interval.
func writeQuality(w io.Writer, v *predictor.Validation) error {
	header, align := []string{""}, "l"
	for _, f := range figures {
		header, align = append(header, f.name), align+"r"
	}
	t := report.NewTable(align, header...)
	for _, row := range compared(v) {
		values, intervals := []string{row.name}, []string{""}
		for _, f := range figures {
			values = append(values, f.format(f.of(&row.a.Quality)))
			low, high := f.of(&row.a.Low), f.of(&row.a.High)
			interval := ""
			if !math.IsNaN(low + high) {
				interval = f.format(low) + " to " + f.format(high)
			}
			intervals = append(intervals, interval)
		}
		t.Row(values...)
		t.Row(intervals...)
	}
	if c := v.Ceiling; c != nil {
		t.Row("noise ceiling", thousandths(c.Single.Kendall), thousandths(c.Single.Spearman), points(c.Single.RMSE), points(c.Single.MAE))
	}
	if err := t.Write(w); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "tau is %.3f higher than that of MACs alone (%.3f to %.3f)\n", v.Gain.Kendall, v.Gain.Low, v.Gain.High)
	return err
}

// A number is a JSON number, or null where it is not one.
type number float64

func (n number) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(n)) || math.IsInf(float64(n), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

type figureJSON struct {
	Value number `json:"value"`
	Low   number `json:"low"`
	High  number `json:"high"`
}

type ceilingJSON struct {
	Kendall  number `json:"kendall"`
	Spearman number `json:"spearman"`
	RMSE     number `json:"rmse"`
	MAE      number `json:"mae"`
	SD       number `json:"sd"`
}

// curveJSON is a point of a curve.
type curveJSON struct {
	Records int    `json:"records"`
	Kendall number `json:"kendall"`
	Low     number `json:"low"`
	High    number `json:"high"`
}

type calibrationJSON struct {
	Nominal number `json:"nominal"`
	Share   number `json:"share"`
	Low     number `json:"low"`
	High    number `json:"high"`
}

// writeJSON writes one object.
func (q *quality) writeJSON(w io.Writer) error {
	p := q.predictor
	s := p.Summary()
	out := map[string]any{
		"model": s.Model, "inputs": p.Inputs(), "recipe": p.Usual().Recipe, "records": p.Records(),
	}
	if len(s.Comparison) > 0 {
		out["comparison"] = s.Comparison
	}
	if len(s.Repeated) > 0 {
		out["repeated"] = s.Repeated
	}
	if words := q.warning(); words != "" {
		out["warning"] = words
	}
	if q.validation != nil {
		addValidation(out, q.validation)
	}
	if q.curve != nil {
		var curve []curveJSON
		for _, c := range q.curve {
			curve = append(curve, curveJSON{c.Records, number(c.Kendall), number(c.Low), number(c.High)})
		}
		out["learning_curve"] = curve
	}
	return json.NewEncoder(w).Encode(out)
}

// addValidation adds the keys of a validation to an object.
func addValidation(out map[string]any, v *predictor.Validation) {
	out["apart"] = v.Apart
	if v.Folds > 0 {
		out["repeats"], out["folds"] = v.Repeats, v.Folds
	}
	if len(v.Records) == 0 {
		return
	}
	for _, row := range compared(v) {
		of := map[string]any{"n": row.a.N}
		for _, f := range figures {
			of[f.key] = figureJSON{number(f.of(&row.a.Quality)), number(f.of(&row.a.Low)), number(f.of(&row.a.High))}
		}
		out[row.key] = of
	}
	out["gain"] = figureJSON{number(v.Gain.Kendall), number(v.Gain.Low), number(v.Gain.High)}
	if c := v.Ceiling; c != nil {
		out["noise_ceiling"] = ceilingJSON{number(c.Single.Kendall), number(c.Single.Spearman), number(c.Single.RMSE), number(c.Single.MAE), number(c.SD)}
	}
	var calibration []calibrationJSON
	for _, c := range v.Calibration {
		calibration = append(calibration, calibrationJSON{number(c.Nominal), number(c.Share), number(c.Low), number(c.High)})
	}
	out["calibration"] = calibration
}
