package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
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

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files of testdata anew")

// known are networks with MACs and ImageNet top-1 as their authors report them.
var known = []Reference{
	{569e6, 70.9, "mobilenet"},
	{301e6, 71.9, "mobilenet_v2"},
	{217e6, 74.0, "mobilenet_v3_large"},
	{137e6, 67.8, "shufflenet"},
	{145e6, 69.4, "shufflenet_v2"},
	{314e6, 73.5, "mnasnet"},
	{402e6, 74.0, "regnet_y_400mf"},
	{386e6, 77.7, "efficientnet_b0"},
	{819e6, 58.1, "squeezenet"},
	{724e6, 56.5, "alexnet"},
	{1.8e9, 69.8, "resnet18"},
	{4.1e9, 76.1, "resnet50"},
	{15.5e9, 71.6, "vgg16"},
}

// synthetic returns a figure like that of a mobile search, from 20M to 600M
// MACs.
func synthetic(candidates, front int) *FrontPlot {
	rng := rand.New(rand.NewPCG(1, 2))
	accuracy := func(macs float64) float64 {
		return 55 + 22*(1-math.Exp(-2.2*math.Log(macs/20e6)/math.Log(30)))/(1-math.Exp(-2.2))
	}
	p := &FrontPlot{
		Title:      "A mobile space",
		XLabel:     "MACs",
		YLabel:     "ImageNet top-1 accuracy (%)",
		LogX:       true,
		References: known,
	}
	for i := range front {
		macs := 20e6 * math.Pow(30, float64(i)/float64(front-1))
		p.Front = append(p.Front, Point{X: macs, Y: accuracy(macs), SD: 0.5 + rng.Float64()})
	}
	groups := []string{"fire", "bottleneck", "grouped", "separable", "inverted", "shuffle"}
	for range candidates {
		group := rng.IntN(len(groups))
		macs := 20e6 * math.Pow(30, (rng.Float64()+rng.Float64())/2)
		worse := float64(5-group) + math.Abs(rng.NormFloat64())*4
		p.Candidates = append(p.Candidates, Candidate{X: macs, Y: accuracy(macs) - worse, Group: groups[group]})
	}
	return p
}

// tester is what *testing.T and *rapid.T share and we need.
type tester interface {
	Helper()
	Fatal(...any)
}

