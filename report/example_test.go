package report_test

import (
	"log"
	"os"

	"github.com/efficientnas/nas/report"
)

func ExampleFrontPlot() {
	plot := &report.FrontPlot{
		Title:  "Mobile networks",
		XLabel: "MACs",
		YLabel: "ImageNet top-1 accuracy (%)",
		LogX:   true,
		Front: []report.Point{
			{X: 60e6, Y: 66.2, SD: 0.9},
			{X: 150e6, Y: 71.9, SD: 0.6},
			{X: 310e6, Y: 74.6, SD: 0.7},
		},
		Candidates: []report.Candidate{
			{X: 120e6, Y: 63.0, Group: "fire"},
			{X: 200e6, Y: 70.4, Group: "inverted"},
		},
		References: []report.Reference{{X: 301e6, Y: 71.9, Name: "mobilenet_v2"}},
	}
	file, err := os.Create("pareto.svg")
	if err != nil {
		log.Fatal(err)
	}
	if err := plot.WriteSVG(file); err != nil {
		log.Fatal(err)
	}
	if err := file.Close(); err != nil {
		log.Fatal(err)
	}
}
