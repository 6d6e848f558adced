package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image/png"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/plot/vg"
	"pgregory.net/rapid"
)

// writer is what all figures have.
type writer interface {
	WriteSVG(io.Writer) error
	WritePNG(io.Writer) error
}

// predictions returns a figure like that of a predictor tested on n networks of
// some groups, from 50 to 82 %.
func predictions(n, groups int) *PredictionPlot {
	rng := rand.New(rand.NewPCG(1, 2))
	p := &PredictionPlot{
		Title:     "Leave-one-out predictions",
		Notes:     []string{"RMSE 0.98 points", "Kendall's tau 0.946"},
		GroupedBy: "Recipe",
	}
	for i := range n {
		truth := 0.50 + 0.32*math.Sqrt(rng.Float64())
		sd := 0.02 * (0.5 + rng.Float64())
		predicted := truth + sd*rng.NormFloat64()
		p.Points = append(p.Points, PredictionPoint{
			True: truth, Predicted: predicted, Low: predicted - 1.8*sd, High: predicted + 1.5*sd,
			Group: fmt.Sprintf("recipe%02d", i%groups),
		})
	}
	return p
}

// calibrated returns a figure of a predictor tested on n networks, of which the
// given share lies within the interval of a nominal probability.
func calibrated(n float64, share func(nominal float64) float64) *CalibrationPlot {
	p := &CalibrationPlot{Title: "Calibration", Notes: []string{"leave one out"}, Band: "90 % of samples"}
	for i := range 21 {
		nominal := float64(i) / 20
		chance := 1.645 * math.Sqrt(nominal*(1-nominal)/n)
		p.Points = append(p.Points, CalibrationPoint{
			Nominal: nominal, Share: share(nominal), Low: max(0, nominal-chance), High: min(1, nominal+chance),
		})
	}
	return p
}

// learning returns a figure of a predictor that learns from these records.
func learning(records ...int) *LearningCurvePlot {
	p := &LearningCurvePlot{
		Title:     "What records are worth",
		Name:      "mean and 90 % range of 20 draws",
		Note:      "Tested on the records left out.",
		Baselines: []Baseline{{"MACs alone", 0.76}, {"parameters alone", 0.655}, {"nearest record", 0.75}},
		Ceiling:   0.975,
	}
	for _, n := range records {
		tau := 0.95 - 0.5/math.Sqrt(float64(n)/6)
		p.Points = append(p.Points, LearningPoint{n, tau, tau - 0.4/math.Sqrt(float64(n)), tau + 0.1/math.Sqrt(float64(n))})
	}
	return p
}

func qualityFigures() map[string]writer {
	return map[string]writer{
		"prediction":  predictions(40, 4),
		"calibration": calibrated(194, func(q float64) float64 { return math.Pow(q, 1.25) }),
		"learning":    learning(12, 25, 50, 100, 150, 193),
	}
}

func TestQualityGolden(t *testing.T) {
	for name, p := range qualityFigures() {
		t.Run(name, func(t *testing.T) {
			got := svgOf(t, p)
			path := filepath.Join("testdata", name+".svg")
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("the figure differs from %s; if that is meant, look at it and run go test ./report -update", path)
			}
		})
	}
}

func TestQualityPNG(t *testing.T) {
	t.Parallel()
	for name, p := range qualityFigures() {
		var first, second bytes.Buffer
		if err := errors.Join(p.WritePNG(&first), p.WritePNG(&second)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("%s: two runs differ", name)
		}
		config, err := png.DecodeConfig(&first)
		if err != nil {
			t.Fatal(err)
		}
		if config.Width != 1600 || config.Height != 1100 {
			t.Errorf("%s: got %d by %d pixels, want 1600 by 1100", name, config.Width, config.Height)
		}
	}
}

func TestQualityWriteFails(t *testing.T) {
	for name, p := range qualityFigures() {
		if err := p.WriteSVG(brokenWriter{}); !errors.Is(err, errBroken) {
			t.Errorf("%s as SVG: got %v", name, err)
		}
		if err := p.WritePNG(brokenWriter{}); !errors.Is(err, errBroken) {
			t.Errorf("%s as PNG: got %v", name, err)
		}
	}
}