func svgOf(t tester, p interface{ WriteSVG(io.Writer) error }) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := p.WriteSVG(&buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestWriteSVGGolden(t *testing.T) {
	tests := map[string]*FrontPlot{
		"mobile.svg": synthetic(200, 12),
		"linear.svg": {
			XLabel:     "Latency (ms)",
			YLabel:     "Accuracy (%)",
			Front:      []Point{{X: 14.5, Y: 92.1}, {X: 10, Y: 91.2}, {X: 11.5, Y: 91.9}},
			References: []Reference{{X: 12, Y: 91.4, Name: "a <b> & c"}, {X: 40, Y: 93, Name: "far"}},
			Candidates: []Candidate{{X: 12, Y: 91}, {X: 13, Y: 91.3}, {X: 14, Y: 20}},
		},
		"single.svg": {
			LogX:  true,
			Front: []Point{{X: 300e6, Y: 70, SD: 1}},
		},
	}
	for name, p := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := svgOf(t, p)
			path := filepath.Join("testdata", name)
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

func TestWritePNG(t *testing.T) {
	t.Parallel()
	var first, second bytes.Buffer
	p := synthetic(200, 12)
	if err := p.WritePNG(&first); err != nil {
		t.Fatal(err)
	}
	if err := p.WritePNG(&second); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two runs differ")
	}
	config, err := png.DecodeConfig(&first)
	if err != nil {
		t.Fatal(err)
	}
	if config.Width != 1600 || config.Height != 1100 {
		t.Errorf("got %d by %d pixels, want 1600 by 1100", config.Width, config.Height)
	}
}

func TestManyCandidates(t *testing.T) {
	t.Parallel()
	p := synthetic(20000, 100)
	svg := svgOf(t, p)
	if len(svg) > 600_000 {
		t.Errorf("SVG of %d bytes", len(svg))
	}
	rand.New(rand.NewPCG(3, 4)).Shuffle(len(p.Candidates), func(i, j int) {
		p.Candidates[i], p.Candidates[j] = p.Candidates[j], p.Candidates[i]
	})
	slices.Reverse(p.Front)
	if !bytes.Equal(svg, svgOf(t, p)) {
		t.Error("the order of candidates and front changes the figure")
	}
	if !strings.Contains(string(svg), "Dots thinned.") {
		t.Error("the figure does not say that it is thinned")
	}
}

func TestErrors(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	front := []Point{{X: 1, Y: 2}}
	tests := []struct {
		plot FrontPlot
		want string
	}{
		{FrontPlot{}, "report: the front is empty, there is nothing to draw"},
		{
			FrontPlot{Front: []Point{{X: 1, Y: 2}, {X: nan, Y: 2}}},
			"report: front[1]: X is NaN, it must be a finite number",
		},
		{FrontPlot{Front: []Point{{X: 1, Y: -inf}}}, "report: front[0]: Y is -Inf, it must be a finite number"},
		{FrontPlot{Front: []Point{{X: 1, Y: 2, SD: inf}}}, "report: front[0]: SD is +Inf, it must be a finite number"},
		{FrontPlot{Front: []Point{{X: 1, Y: 2, SD: -0.5}}}, "report: front[0]: SD is -0.5, it must not be negative"},
		{
			FrontPlot{Front: []Point{{X: 0, Y: 2}}, LogX: true},
			"report: front[0]: X is 0, a logarithmic axis needs it positive (at least 1e-100)",
		},
		{FrontPlot{Front: []Point{{X: 1, Y: 1e101}}}, "report: front[0]: Y is 1e+101, it must not exceed 1e+100"},
		{
			FrontPlot{Front: front, Candidates: []Candidate{{X: 1, Y: 1}, {X: -1, Y: 1}}, LogX: true},
			"report: candidates[1]: X is -1, a logarithmic axis needs it positive (at least 1e-100)",
		},
		{
			FrontPlot{Front: front, Candidates: []Candidate{{X: 1, Y: nan}}},
			"report: candidates[0]: Y is NaN, it must be a finite number",
		},
		{
			FrontPlot{Front: front, References: []Reference{{X: 1, Y: nan, Name: "vgg16"}}},
			`report: references[0] ("vgg16"): Y is NaN, it must be a finite number`,
		},
		{
			FrontPlot{Front: front, References: []Reference{{X: inf, Y: 1}}},
			"report: references[0]: X is +Inf, it must be a finite number",
		},
	}
	for _, test := range tests {
		for format, write := range map[string]func(io.Writer) error{
			"SVG": test.plot.WriteSVG, "PNG": test.plot.WritePNG,
		} {
			var buf bytes.Buffer
			if err := write(&buf); err == nil || err.Error() != test.want {
				t.Errorf("%s: got error %v, want %s", format, err, test.want)
			}
			if buf.Len() > 0 {
				t.Errorf("%s: wrote %d bytes despite %s", format, buf.Len(), test.want)
			}
		}
	}
}

type brokenWriter struct{}

var errBroken = errors.New("no space left")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestWriteFails(t *testing.T) {
	p := &FrontPlot{Front: []Point{{X: 1, Y: 2}}}
	if err := p.WriteSVG(brokenWriter{}); !errors.Is(err, errBroken) {
		t.Errorf("SVG: got %v", err)
	}
	if err := p.WritePNG(brokenWriter{}); !errors.Is(err, errBroken) {
		t.Errorf("PNG: got %v", err)
	}
}

func layOut(t tester, p *FrontPlot) *figure {
	t.Helper()
	f, err := p.figure()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestRange checks the picture's range on the example that made the rules.
func TestRange(t *testing.T) {
	f := layOut(t, synthetic(5000, 40))
	if hi := math.Exp(f.x.hi); hi < 819e6 || hi > 1.2e9 {
		t.Errorf("x ends at %g, want it past squeezenet and before resnet18", hi)
	}
	if len(f.refs) != 10 || len(f.labels) != 10 {
		t.Errorf("%d references and %d labels, want the 10 up to 819M", len(f.refs), len(f.labels))
	}
	if want := "Outside the picture: resnet18 (1.8G), resnet50 (4.1G), vgg16 (15.5G), "; !strings.HasPrefix(f.note, want) {
		t.Errorf("note %q, want %q …", f.note, want)
	}
	var labels []string
	for _, tick := range f.xTicks {
		if tick.label != "" {
			labels = append(labels, tick.label)
		}
	}
	if got, want := strings.Join(labels, " "), "20M 50M 100M 200M 500M"; got != want {
		t.Errorf("x ticks %s, want %s", got, want)
	}

	// A disaster among the candidates does not squeeze the front.
	p := synthetic(5000, 40)
	want := f.y
	for i := range 100 {
		p.Candidates[i].Y = 0.1
	}
	if got := layOut(t, p).y; got.lo < want.lo-2 {
		t.Errorf("y starts at %g, without outliers at %g", got.lo, want.lo)
	}
}

// TestAnyInput draws anything that is valid: all of the front and of the near
// references is within the picture, and the SVG is well-formed.
func TestAnyInput(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		logX := rapid.Bool().Draw(t, "log")
		scale := rapid.SampledFrom([]float64{1e-90, 1e-3, 1, 100, 1e9, 1e90}).Draw(t, "scale")
		value := rapid.Custom(func(t *rapid.T) float64 {
			v := rapid.Float64Range(-1, 1).Draw(t, "v")
			if rapid.Bool().Draw(t, "round") {
				v = math.Round(v * 3)
			}
			return v * scale
		})
		x := value
		if logX {
			x = rapid.Custom(func(t *rapid.T) float64 {
				return max(math.Abs(value.Draw(t, "x")), 1e-100)
			})
		}
		p := &FrontPlot{
			Title:  rapid.String().Draw(t, "title"),
			XLabel: rapid.String().Draw(t, "xlabel"),
			YLabel: rapid.String().Draw(t, "ylabel"),
			LogX:   logX,
			Front: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Point {
				return Point{x.Draw(t, "x"), value.Draw(t, "y"), math.Abs(value.Draw(t, "sd"))}
			}), 1, 10).Draw(t, "front"),
			Candidates: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Candidate {
				return Candidate{x.Draw(t, "x"), value.Draw(t, "y"), rapid.StringN(0, 2, -1).Draw(t, "group")}
			}), 0, 20).Draw(t, "candidates"),
			References: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Reference {
				return Reference{x.Draw(t, "x"), value.Draw(t, "y"), rapid.String().Draw(t, "name")}
			}), 0, 5).Draw(t, "references"),
		}
		f := layOut(t, p)
		if len(f.front) != len(p.Front) {
			t.Fatalf("%d points of %d", len(f.front), len(p.Front))
		}
		for _, q := range f.front {
			if at := f.place(q.X, q.Y); !inside(around(at, 0), f.area) {
				t.Fatalf("front point %v lies at %v, outside %v", q, at, f.area)
			}
		}
		for _, at := range f.refs {
			if !inside(around(at, 0), f.area) {
				t.Fatalf("a reference lies at %v, outside %v", at, f.area)
			}
		}
		for _, r := range p.References {
			first, last := f.front[0].X, f.front[len(f.front)-1].X
			if first <= r.X && r.X <= last && len(f.refs) == 0 {
				t.Fatalf("reference %v within the front's range is left out", r)
			}
		}
		for _, d := range f.dots {
			if !inside(around(d.at, 0), f.area) {
				t.Fatalf("a dot lies at %v, outside %v", d.at, f.area)
			}
		}
		if !f.xLabelsFit() {
			t.Fatalf("tick labels collide: %v", f.xTicks)
		}
		svg := svgOf(t, p)
		if bytes.Contains(svg, []byte("NaN")) || bytes.Contains(svg, []byte("Inf,")) {
			t.Fatalf("SVG with NaN or Inf")
		}
		decoder := xml.NewDecoder(bytes.NewReader(svg))
		for {
			if _, err := decoder.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestGroups(t *testing.T) {
	legend := func(p FrontPlot) string {
		p.Front = []Point{{X: 1, Y: 1}}
		var got []string
		for _, e := range layOut(t, &p).legend[1:] {
			if e.kind == legendGroup {
				got = append(got, fmt.Sprintf("%s:%d", e.text, slices.Index(groupColors, e.color)))
			}
		}
		return strings.Join(got, " ")
	}
	of := func(names ...string) (candidates []Candidate) {
		for _, name := range names {
			candidates = append(candidates, Candidate{X: 1, Y: 1, Group: name})
		}
		return candidates
	}
	tests := []struct {
		plot FrontPlot
		want string
	}{
		{FrontPlot{}, ""},
		{FrontPlot{Candidates: of("", "")}, "2 explored:-1"},
		{FrontPlot{Candidates: of("b", "a", "b")}, "a:0 b:1"},
		{FrontPlot{Candidates: of("b", "", "a")}, "a:0 b:1 other:-1"},
		{FrontPlot{Candidates: of("x", "b", "a"), Groups: []string{"c", "b", "c", "a"}}, "b:1 a:2 x:3"},
		{
			FrontPlot{Candidates: of(strings.Split("abcdefghijk", "")...)},
			"a:0 b:1 c:2 d:3 e:4 f:5 g:6 h:7 i:8 other:-1",
		},
	}
	for _, test := range tests {
		if got := legend(test.plot); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestThin(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var dots []dot
	for range 20000 {
		d := dot{group: rng.IntN(6)}
		d.at.X, d.at.Y = 100+400*vgLength(rng), 50+200*vgLength(rng)
		dots = append(dots, d)
	}
	dots[0].at.X, dots[0].group = 600, 7 // alone in its place
	all := make(map[dot]bool)
	for _, d := range dots {
		all[d] = true
	}
	thinned := thin(slices.Clone(dots), 3000)
	if len(thinned) > 3000 || len(thinned) < 2000 {
		t.Errorf("%d dots, want close to 3000 at most", len(thinned))
	}
	for _, d := range thinned {
		if !all[d] {
			t.Fatalf("%v is none of the dots", d)
		}
	}
	if !slices.Contains(thinned, dots[0]) {
		t.Error("a lonely dot is lost")
	}
	if got := thin(slices.Clone(dots), 20000); len(got) != 20000 {
		t.Errorf("%d dots, want all where they are few enough", len(got))
	}
}

func BenchmarkWriteSVG(b *testing.B) { benchmark(b, (*FrontPlot).WriteSVG) }
func BenchmarkWritePNG(b *testing.B) { benchmark(b, (*FrontPlot).WritePNG) }

func benchmark(b *testing.B, write func(*FrontPlot, io.Writer) error) {
	p := synthetic(20000, 100)
	for b.Loop() {
		if err := write(p, io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
