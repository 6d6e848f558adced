package report

import (
	"bytes"
	"errors"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/plot/vg"
	"pgregory.net/rapid"
)

// searched returns a figure of algorithms that are ever better.
func searched(names ...string) *SearchCurvePlot {
	p := &SearchCurvePlot{Title: "Searches", Note: "Mean and standard deviation of 30 searches."}
	for i, name := range names {
		c := SearchCurve{Name: name}
		for _, n := range []int{50, 100, 200, 400, 800} {
			left := 2 / math.Pow(float64(n), 0.6+0.1*float64(i))
			c.Points = append(c.Points, SearchPoint{n, 1 - left, left / 5})
		}
		p.Curves = append(p.Curves, c)
	}
	return p
}

func layOutSearch(t tester, p *SearchCurvePlot) *searchFigure {
	t.Helper()
	f, err := p.figure()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestSearchCurveGolden(t *testing.T) {
	got := svgOf(t, searched("random", "nsga2", "guided"))
	path := filepath.Join("testdata", "search.svg")
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
}

func TestSearchCurvePNG(t *testing.T) {
	t.Parallel()
	p := searched("random", "nsga2")
	var first, second bytes.Buffer
	if err := errors.Join(p.WritePNG(&first), p.WritePNG(&second)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two pictures of one figure differ")
	}
	if c, err := png.DecodeConfig(&first); err != nil || c.Width != 1600 || c.Height != 1100 {
		t.Errorf("%+v, %v", c, err)
	}
}

// The band ends where shares do, and there is none without a deviation.
func TestSearchCurveBand(t *testing.T) {
	p := &SearchCurvePlot{Curves: []SearchCurve{
		{"a", []SearchPoint{{20, 0.99, 0.05}, {10, 0.02, 0.04}}},
		{"b", []SearchPoint{{10, 0.5, 0}, {20, 0.6, 0}}},
	}}
	f := layOutSearch(t, p)
	want := []vg.Point{f.place(10, 0), f.place(20, 0.99-0.05), f.place(20, 1), f.place(10, 0.02+0.04)}
	if !slices.Equal(f.curves[0].band, want) || f.curves[1].band != nil {
		t.Errorf("got bands %v and %v, want %v and none", f.curves[0].band, f.curves[1].band, want)
	}
	if p.Curves[0].Points[0].Evaluations != 20 {
		t.Error("the caller's points are sorted")
	}
	if got := tickLabels(f.xTicks); got != "10 20" {
		t.Errorf("ticks %s", got)
	}
}

// Names are in the order in which the lines end.
func TestSearchCurveNames(t *testing.T) {
	f := layOutSearch(t, searched("random", "nsga2", "guided"))
	for i := 1; i < len(f.curves); i++ {
		if below, above := f.curves[i-1], f.curves[i]; above.textY-below.textY < levelRow*(1-1e-9) {
			t.Errorf("%s at %v, %s at %v", below.text, below.textY, above.text, above.textY)
		}
	}
}

func TestSearchCurveRefuses(t *testing.T) {
	two := []SearchPoint{{1, 0.1, 0}, {2, 0.2, 0}}
	curve := func(points ...SearchPoint) []SearchCurve { return []SearchCurve{{"a", two}, {"b", points}} }
	for _, test := range []struct {
		curves []SearchCurve
		want   string
	}{
		{nil, "there are no curves"},
		{slices.Repeat(curve(two...), 5), "there are 10 curves, no more than 9"},
		{[]SearchCurve{{"", two}}, "curves[0]: Name is empty"},
		{curve(two[0]), `curves[1] ("b"): it has 1 point, at least 2 are needed`},
		{curve(), "it has 0 points"},
		{curve(two[0], SearchPoint{0, 0.1, 0}), "points[1]: Evaluations is 0"},
		{curve(two[0], SearchPoint{1, 0.1, 0}), "points[1]: Evaluations is 1, as in points[0]"},
		{curve(two[0], SearchPoint{2, 99, 0}), "Mean is 99, it must be a fraction"},
		{curve(two[0], SearchPoint{2, 0.9, math.NaN()}), "SD is NaN"},
		{curve(two[0], SearchPoint{2, 0.9, -0.1}), "SD is -0.1"},
	} {
		p := &SearchCurvePlot{Curves: test.curves}
		var out bytes.Buffer
		for _, err := range []error{p.WriteSVG(&out), p.WritePNG(&out)} {
			if err == nil || !strings.Contains(err.Error(), test.want) || out.Len() > 0 {
				t.Errorf("%v, want %s", err, test.want)
			}
		}
	}
}

func TestSearchCurveAnyInput(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringN(60, 200, -1))
		scale := rapid.SampledFrom([]float64{0, 1e-9, 1e-3, 1}).Draw(t, "scale")
		share := rapid.Custom(func(t *rapid.T) float64 { return scale * rapid.Float64Range(0, 1).Draw(t, "share") })
		upwards := rapid.Bool().Draw(t, "from one down")
		p := &SearchCurvePlot{
			Title: text.Draw(t, "title"), XLabel: text.Draw(t, "xlabel"), YLabel: text.Draw(t, "ylabel"), Note: text.Draw(t, "note"),
			Curves: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) SearchCurve {
				return SearchCurve{
					rapid.StringMatching(`[a-z ]{1,70}`).Draw(t, "name"),
					rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) SearchPoint {
						n := rapid.OneOf(rapid.IntRange(1, 100), rapid.IntMin(1)).Draw(t, "evaluations")
						mean := share.Draw(t, "mean")
						if upwards {
							mean = 1 - mean
						}
						return SearchPoint{n, mean, share.Draw(t, "sd")}
					}), 2, 12, func(q SearchPoint) int { return q.Evaluations }).Draw(t, "points"),
				}
			}), 1, 9).Draw(t, "curves"),
		}
		f := layOutSearch(t, p)
		var boxes []vg.Rectangle
		for _, l := range f.curves {
			for _, at := range slices.Concat(l.line, l.band) {
				if !inside(around(at, 0), f.area) {
					t.Fatalf("%v lies outside %v", at, f.area)
				}
			}
			box := legendBox(legendEntry{kind: legendHeading, text: l.text, pos: vg.Point{X: f.area.Max.X + levelGap, Y: l.textY}})
			if !inside(box, sheet) {
				t.Fatalf("%q leaves the figure", l.text)
			}
			for _, other := range boxes {
				if overlap(box, other) > 0 {
					t.Fatalf("%q overlaps another name", l.text)
				}
			}
			boxes = append(boxes, box)
		}
		if f.xTicks[0].label == "" {
			t.Fatal("the first number of evaluations has no label")
		}
		checkFrame(t, &f.frame)
		checkSVG(t, p)
	})
}