// TestQualityOrder checks that the order of points changes nothing.
func TestQualityOrder(t *testing.T) {
	t.Parallel()
	before, after := qualityFigures(), qualityFigures()
	before["many predictions"] = predictions(8000, 5)
	many := predictions(8000, 5)
	slices.Reverse(many.Points)
	after["many predictions"] = many
	slices.Reverse(after["prediction"].(*PredictionPlot).Points)
	slices.Reverse(after["calibration"].(*CalibrationPlot).Points)
	slices.Reverse(after["learning"].(*LearningCurvePlot).Points)
	for name := range before {
		if !bytes.Equal(svgOf(t, before[name]), svgOf(t, after[name])) {
			t.Errorf("%s: the order of points changes the figure", name)
		}
	}
}

func TestQualityErrors(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	predictions := func(q ...PredictionPoint) writer { return &PredictionPlot{Points: q} }
	calibration := func(q ...CalibrationPoint) writer { return &CalibrationPlot{Points: q} }
	curve := func(q ...LearningPoint) writer { return &LearningCurvePlot{Points: q} }
	levels := func(ceiling float64, b ...Baseline) writer {
		return &LearningCurvePlot{Points: []LearningPoint{{Records: 1}, {Records: 2}}, Baselines: b, Ceiling: ceiling}
	}
	good := PredictionPoint{True: 0.7, Predicted: 0.7}
	tests := []struct {
		plot writer
		want string
	}{
		{predictions(), "there are no points, there is nothing to draw"},
		{predictions(good), "there is a single point, at least 2 are needed"},
		{predictions(good, PredictionPoint{True: nan}), "points[1]: True is NaN, it must be a finite number"},
		{predictions(good, PredictionPoint{True: 71.2}), "points[1]: True is 71.2, it must be a fraction from 0 to 1"},
		{predictions(PredictionPoint{Predicted: nan}, good), "points[0]: Predicted is NaN, it must be a finite number"},
		{predictions(PredictionPoint{Predicted: -0.1}, good), "points[0]: Predicted is -0.1, it must be a fraction from 0 to 1"},
		{predictions(good, PredictionPoint{Low: -inf}), "points[1]: Low is -Inf, it must be a finite number"},
		{predictions(good, PredictionPoint{High: nan}), "points[1]: High is NaN, it must be a finite number"},
		{predictions(good, PredictionPoint{Low: 0.8, High: 0.6}), "points[1]: Low is 0.8, it must not exceed High, which is 0.6"},

		{calibration(), "there are no points, there is nothing to draw"},
		{calibration(CalibrationPoint{}), "there is a single point, at least 2 are needed"},
		{calibration(CalibrationPoint{Nominal: nan}, CalibrationPoint{}), "points[0]: Nominal is NaN, it must be a finite number"},
		{calibration(CalibrationPoint{Nominal: 90}, CalibrationPoint{}), "points[0]: Nominal is 90, it must be a fraction from 0 to 1"},
		{calibration(CalibrationPoint{Share: nan}, CalibrationPoint{}), "points[0]: Share is NaN, it must be a finite number"},
		{calibration(CalibrationPoint{Low: -1}, CalibrationPoint{}), "points[0]: Low is -1, it must be a fraction from 0 to 1"},
		{calibration(CalibrationPoint{High: nan}, CalibrationPoint{}), "points[0]: High is NaN, it must be a finite number"},
		{calibration(CalibrationPoint{Low: 0.3, High: 0.2}, CalibrationPoint{}), "points[0]: Low is 0.3, it must not exceed High, which is 0.2"},
		{
			calibration(CalibrationPoint{Nominal: 0.5}, CalibrationPoint{}, CalibrationPoint{Nominal: 0.5}),
			"points[2]: Nominal is 0.5, as in points[0]",
		},

		{curve(), "there are no points, there is nothing to draw"},
		{curve(LearningPoint{Records: 5}), "there is a single point, at least 2 are needed"},
		{curve(LearningPoint{Records: 5}, LearningPoint{}), "points[1]: Records is 0, a logarithmic axis needs it positive"},
		{curve(LearningPoint{Records: 5}, LearningPoint{Records: 5}), "points[1]: Records is 5, as in points[0]"},
		{curve(LearningPoint{Records: 5, Tau: nan}, LearningPoint{}), "points[0]: Tau is NaN, it must be a finite number"},
		{curve(LearningPoint{Records: 5, Tau: 76}, LearningPoint{}), "points[0]: Tau is 76, it must be from -1 to 1"},
		{curve(LearningPoint{Records: 5, Low: nan}, LearningPoint{}), "points[0]: Low is NaN, it must be a finite number"},
		{
			curve(LearningPoint{Records: 5, Low: 0.5, High: 0.4}, LearningPoint{}),
			"points[0]: Low is 0.5, it must not exceed High, which is 0.4",
		},
		{levels(0, Baseline{"MACs alone", nan}), `baselines[0] ("MACs alone"): Value is NaN, it must be a finite number`},
		{levels(0, Baseline{"a", 0}, Baseline{"", 0}), "baselines[1]: Name is empty"},
		{levels(0, make([]Baseline, 10)...), "there are 10 baselines, no more than 9 can be told apart"},
		{levels(1.5), "the figure: Ceiling is 1.5, it must be from -1 to 1"},
		{levels(nan), "the figure: Ceiling is NaN, it must be a finite number"},
	}
	for _, test := range tests {
		for format, write := range map[string]func(io.Writer) error{
			"SVG": test.plot.WriteSVG, "PNG": test.plot.WritePNG,
		} {
			var buf bytes.Buffer
			if err := write(&buf); err == nil || err.Error() != "report: "+test.want {
				t.Errorf("%s: got error %v, want %s", format, err, test.want)
			}
			if buf.Len() > 0 {
				t.Errorf("%s: wrote %d bytes despite %s", format, buf.Len(), test.want)
			}
		}
	}
}

