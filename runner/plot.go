package runner

import (
	"fmt"
	"math"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/internal/strict"
	"github.com/efficientnas/nas/pareto"
	"github.com/efficientnas/nas/predictor"
	"github.com/efficientnas/nas/report"
)

// landmarks are the reference networks that the picture shows: of each family
// the one that people know.
var landmarks = []string{
	"alexnet", "vgg16", "squeezenet", "resnet18", "resnet50", "resnext50_32x4d", "mobilenet", "mobilenet_v2",
	"mobilenet_v3_large", "shufflenet", "shufflenet_v2", "mnasnet", "regnet_y_400mf", "efficientnet_b0",
}

// Plot returns the picture of the front: accuracy against a cost, the explored
// networks behind it, and, if that is on ImageNet, well-known networks with their
// published accuracies. An empty x means the first minimised objective; an empty
// title the study's name.
func (r *Results) Plot(x, title string) (*report.FrontPlot, error) {
	if x == "" {
		for _, name := range r.Run.Objectives {
			if m := metricByName(name); m.better == pareto.Minimize {
				x = name
				break
			}
		}
	}
	m := metricByName(x)
	if m == nil || m.of == nil {
		return nil, fmt.Errorf("%s", strict.Unknown("cost", x, metricNames()[1:]))
	}
	front, err := r.projected(m)
	if err != nil {
		return nil, err
	}
	if title == "" {
		title = fmt.Sprintf("%s: %d networks on the front", r.Run.Name, len(r.Front))
		if len(front) < len(r.Front) {
			title += fmt.Sprintf(", %d by these two", len(front))
		}
	}
	p := &report.FrontPlot{Title: title, XLabel: m.title, YLabel: "Top-1 accuracy (%)", LogX: true, Explored: r.Run.Evaluations}
	for _, b := range arch.Blocks() {
		p.Groups = append(p.Groups, b.Name())
	}
	for _, i := range front {
		f := &r.Front[i]
		point := report.Point{X: float64(m.of(&f.Costs)), Y: 100 * f.Accuracy}
		if !math.IsNaN(f.AccuracySD) {
			point.SD = 100 * f.AccuracySD
		}
		p.Front = append(p.Front, point)
	}
	for i := range r.Explored {
		e := &r.Explored[i]
		p.Candidates = append(p.Candidates, report.Candidate{X: float64(m.of(&e.Costs)), Y: 100 * e.Accuracy, Group: e.Block})
	}
	if !r.Run.onImagenet() {
		return p, nil
	}
	costs := meter{precision: r.Run.precision()}
	for _, name := range landmarks {
		n, err := arch.Reference(name)
		if err != nil {
			return nil, err
		}
		c, err := costs.costs(n)
		if err != nil {
			return nil, err
		}
		if n.About.Top1 > 0 {
			p.References = append(p.References, report.Reference{X: float64(m.of(&c)), Y: 100 * n.About.Top1, Name: name})
		}
	}
	return p, nil
}

// onImagenet reports whether accuracies compare with the published ones of the
// reference networks.
func (r *RunInfo) onImagenet() bool {
	return r.Dataset == "imagenet" || r.Dataset == "" && r.Predictor == predictor.ImagenetName
}

// projected returns the members of the front that none other dominates by
// accuracy and the one cost alone: where there are further objectives, or the
// cost is none, the rest would make the front's line run to and fro.
func (r *Results) projected(m *metric) ([]int, error) {
	points := make([][]float64, len(r.Front))
	for i := range r.Front {
		points[i] = []float64{r.Front[i].Bound, float64(m.of(&r.Front[i].Costs))}
	}
	fronts, err := pareto.Fronts(points, []pareto.Direction{pareto.Maximize, pareto.Minimize})
	if err != nil || len(fronts) == 0 {
		return nil, err
	}
	return fronts[0], nil
}
