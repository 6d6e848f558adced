package predictor

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/efficientnas/nas/arch"
)

// readLines reads records of basic blocks of the given widths, one a line.
func readLines(t testing.TB, accuracies map[int]float64, widths ...int) []Record {
	t.Helper()
	var lines strings.Builder
	for i, width := range widths {
		line := recordLine(`"width":8}]`, fmt.Sprintf(`"width":%d}]`, width))
		accuracy, ok := accuracies[i]
		if !ok {
			accuracy = 0.5 + 0.05*math.Log2(float64(width))
		}
		fmt.Fprintln(&lines, strings.Replace(line, "0.75", fmt.Sprint(accuracy), 1))
	}
	records, err := ReadRecords("r.jsonl", strings.NewReader(lines.String()))
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// Records of one network, trained alike, are one of their mean, and tell the
// noise.
func TestRepeatedRecordsAreOne(t *testing.T) {
	widths := []int{8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 24, 24, 48}
	records := readLines(t, map[int]float64{2: 0.70, 10: 0.72, 11: 0.74, 5: 0.80, 12: 0.81}, widths...)
	p, rowOf, err := train(records, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if p.Records() != 10 || len(p.rows) != 10 {
		t.Fatalf("%d records in %d rows, want 10", p.Records(), len(p.rows))
	}
	for i, r := range rowOf {
		want := i
		switch widths[i] {
		case 24:
			want = 2
		case 48:
			want = 5
		}
		if r != want {
			t.Errorf("record %d is in row %d, want %d", i, r, want)
		}
	}
	for row, mean := range map[int]float64{2: 0.72, 5: 0.805, 0: 0.65} {
		if math.Abs(p.rows[row].Target-math.Log(1-mean)) > 1e-6 {
			t.Errorf("row %d has the target %v, want that of %v", row, p.rows[row].Target, mean)
		}
	}

	// Three degrees of freedom: two of the three, one of the two.
	squares := 0.
	for accuracy, mean := range map[float64]float64{0.70: 0.72, 0.72: 0.72, 0.74: 0.72, 0.80: 0.805, 0.81: 0.805} {
		d := math.Log(1-accuracy) - math.Log(1-mean)
		squares += d * d
	}
	single := squares / 3
	if math.Abs(p.single-single) > 1e-5 {
		t.Errorf("one measurement has the variance %v, want %v", p.single, single)
	}
	for row, n := range map[int]float64{2: 3, 5: 2, 0: 1, 9: 1} {
		if math.Abs(p.rows[row].Noise-single/n) > 1e-5 {
			t.Errorf("row %d has the noise %v, want %v", row, p.rows[row].Noise, single/n)
		}
	}

	s := p.Summary()
	if math.Abs(s.Noise-math.Sqrt(single)) > 1e-4 || len(s.Repeated) != 2 {
		t.Fatalf("%+v", s)
	}
	for i, want := range []Repeated{
		{Name: "small (line 3)", Records: 3, Low: 0.70, High: 0.74, Mean: 0.72},
		{Name: "small (line 6)", Records: 2, Low: 0.80, High: 0.81, Mean: 0.805},
	} {
		got := s.Repeated[i]
		if math.Abs(got.Mean-want.Mean) > 1e-12 {
			t.Errorf("the mean %v, want %v", got.Mean, want.Mean)
		}
		if got.Mean = want.Mean; got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// What is predicted is one measurement, however often the records' were
// repeated: the spread is part of its deviation.
func TestSpreadIsPartOfTheDeviation(t *testing.T) {
	widths := []int{8, 16, 24, 32, 40, 48, 56, 64, 72, 80}
	once := readLines(t, nil, widths...)
	twice := append([]Record(nil), once...)
	for i := range once { // accuracies that differ by 0.04, in place of ones that lie on a line
		a, b := once[i], once[i]
		a.Accuracy, b.Accuracy = a.Accuracy-0.02, b.Accuracy+0.02
		twice[i] = a
		twice = append(twice, b)
	}
	p, q := trainedOn(t, once, Options{}), trainedOn(t, twice, Options{})
	if p.single != 0 || p.Summary().Noise != 0 || len(p.Summary().Repeated) != 0 {
		t.Errorf("of records without repeats: %+v", p.Summary())
	}
	a, err := p.Predict(once[4].Network, Training{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := q.Predict(once[4].Network, Training{})
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(a.Accuracy-b.Accuracy) > 0.02 || b.SD < 0.02 || b.SD < 2*a.SD || b.LogErrorSD < q.Summary().Noise {
		t.Errorf("of single records %+v, of repeated ones that differ by 0.04 %+v", a, b)
	}
	// Left out one by one: the twin leaves too, and the record's own scatter stays in.
	left, err := LeaveOut(twice, EachRecord, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, y := range left[:10] {
		if y != left[10+i] || y.LogErrorSD < q.Summary().Noise {
			t.Errorf("record %d: %+v, its twin %+v", i, y, left[10+i])
		}
	}
}

// Names, and what was said about a network, make no difference; a training
// does, and so does everything of the network.
func TestNetworkKey(t *testing.T) {
	n := reference(t, "mobilenet_v2")
	key := func(n *arch.Network) string {
		t.Helper()
		k, err := NetworkKey(n)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	same := *n
	same.Name, same.About = "other", arch.About{}
	if key(&same) != key(n) {
		t.Errorf("by another name it is\n%s\ninstead of\n%s", key(&same), key(n))
	}
	if n.Name != "mobilenet_v2" {
		t.Errorf("the network was renamed to %q", n.Name)
	}
	for name, spoil := range map[string]func(n *arch.Network){
		"resolution": func(n *arch.Network) { n.Input.Resolution = 192 },
		"dropout":    func(n *arch.Network) { n.Head.Dropout = 0.3 },
		"depth":      func(n *arch.Network) { n.Stages = n.Stages[:len(n.Stages)-1] },
	} {
		other := *n
		spoil(&other)
		if key(&other) == key(n) {
			t.Errorf("with another %s it has the same key", name)
		}
	}

	r := Record{Network: n, Dataset: "d", Recipe: "r"}
	training := func(r Record) string {
		k, err := sameTraining(&r)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	for name, spoil := range map[string]func(r *Record){
		"dataset": func(r *Record) { r.Dataset = "e" },
		"recipe":  func(r *Record) { r.Recipe = "q" },
		"epochs":  func(r *Record) { r.Epochs = 90 },
		"names":   func(r *Record) { r.Dataset, r.Recipe = "", "dr" },
	} {
		other := r
		spoil(&other)
		if training(other) == training(r) {
			t.Errorf("with another %s it is trained alike", name)
		}
	}
	other := r
	other.Accuracy, other.Source = 0.5, "s"
	if training(other) != training(r) {
		t.Error("with another accuracy or source it is trained otherwise")
	}
}

// What was not measured is believed less, by as much whether measurements were
// repeated or not, and tells nothing about how much they vary.
func TestDerivedRecordsAreNoisy(t *testing.T) {
	const derived = derivedNoise * derivedNoise
	widths := []int{8, 16, 24, 32, 40, 48, 56, 64, 72, 80}
	once := readLines(t, nil, append(widths, 88, 88)...)
	once[10].Derived, once[11].Derived = true, true
	once[11].Accuracy -= 0.2
	p := trainedOn(t, once, Options{})
	for row, want := range map[int]float64{0: 0, 9: 0, 10: derived} {
		if got := p.rows[row].Noise; math.Abs(got-want) > 1e-6 {
			t.Errorf("nothing repeated, row %d: the noise is %v, want %v", row, got, want)
		}
	}
	if s := p.Summary(); s.Noise != 0 || s.Repeated != nil || p.single != 0 {
		t.Errorf("derived records tell of noise: %+v, %v", s, p.single)
	}

	twice := append(readLines(t, map[int]float64{0: 0.79, 1: 0.81}, 88, 88), once...)
	q := trainedOn(t, twice, Options{})
	// The first two are one row; the derived ones of the same network another.
	single := math.Pow(math.Log(0.21)-math.Log(0.2), 2) + math.Pow(math.Log(0.19)-math.Log(0.2), 2)
	for row, want := range map[int]float64{0: single / 2, 1: single, 11: single/2 + derived} {
		if got := q.rows[row].Noise; math.Abs(got-want) > 2e-6 {
			t.Errorf("row %d: the noise is %v, want %v", row, got, want)
		}
	}
	if s := q.Summary(); math.Abs(s.Noise-math.Sqrt(single)) > 1e-5 || len(s.Repeated) != 1 || s.Repeated[0].Records != 2 {
		t.Errorf("%+v, want the noise %v", s, math.Sqrt(single))
	}

	// Those of the embedded predictor.
	imagenet, err := Imagenet()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, r := range imagenet.rows {
		want := 0.
		if r.Derived {
			n++
			want = rounded(derived)
		}
		if r.Noise != want {
			t.Errorf("%s has the noise %v, want %v", r.Name, r.Noise, want)
		}
	}
	if n != 50 {
		t.Errorf("%d derived records, want 50", n)
	}
}