// checkSVG checks that a figure is well-formed and drawn at finite places.
func checkSVG(t tester, p writer) {
	t.Helper()
	decoder := xml.NewDecoder(bytes.NewReader(svgOf(t, p)))
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		if element, ok := token.(xml.StartElement); ok {
			for _, a := range element.Attr {
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Fatal(fmt.Sprintf("SVG with %s", a.Value))
				}
			}
		}
	}
}

// legendBox returns the room that an entry of the legend takes.
func legendBox(e legendEntry) vg.Rectangle {
	w := e.kind.symbolWidth() + width(regular(legendSize), e.text)
	return vg.Rectangle{
		Min: vg.Point{X: e.pos.X, Y: e.pos.Y - legendSize/2},
		Max: vg.Point{X: e.pos.X + w, Y: e.pos.Y + legendSize/2},
	}
}

var sheet = vg.Rectangle{Max: vg.Point{X: figureWidth, Y: figureHeight}}

// checkFrame checks that texts keep clear of one another, of the data and of
// the figure's edge.
func checkFrame(t tester, f *frame) {
	t.Helper()
	for i, e := range f.legend {
		box := legendBox(e)
		if !inside(box, sheet) || overlap(box, f.area) > 0 {
			t.Fatal(fmt.Sprintf("%q lies at %v, area %v", e.text, box, f.area))
		}
		for _, other := range f.legend[:i] {
			if overlap(box, legendBox(other)) > 0 {
				t.Fatal(fmt.Sprintf("%q and %q overlap", e.text, other.text))
			}
		}
	}
	if len(f.xTicks) == 0 || len(f.yTicks) == 0 {
		t.Fatal("an axis without ticks")
	}
	if !f.xLabelsFit() {
		t.Fatal(fmt.Sprintf("tick labels collide: %v", f.xTicks))
	}
	centre := (f.area.Min.X + f.area.Max.X) / 2
	half := width(regular(axisLabelSize), f.xLabel) / 2
	if centre-half < 0 || centre+half > figureWidth {
		t.Fatal("the x label leaves the figure")
	}
	if end := f.area.Min.X + width(bold(titleSize), f.title); end > figureWidth {
		t.Fatal("the title leaves the figure")
	}
	if width(regular(noteSize), f.note) > f.area.Max.X {
		t.Fatal("the note leaves the figure")
	}
}

