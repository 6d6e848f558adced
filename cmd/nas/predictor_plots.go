package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"github.com/efficientnas/nas/predictor"
	"github.com/efficientnas/nas/report"
)

// A picture is a figure of package report.
type picture interface {
	WriteSVG(io.Writer) error
	WritePNG(io.Writer) error
}

// draw writes the pictures of what is known to the folder, if it is not empty.
func (q *quality) draw(folder string) error {
	v := q.validation
	if folder == "" || v == nil || len(v.Records) < 2 {
		return nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return outputError{err}
	}
	if err := savePicture(folder, "predicted", q.predicted()); err != nil {
		return err
	}
	if err := savePicture(folder, "calibration", q.calibration()); err != nil {
		return err
	}
	if len(q.curve) < 2 {
		return nil
	}
	return savePicture(folder, "learning", q.learning())
}

// savePicture writes a picture as SVG and PNG.
func savePicture(folder, name string, p picture) error {
	for suffix, write := range map[string]func(io.Writer) error{".svg": p.WriteSVG, ".png": p.WritePNG} {
		var file bytes.Buffer // written whole or not at all
		if err := write(&file); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, name+suffix), file.Bytes(), 0o644); err != nil {
			return outputError{err}
		}
	}
	return nil
}

// notes are the figures that stand beside pictures.
func (q *quality) notes() []string {
	a := &q.validation.Predictor
	return []string{
		plural(a.N, "record") + ", predicted unseen",
		fmt.Sprintf("RMSE %s, MAE %s points", points(a.RMSE), points(a.MAE)),
		"Kendall's tau " + thousandths(a.Kendall),
		fmt.Sprintf("90 %% intervals hold %s %%", percent(a.Coverage90)),
	}
}

func (q *quality) predicted() picture {
	v := q.validation
	recipes := make(map[string]bool)
	for i := range v.Records {
		recipes[v.Records[i].Recipe] = true
	}
	plot := &report.PredictionPlot{Title: q.title, Notes: q.notes()}
	if len(recipes) > 1 {
		plot.GroupedBy = "Recipe"
	}
	for i, y := range v.Predictions[0] {
		low, high := y.Interval(0.9)
		p := report.PredictionPoint{True: v.Records[i].Accuracy, Predicted: y.Accuracy, Low: low, High: high}
		if len(recipes) > 1 {
			p.Group = v.Records[i].Recipe
		}
		plot.Points = append(plot.Points, p)
	}
	return plot
}

func (q *quality) calibration() picture {
	plot := &report.CalibrationPlot{
		Title: q.title, Notes: []string{plural(len(q.validation.Records), "record") + ", predicted unseen"},
		Band: "by chance, 9 of 10 times",
	}
	for _, c := range q.validation.Calibration {
		plot.Points = append(plot.Points, report.CalibrationPoint{Nominal: c.Nominal, Share: c.Share, Low: c.Low, High: c.High})
	}
	return plot
}

func (q *quality) learning() picture {
	v := q.validation
	plot := &report.LearningCurvePlot{
		Title: q.title, Name: fmt.Sprintf("mean and range of %s of the records", plural(len(q.curve[0].Draws), "draw")),
	}
	for _, c := range q.curve {
		plot.Points = append(plot.Points, report.LearningPoint{Records: c.Records, Tau: c.Kendall, Low: c.Low, High: c.High})
	}
	for _, b := range []struct {
		name string
		a    *predictor.Assessment
	}{{"MACs alone", &v.Baselines.MACs}, {"params alone", &v.Baselines.Params}} {
		if !math.IsNaN(b.a.Kendall) {
			plot.Baselines = append(plot.Baselines, report.Baseline{Name: b.name, Value: b.a.Kendall})
		}
	}
	if v.Ceiling != nil && !math.IsNaN(v.Ceiling.Mean.Kendall) {
		plot.Ceiling = v.Ceiling.Mean.Kendall
	}
	return plot
}
