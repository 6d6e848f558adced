package report

import (
	"math"
	"testing"

	"gonum.org/v1/plot/vg"
	"pgregory.net/rapid"
)

// words returns the room that the words at a place take.
func words(text string, at vg.Point) vg.Rectangle {
	return vg.Rectangle{Min: at, Max: at.Add(vg.Point{X: width(regular(regionSize), text), Y: capHeight * regionSize})}
}

func layOutCalibration(t tester, p *CalibrationPlot) *calibrationFigure {
	t.Helper()
	f, err := p.figure()
	if err != nil {
		t.Fatal(err)
	}
	narrow, wide := words(tooNarrow, f.narrow), words(tooWide, f.wide)
	if !inside(narrow, f.area) || !inside(wide, f.area) {
		t.Fatal("the words leave the area")
	}
	// The diagonal is that of a square.
	if d := vg.Point.Sub; d(vg.Point{X: narrow.Min.X, Y: narrow.Max.Y}, f.area.Min).X < d(narrow.Max, f.area.Min).Y ||
		d(wide.Max, f.area.Min).X > d(wide.Min, f.area.Min).Y {
		t.Fatal("the words are on the wrong side of the diagonal")
	}
	return f
}

// TestCalibrationWords checks that the words give way to the line.
func TestCalibrationWords(t *testing.T) {
	tests := map[string]func(float64) float64{
		"perfect":     func(q float64) float64 { return q },
		"overly sure": func(q float64) float64 { return 0.25 * q * q },
		"too narrow":  func(q float64) float64 { return q * q },
		"far too":     func(float64) float64 { return 0 },
		"too wide":    func(q float64) float64 { return math.Pow(q, 0.35) },
		"all inside":  func(float64) float64 { return 1 },
	}
	for name, share := range tests {
		for _, n := range []float64{20, 1000} {
			f := layOutCalibration(t, calibrated(n, share))
			for i := range f.line[1:] {
				if lengthWithin(f.line[i], f.line[i+1], words(tooNarrow, f.narrow))+
					lengthWithin(f.line[i], f.line[i+1], words(tooWide, f.wide)) > 0 {
					t.Errorf("%s of %g: the line crosses the words", name, n)
				}
			}
		}
	}
}

// TestCalibrationBand checks that the band goes through what is known of it.
func TestCalibrationBand(t *testing.T) {
	f := layOutCalibration(t, &CalibrationPlot{Points: []CalibrationPoint{
		{0, 0, 0, 0},
		{0.5, 0.6, 0.4, 0.6},
		{0.7, 0.7, 0, 0}, // unknown
		{1, 0.9, 1, 1},
	}})
	var want []vg.Point
	for _, q := range [][2]float64{{0, 0}, {50, 40}, {100, 100}, {100, 100}, {50, 60}, {0, 0}} {
		want = append(want, f.place(q[0], q[1]))
	}
	if len(f.band) != len(want) {
		t.Fatalf("got a band of %d corners, want %d", len(f.band), len(want))
	}
	for i := range want {
		if f.band[i] != want[i] {
			t.Errorf("corner %d is at %v, want %v", i, f.band[i], want[i])
		}
	}
	if n := len(f.legend); n != 3 || f.legend[2].text != "sampling error" {
		t.Errorf("legend %v", f.legend)
	}
	f = layOutCalibration(t, &CalibrationPlot{Points: []CalibrationPoint{{Nominal: 0}, {Nominal: 1, Share: 1}}})
	if f.band != nil || len(f.legend) != 2 {
		t.Errorf("a band %v in the legend %v, want none", f.band, f.legend)
	}
}

func TestCalibrationAnyInput(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringN(60, 200, -1))
		fraction := rapid.Float64Range(0, 1)
		p := &CalibrationPlot{
			Title: text.Draw(t, "title"), XLabel: text.Draw(t, "xlabel"), YLabel: text.Draw(t, "ylabel"),
			Band: text.Draw(t, "band"), Notes: rapid.SliceOfN(text, 0, 20).Draw(t, "notes"),
			Points: rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) CalibrationPoint {
				a, b := fraction.Draw(t, "a"), fraction.Draw(t, "b")
				return CalibrationPoint{fraction.Draw(t, "nominal"), fraction.Draw(t, "share"), min(a, b), max(a, b)}
			}), 2, 15, func(q CalibrationPoint) float64 { return q.Nominal }).Draw(t, "points"),
		}
		f := layOutCalibration(t, p)
		for _, at := range append(f.line, f.band...) {
			if !inside(around(at, 0), f.area) {
				t.Fatalf("%v lies outside %v", at, f.area)
			}
		}
		checkFrame(t, &f.frame)
		checkSVG(t, p)
	})
}