func layOutPrediction(t tester, p *PredictionPlot) *predictionFigure {
	t.Helper()
	f, err := p.figure()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestPredictionAnyInput(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		centre := rapid.SampledFrom([]float64{0, 1e-9, 0.1, 0.5, 0.7612, 1}).Draw(t, "centre")
		spread := rapid.SampledFrom([]float64{0, 1e-12, 1e-6, 1e-3, 0.1, 1}).Draw(t, "spread")
		fraction := rapid.Custom(func(t *rapid.T) float64 {
			return min(max(centre+spread*rapid.Float64Range(-1, 1).Draw(t, "v"), 0), 1)
		})
		half := rapid.Custom(func(t *rapid.T) float64 {
			return rapid.SampledFrom([]float64{0, spread, 0.3, 1e90}).Draw(t, "scale") * rapid.Float64Range(0, 1).Draw(t, "half")
		})
		text := rapid.OneOf(rapid.String(), rapid.StringN(60, 200, -1))
		p := &PredictionPlot{
			Title: text.Draw(t, "title"), XLabel: text.Draw(t, "xlabel"), YLabel: text.Draw(t, "ylabel"),
			Notes:     rapid.SliceOfN(text, 0, 8).Draw(t, "notes"),
			GroupedBy: text.Draw(t, "by"),
			Groups:    rapid.SliceOfN(rapid.StringN(0, 1, -1), 0, 3).Draw(t, "groups"),
			Points: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) PredictionPoint {
				q := PredictionPoint{True: fraction.Draw(t, "true"), Predicted: fraction.Draw(t, "predicted")}
				q.Low, q.High = q.Predicted-half.Draw(t, "low"), q.Predicted+half.Draw(t, "high")
				q.Group = rapid.OneOf(rapid.StringN(0, 1, -1), rapid.StringMatching("[a-z]|other|[A-Z]{50}")).Draw(t, "group")
				return q
			}), 2, 40).Draw(t, "points"),
		}
		f := layOutPrediction(t, p)
		if f.x != f.y || math.Abs(float64(f.area.Size().X-f.area.Size().Y)) > 1e-9 {
			t.Fatalf("axes %v and %v in %v, want the same in a square", f.x, f.y, f.area)
		}
		if len(f.dots) != len(p.Points) {
			t.Fatalf("%d dots for %d points", len(f.dots), len(p.Points))
		}
		for _, d := range f.dots {
			if !inside(around(d.at, 0), f.area) || d.low < f.area.Min.Y-1e-6 || d.high > f.area.Max.Y+1e-6 || d.low > d.high {
				t.Fatalf("dot %v leaves %v", d, f.area)
			}
		}
		for _, tick := range f.xTicks {
			if tick.value < -1e-6 || tick.value > 100+1e-6 {
				t.Fatalf("a tick at %g %%", tick.value)
			}
		}
		checkFrame(t, &f.frame)
		checkSVG(t, p)
	})
}

func TestPredictionRange(t *testing.T) {
	tests := []struct {
		name   string
		points []PredictionPoint
		lo, hi float64 // without the padding of 3 %
	}{
		{"points", []PredictionPoint{{True: 0.6, Predicted: 0.5}, {True: 0.7, Predicted: 0.75}}, 50, 75},
		{
			"intervals within a tenth",
			[]PredictionPoint{{0.6, 0.5, 0.49, 0.6, ""}, {0.7, 0.7, 0.69, 0.71, ""}},
			49, 71,
		},
		{
			"wide intervals",
			[]PredictionPoint{{0.6, 0.5, 0.1, 0.99, ""}, {True: 0.7, Predicted: 0.7}},
			48, 72,
		},
		{"intervals past 100 %", []PredictionPoint{{0.9, 0.99, 0.8, 1.3, ""}, {True: 0.5, Predicted: 0.5}}, 50, 100},
		{"equal", []PredictionPoint{{True: 0.7, Predicted: 0.7}, {True: 0.7, Predicted: 0.7}}, 69, 71},
		{"equal with intervals", []PredictionPoint{{0.7, 0.7, 0.68, 0.72, ""}, {0.7, 0.7, 0.69, 0.71, ""}}, 68, 72},
		{"zero", []PredictionPoint{{}, {}}, -1, 1},
		{"one", []PredictionPoint{{True: 1, Predicted: 1}, {True: 1, Predicted: 1}}, 99, 101},
	}
	for _, test := range tests {
		f := layOutPrediction(t, &PredictionPlot{Points: test.points})
		pad := 0.03 * (test.hi - test.lo)
		if math.Abs(f.x.lo-(test.lo-pad)) > 1e-9 || math.Abs(f.x.hi-(test.hi+pad)) > 1e-9 {
			t.Errorf("%s: from %g to %g, want %g to %g", test.name, f.x.lo, f.x.hi, test.lo-pad, test.hi+pad)
		}
	}
}

// TestPredictionWhiskers checks that only points with an interval have one, as
// far as accuracies go.
func TestPredictionWhiskers(t *testing.T) {
	f := layOutPrediction(t, &PredictionPlot{Points: []PredictionPoint{
		{True: 0.91, Predicted: 0.99, Low: 0.9, High: 1.2},
		{True: 0.5, Predicted: 0.5},
	}})
	slices.SortFunc(f.dots, func(a, b dot) int { return int(a.at.X - b.at.X) })
	if d := f.dots[0]; d.low != d.high {
		t.Errorf("a whisker from %v to %v without an interval", d.low, d.high)
	}
	want := [2]vg.Length{f.place(0, 90).Y, f.place(0, 100).Y}
	if d := f.dots[1]; [2]vg.Length{d.low, d.high} != want {
		t.Errorf("a whisker from %v to %v, want %v", d.low, d.high, want)
	}
	legend := func(p *PredictionPlot) string {
		var texts []string
		for _, e := range layOutPrediction(t, p).legend {
			texts = append(texts, e.text)
		}
		return strings.Join(texts, "|")
	}
	bare := &PredictionPlot{Points: []PredictionPoint{{}, {}}}
	if got, want := legend(bare), "predicted = true|2 networks"; got != want {
		t.Errorf("legend %s, want %s", got, want)
	}
	if got, want := legend(predictions(4, 2)), "RMSE 0.98 points|Kendall's tau 0.946|predicted = true|90 % interval|Recipe:|recipe00 (2)|recipe01 (2)"; got != want {
		t.Errorf("legend %s, want %s", got, want)
	}
}

