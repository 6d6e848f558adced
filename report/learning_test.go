package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/plot/vg"
	"pgregory.net/rapid"
)

func layOutLearning(t tester, p *LearningCurvePlot) *learningFigure {
	t.Helper()
	f, err := p.figure()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func tickLabels(ticks []tick) string {
	var labels []string
	for _, t := range ticks {
		if t.label != "" {
			labels = append(labels, t.label)
		}
	}
	return strings.Join(labels, " ")
}

// TestRecordTicks checks that ticks stand at the numbers of records.
func TestRecordTicks(t *testing.T) {
	var all []int
	for n := range 300 {
		all = append(all, n+1)
	}
	tests := []struct {
		records []int
		want    string
	}{
		{[]int{12, 25, 50, 100, 150, 193}, "12 25 50 100 150 193"},
		{[]int{100, 400, 1600, 6400}, "100 400 1,600 6,400"},
		{[]int{1000, 1001}, "1,000 1,001"},
		{[]int{10, 100, 999, 1000}, "10 100 1,000"},
		{all, "1 2 3 4 6 8 11 16 23 32 45 63 88 128 193 300"},
	}
	for _, test := range tests {
		f := layOutLearning(t, learning(test.records...))
		if got := tickLabels(f.xTicks); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
		if len(f.xTicks) != len(test.records) {
			t.Errorf("%d ticks for %d numbers of records", len(f.xTicks), len(test.records))
		}
	}
}

func TestLearningLevels(t *testing.T) {
	p := learning(10, 100)
	f := layOutLearning(t, p)
	var got []string
	for _, l := range f.levels {
		got = append(got, l.text)
	}
	if got, want := strings.Join(got, "|"), "MACs alone 0.760|parameters alone 0.655|nearest record 0.750|noise ceiling 0.975"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if l := f.levels[1]; math.Abs(float64(l.y-f.place(1, 0.655).Y)) > 1e-9 || l.textY != l.y {
		t.Errorf("a line at %v with its name at %v, want both at %v", l.y, l.textY, f.place(1, 0.655).Y)
	}
	p.Ceiling = 0
	if n := len(layOutLearning(t, p).levels); n != 3 {
		t.Errorf("%d lines without a ceiling, want 3", n)
	}
	p.Baselines = nil
	bare := layOutLearning(t, p)
	if bare.area.Max.X <= f.area.Max.X {
		t.Error("the area takes no more room where there are no names")
	}
}

// TestLearningBand checks that a point without a range narrows the band to the
// line, and that there is none without any range.
func TestLearningBand(t *testing.T) {
	p := &LearningCurvePlot{Points: []LearningPoint{{10, 0.5, 0.4, 0.6}, {20, 0.6, 0, 0}}}
	f := layOutLearning(t, p)
	want := []vg.Point{f.place(10, 0.4), f.place(20, 0.6), f.place(20, 0.6), f.place(10, 0.6)}
	if !slices.Equal(f.band, want) || !f.legend[0].band {
		t.Errorf("got band %v, want %v", f.band, want)
	}
	p.Points[0].Low, p.Points[0].High = 0, 0
	if f := layOutLearning(t, p); f.band != nil || f.legend[0].band {
		t.Errorf("got band %v, want none", f.band)
	}
}

func TestSpread(t *testing.T) {
	tests := []struct {
		places []vg.Length
		want   string
	}{
		{nil, "[]"},
		{[]vg.Length{50}, "[50]"},
		{[]vg.Length{20, 40, 60}, "[20 40 60]"},
		{[]vg.Length{50, 50}, "[45 55]"},
		{[]vg.Length{50, 52, 80}, "[46 56 80]"},
		{[]vg.Length{50, 50, 50, 64}, "[38.5 48.5 58.5 68.5]"},
		{[]vg.Length{99, 100, 100}, "[80 90 100]"},
		{[]vg.Length{0, 0, 1}, "[0 10 20]"},
	}
	for _, test := range tests {
		if got := fmt.Sprint(spread(test.places, 10, 0, 100)); got != test.want {
			t.Errorf("%v: got %s, want %s", test.places, got, test.want)
		}
	}
}

func TestLearningAnyInput(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringN(60, 200, -1))
		scale := rapid.SampledFrom([]float64{0, 1e-9, 1e-3, 1}).Draw(t, "scale")
		tau := rapid.Custom(func(t *rapid.T) float64 { return scale * rapid.Float64Range(-1, 1).Draw(t, "tau") })
		p := &LearningCurvePlot{
			Title: text.Draw(t, "title"), XLabel: text.Draw(t, "xlabel"), YLabel: text.Draw(t, "ylabel"),
			Note: text.Draw(t, "note"), Name: text.Draw(t, "name"), Ceiling: tau.Draw(t, "ceiling"),
			Points: rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) LearningPoint {
				a, b := tau.Draw(t, "a"), tau.Draw(t, "b")
				n := rapid.OneOf(rapid.IntRange(1, 100), rapid.IntMin(1)).Draw(t, "records")
				return LearningPoint{n, tau.Draw(t, "tau"), min(a, b), max(a, b)}
			}), 2, 30, func(q LearningPoint) int { return q.Records }).Draw(t, "points"),
			Baselines: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Baseline {
				return Baseline{rapid.StringMatching(`[a-z ]{1,70}`).Draw(t, "name"), tau.Draw(t, "value")}
			}), 0, 9).Draw(t, "baselines"),
		}
		f := layOutLearning(t, p)
		for _, at := range append(f.line, f.band...) {
			if !inside(around(at, 0), f.area) {
				t.Fatalf("%v lies outside %v", at, f.area)
			}
		}
		boxes := make([]vg.Rectangle, len(f.levels))
		for i, l := range f.levels {
			if l.y < f.area.Min.Y || l.y > f.area.Max.Y {
				t.Fatalf("the line of %q lies outside the area", l.text)
			}
			boxes[i] = legendBox(legendEntry{kind: legendHeading, text: l.text, pos: vg.Point{X: f.area.Max.X + levelGap, Y: l.textY}})
			if !inside(boxes[i], sheet) {
				t.Fatalf("%q leaves the figure", l.text)
			}
			for j := range i {
				if overlap(boxes[i], boxes[j]) > 0 {
					t.Fatalf("%q and %q overlap", l.text, f.levels[j].text)
				}
			}
		}
		if f.xTicks[0].label == "" {
			t.Fatal("the first number of records has no label")
		}
		checkFrame(t, &f.frame)
		checkSVG(t, p)
	})
}
