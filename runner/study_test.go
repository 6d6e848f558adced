package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
)

const study = `name: test
space:
  input: {resolution: [64, 96]}
  stem: {width: 16, stride: 2}
  stages:
    - {block: [separable, inverted, fire], width: [16, 24, 32], depth: [1, 2], stride: 2, expansion: [2, 4]}
    - {block: [separable, inverted, shuffle], width: [48, 64, 96], depth: [1, 2], stride: 2, groups: [2, 4]}
  head: {classes: 1000}
objectives: {maximize: [accuracy], minimize: [macs]}
constraints: {macs: 20M, peak_memory: 400kB}
accuracy: {predictor: imagenet}
search: {evaluations: 400, seed: 3}
`

func runStudy(t *testing.T, text string, o Options) (*Config, *Results) {
	t.Helper()
	c, err := load(t, text)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	return c, r
}

func frontOf(t *testing.T, r *Results) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteFrontCSV(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRunIsTheSameForAnyNumberOfWorkers(t *testing.T) {
	_, one := runStudy(t, study, Options{Workers: 1})
	_, five := runStudy(t, study, Options{Workers: 5})
	if diff := cmp.Diff(frontOf(t, one), frontOf(t, five)); diff != "" {
		t.Errorf("the fronts of 1 and 5 workers differ:\n%s", diff)
	}
	if diff := cmp.Diff(one.Explored, five.Explored); diff != "" {
		t.Errorf("the explored networks of 1 and 5 workers differ:\n%s", diff)
	}
	for i := range one.History {
		one.History[i].Seconds, five.History[i].Seconds = 0, 0
	}
	if diff := cmp.Diff(one.History, five.History); diff != "" {
		t.Errorf("the histories of 1 and 5 workers differ:\n%s", diff)
	}
	_, other := runStudy(t, strings.Replace(study, "seed: 3", "seed: 4", 1), Options{})
	if cmp.Equal(one.Explored, other.Explored) {
		t.Error("another seed explored the same networks")
	}
}

func TestFrontKeepsWhatTheConfigurationAsks(t *testing.T) {
	c, r := runStudy(t, study, Options{})
	if len(r.Front) < 5 {
		t.Fatalf("only %d networks on the front", len(r.Front))
	}
	for i, m := range r.Front {
		if m.Costs.MACs > 20e6 || m.Costs.PeakMemory > 400e3 {
			t.Errorf("%s is beyond a bound: %+v", m.ID, m.Costs)
		}
		if want, err := fp32().costs(m.Network); err != nil || m.Costs != want {
			t.Errorf("%s: costs %+v, want %+v, %v", m.ID, m.Costs, want, err)
		}
		if _, err := c.Space.Genome(m.Network); err != nil {
			t.Errorf("%s: %v", m.ID, err)
		}
		if m.AccuracySD <= 0 || m.Accuracy <= 0 || m.Accuracy >= 1 {
			t.Errorf("%s: accuracy %v ± %v", m.ID, m.Accuracy, m.AccuracySD)
		}
		if i > 0 {
			before := r.Front[i-1]
			if m.Costs.MACs <= before.Costs.MACs || m.Bound <= before.Bound || m.Bound != m.Accuracy-m.AccuracySD {
				t.Errorf("%s does not follow %s on a front of lower confidence bounds", m.ID, before.ID)
			}
		}
	}
	if r.Run.Infeasible == 0 {
		t.Error("no network was beyond a bound, so the bounds were not tested")
	}
	if r.Run.Evaluations != 400 {
		t.Errorf("%d evaluations, want 400", r.Run.Evaluations)
	}
}

func TestExploredAreWithinTheBounds(t *testing.T) {
	text := strings.Replace(study, "constraints: {", "constraints: {accuracy: 25%, ", 1)
	_, r := runStudy(t, strings.Replace(text, "imagenet}", "imagenet, deviations: 0}", 1), Options{})
	if r.Run.Infeasible == 0 || len(r.Explored) == 0 {
		t.Fatalf("%d networks beyond a bound, %d explored: the test tests nothing", r.Run.Infeasible, len(r.Explored))
	}
	for _, x := range r.Explored {
		if x.Accuracy < 0.25 || x.Costs.MACs > 20e6 || x.Costs.PeakMemory > 400e3 {
			t.Errorf("explored beyond a bound: %+v", x)
		}
	}
}

func TestThreeObjectives(t *testing.T) {
	_, r := runStudy(t, strings.Replace(study, "[macs]}", "[params, weight_bytes]}", 1), Options{})
	var params []int64
	for _, m := range r.Front {
		params = append(params, m.Costs.Params)
	}
	if !slices.IsSorted(params) {
		t.Error("the front is not sorted by the first minimised objective")
	}
}

func TestStops(t *testing.T) {
	study := strings.Replace(study, "imagenet}", "imagenet, deviations: 0}", 1) // networks so small have no lower bound above 0
	_, whole := runStudy(t, study, Options{})
	if whole.Run.Status != "evaluation limit" {
		t.Errorf("without a reason to stop: status %q", whole.Run.Status)
	}
	half := whole.History[len(whole.History)/2].Hypervolume
	for _, test := range []struct{ stop, status string }{
		{fmt.Sprintf("{hypervolume: %v}", half), "target reached"},
		{"{unchanged: 15}", "front unchanged"},
		{fmt.Sprintf("{hypervolume: %v, unchanged: 400}", half), "target reached"},
		{"{hypervolume: 1e12, unchanged: 15}", "front unchanged"},
		{"{hypervolume: 1e12, unchanged: 400}", "evaluation limit"},
		{"{}", "evaluation limit"},
	} {
		_, r := runStudy(t, strings.Replace(study, "seed: 3", "seed: 3, stop: "+test.stop, 1), Options{})
		if r.Run.Status != test.status {
			t.Errorf("stop: %s: status %q, want %q", test.stop, r.Run.Status, test.status)
		}
		if early := r.Run.Evaluations < 400; early != (test.status != "evaluation limit") {
			t.Errorf("stop: %s: %d evaluations", test.stop, r.Run.Evaluations)
		}
		for i, h := range r.History {
			same := whole.History[i]
			same.Seconds = h.Seconds
			if h != same {
				t.Errorf("stop: %s: the search is another: %+v, want %+v", test.stop, h, same)
			}
			if last := i == len(r.History)-1; test.status == "target reached" && last != (h.Hypervolume >= half) {
				t.Errorf("stop: %s: hypervolume %v after %d evaluations", test.stop, h.Hypervolume, h.Evaluations)
			}
		}
	}
}

func TestOffspring(t *testing.T) {
	_, r := runStudy(t, strings.Replace(study, "seed: 3", "seed: 3, population: 30, offspring: 10", 1), Options{})
	for i, h := range r.History {
		if want := 30 + 10*i; h.Evaluations != want {
			t.Fatalf("%d evaluations after generation %d, want %d", h.Evaluations, i, want)
		}
	}
}

// With an epsilon the front is smaller, and what it lacks is worse by less than that.
func TestEpsilon(t *testing.T) {
	_, whole := runStudy(t, study, Options{})
	_, part := runStudy(t, strings.Replace(study, "seed: 3", "seed: 3, epsilon: {accuracy: 1%, macs: 500k}", 1), Options{})
	if len(part.Front) > len(whole.Front)*3/4 || len(part.Front) < 5 {
		t.Errorf("%d networks on the front, %d without an epsilon", len(part.Front), len(whole.Front))
	}
	for _, m := range whole.Front {
		if !slices.ContainsFunc(part.Front, func(p Member) bool {
			return p.Bound > m.Bound-0.01-1e-9 && p.Costs.MACs < m.Costs.MACs+500_000
		}) {
			t.Errorf("nothing on the front is near %.4f with %d MACs", m.Bound, m.Costs.MACs)
		}
	}
}

func TestInterruption(t *testing.T) {
	c, err := load(t, strings.Replace(study, "evaluations: 400", "evaluations: 100000", 1))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := Run(ctx, c, Options{Observe: func(p Progress) {
		if p.Evaluations >= 60 {
			cancel()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Run.Status != "interrupted" || r.Run.Evaluations < 60 || r.Run.Evaluations == 100000 || len(r.Front) == 0 {
		t.Errorf("status %q after %d evaluations with %d networks", r.Run.Status, r.Run.Evaluations, len(r.Front))
	}
}

// finish runs a study in the folder dir to its end.
func finish(t *testing.T, c *Config, dir string, force bool) *Results {
	t.Helper()
	s, err := Create(c, dir, Options{}, force)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r, err := s.Run(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestResultsAreReadBackAsWritten(t *testing.T) {
	c, err := load(t, study)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "out")
	r := finish(t, c, dir, false)
	got, err := ReadResults(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(frontOf(t, r), frontOf(t, got)); diff != "" {
		t.Errorf("front:\n%s", diff)
	}
	if diff := cmp.Diff(r.Run, got.Run); diff != "" {
		t.Errorf("run:\n%s", diff)
	}
	if len(got.Explored) != len(r.Explored) {
		t.Errorf("%d explored networks, want %d", len(got.Explored), len(r.Explored))
	}
	for _, m := range r.Front {
		n, err := arch.Read(filepath.Join(dir, "architectures", m.ID+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if c, err := fp32().costs(n); err != nil || c != m.Costs {
			t.Errorf("architectures/%s.yaml costs %+v, want %+v, %v", m.ID, c, m.Costs, err)
		}
	}
	if _, err := OpenNetwork(dir + "#" + r.Front[0].ID); err != nil {
		t.Error(err)
	}
	if _, err := OpenNetwork(dir + "#nothing"); err == nil {
		t.Error("opened a network that is not there")
	}
}

// TestCreate looks at where a study may begin.
func TestCreate(t *testing.T) {
	c, err := load(t, study)
	if err != nil {
		t.Fatal(err)
	}
	parent := t.TempDir()
	in := func(name string) string { return filepath.Join(parent, name) }
	create := func(name string, force bool) (*Study, error) { return Create(c, in(name), Options{}, force) }
	if err := os.WriteFile(in("file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(in("foreign/sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(in("empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	deep, err := create("deep/down/below", false)
	if err != nil {
		t.Fatal(err)
	}
	deep.Discard()
	if _, err := os.Stat(in("deep")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("parents of a folder that was given up are left: %v", err)
	}
	first, err := create("claimed", false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := create("claimed", true); !errors.Is(err, ErrBusy) {
		t.Errorf("a study that is open: got %v", err)
	}
	if _, err := Resume(in("claimed")); !errors.Is(err, ErrBusy) {
		t.Errorf("to resume a study that is open: got %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := create("claimed", false); !errors.Is(err, ErrUnfinished) {
		t.Errorf("a study that has not ended: got %v", err)
	}
	for _, force := range []bool{false, true} {
		if _, err := create("foreign", force); err == nil || !strings.Contains(err.Error(), "not empty") {
			t.Errorf("a folder of somebody else: got %v", err)
		}
	}
	if _, err := create("file/x", false); err == nil || errors.Is(err, ErrInUse) {
		t.Errorf("below a file: got %v", err)
	}

	r := finish(t, c, in("empty"), false)
	if _, err := create("empty", false); !errors.Is(err, ErrInUse) {
		t.Errorf("a folder with results: got %v", err)
	}
	front, err := os.ReadFile(in("empty/front.csv"))
	if err != nil {
		t.Fatal(err)
	}

	// A study that is given up leaves what it was to replace.
	again, err := create("empty", true)
	if err != nil {
		t.Fatal(err)
	}
	again.Discard()
	if back, err := os.ReadFile(in("empty/front.csv")); err != nil || !bytes.Equal(back, front) {
		t.Errorf("the results are not what they were: %v", err)
	}

	// A link to a folder stays one, and what it leads to is replaced.
	if err := os.Symlink(in("empty"), in("link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(in("empty"), plotPNG)); err != nil {
		t.Fatal(err)
	}
	finish(t, c, in("link"), true)
	if info, err := os.Lstat(in("link")); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v, %v", info, err)
	}
	if _, err := os.Stat(filepath.Join(in("empty"), plotPNG)); err != nil {
		t.Errorf("the folder behind the link: %v", err)
	}
	if entries, err := filepath.Glob(in("empty/replaced*")); err != nil || len(entries) > 0 {
		t.Errorf("what was replaced is left: %v, %v", entries, err)
	}

	// What cannot be written leaves no results.
	s, err := create("broken", false)
	if err != nil {
		t.Fatal(err)
	}
	r.Front[0].Costs.MACs = 0 // not on a logarithmic axis
	if err := s.Write(r); err == nil {
		t.Fatal("wrote a front that cannot be drawn")
	}
	if _, err := os.Stat(in("broken/front.csv")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a front is left: %v", err)
	}
	s.Discard()
	if _, err := os.Stat(in("broken")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is left: %v", err)
	}
}

func BenchmarkCandidate(b *testing.B) {
	// Decode, lower, cost, features and prediction of one candidate of the
	// mobile space, in batches of 64 on one core.
	c, err := LoadConfig("../configs/mobile.yaml")
	if err != nil {
		b.Fatal(err)
	}
	benchmarkEvaluate(b, c)
}

func fp32() *meter { return &meter{precision: cost.FP32} }