func TestPredictionGroups(t *testing.T) {
	legend := func(groups []string, listed ...string) string {
		p := &PredictionPlot{Groups: listed}
		for _, g := range groups {
			p.Points = append(p.Points, PredictionPoint{Group: g})
		}
		f := layOutPrediction(t, p)
		var got []string
		dots := make(map[int]int)
		for _, d := range f.dots {
			dots[d.group]++
		}
		for _, e := range f.legend {
			if e.kind != legendGroup {
				continue
			}
			i := slices.Index(groupColors, e.color)
			got = append(got, fmt.Sprintf("%s:%d", e.text, i))
			if i < 0 {
				i = len(groupColors)
			}
			if !strings.Contains(e.text, fmt.Sprint(dots[i])) {
				t.Errorf("%s, but there are %d dots of its colour", e.text, dots[i])
			}
			if e.marker != markerOf(i) {
				t.Errorf("%s has marker %d, want %d", e.text, e.marker, markerOf(i))
			}
		}
		return strings.Join(got, " ")
	}
	letters := func(s string) []string { return strings.Split(s, "") }
	tests := []struct{ got, want string }{
		{legend([]string{"", ""}), "2 networks:0"},
		{legend([]string{"", "other"}), "2 networks:0"},
		{legend(letters("aa")), "a (2):0"},
		{legend(letters("bab")), "a (1):0 b (2):1"},
		{legend([]string{"b", "", "other", "a"}), "a (1):0 b (1):1 other (2):-1"},
		{legend(letters("xba"), "c", "b", "c", "", "other"), "b (1):1 a (1):2 x (1):3"},
		// Of twelve groups, the three that have least are other.
		{
			legend(letters("abcdefghijklabdefghijlll")),
			"a (2):0 b (2):1 d (2):2 e (2):3 f (2):4 g (2):5 h (2):6 i (2):7 l (4):8 other (4):-1",
		},
		{
			legend(letters("abcdefghijklabdefghijlll"), "k"),
			"k (1):0 a (2):1 b (2):2 d (2):3 e (2):4 f (2):5 g (2):6 h (2):7 l (4):8 other (5):-1",
		},
	}
	for _, test := range tests {
		if test.got != test.want {
			t.Errorf("got  %s\nwant %s", test.got, test.want)
		}
	}
}

func TestManyPredictions(t *testing.T) {
	t.Parallel()
	p := predictions(5000, 7)
	if svg := svgOf(t, p); len(svg) > 600_000 {
		t.Errorf("SVG of %d bytes", len(svg))
	}
	if f := layOutPrediction(t, p); len(f.dots) != 5000 || f.note != "" {
		t.Errorf("%d dots, note %q, want all 5000 and none", len(f.dots), f.note)
	}
	if f := layOutPrediction(t, predictions(20000, 7)); len(f.dots) > maxDots || f.note != "Dots thinned." {
		t.Errorf("%d dots, note %q, want them thinned", len(f.dots), f.note)
	}
}

func TestFitNotes(t *testing.T) {
	room := width(regular(legendSize), "four words and more")
	tests := []struct {
		notes []string
		most  int
		want  string
	}{
		{nil, 3, ""},
		{[]string{"", " \n"}, 3, ""},
		{[]string{"one", "two"}, 3, "one|two"},
		{[]string{"four words and more of\nthem"}, 3, "four words and more|of them"},
		{[]string{"one", "two", "three"}, 2, "one|two …"},
		{[]string{"one", "four words and more", "three"}, 2, "one|four words and m …"},
		{[]string{"incomprehensibilities, one word"}, 3, "incomprehensibilit…|one word"},
	}
	for _, test := range tests {
		lines := fitNotes(test.notes, room, test.most)
		if got := strings.Join(lines, "|"); got != test.want {
			t.Errorf("%q: got %s, want %s", test.notes, got, test.want)
		}
	}
}
