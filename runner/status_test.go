package runner

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/efficientnas/nas/internal/strict"
	"github.com/efficientnas/nas/internal/studydb"
)

// Throughput counts trainings by their share of the time, and neither waits for
// long ones nor is misled by interruptions.
func TestPace(t *testing.T) {
	begin := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	at := func(minutes float64) time.Time { return begin.Add(time.Duration(minutes * float64(time.Minute))) }
	type run struct {
		from, to float64 // minutes
		kind     stintKind
	}
	steady := func(from float64, n int, each float64, kind stintKind) (list []run) {
		for i := range n {
			list = append(list, run{from + float64(i)*each, from + float64(i+1)*each, kind})
		}
		return list
	}
	join := func(lists ...[]run) (all []run) {
		for _, l := range lists {
			all = append(all, l...)
		}
		return all
	}
	for _, test := range []struct {
		name    string
		list    []run
		mean    float64 // minutes
		perHour float64
		begun   float64
	}{
		{"nothing", nil, 1, 0, 0},
		{"one after the other", steady(0, 12, 5, counts), 5, 12, 0},
		{"two at a time", join(steady(0, 12, 5, counts), steady(2, 12, 5, counts)), 5, 23.6, 0},
		{"four of two hours each, the first of which has ended", join(
			steady(0, 1, 114, counts), steady(0, 1, 114.5, underWay), steady(0, 1, 114.5, underWay), steady(0, 1, 114.5, underWay),
		), 114, 4 * 60 / 114.5, 3},
		{"under way for a quarter", join(steady(0, 3, 20, counts), steady(60, 1, 5, underWay)), 20, 3, 0.25},
		{"one that hangs", join(steady(0, 1, 10, counts), steady(10, 1, 50, underWay)), 10, 2, 1},
		{"a night between", join(steady(0, 5, 10, counts), steady(600, 5, 10, counts)), 10, 6, 0},
		{"short breaths", join(steady(0, 1, 0.5, counts), steady(1, 1, 0.5, counts), steady(2, 1, 0.5, counts)), 0.5, 3 * 60 / 2.5, 0},
		{"another attempt for each", join(steady(0, 3, 20, counts), steady(60, 3, 20, repeated)), 20, 1.5, 0},
		{"faster of late", join(steady(0, 30, 60, counts), steady(1800, 60, 1, counts)), 1, 60, 0},
		{"hours each: twenty count", join(steady(0, 30, 10, counts), steady(300, 20, 120, counts)), 120, 0.5, 0},
		{"no time", []run{{0, 0, counts}}, 0, 0, 0},
		{"half a second each", []run{{1, 1, counts}, {1.5, 1.5, counts}}, 0, 240, 0},
	} {
		var w stopwatch
		for _, r := range test.list {
			w.add(at(r.from), at(r.to), r.kind)
		}
		perSecond, begun := w.pace(60 * test.mean)
		if math.Abs(3600*perSecond-test.perHour) > 1e-6 || math.Abs(begun-test.begun) > 1e-6 {
			t.Errorf("%s: %v an hour, %v begun; want %v and %v", test.name, 3600*perSecond, begun, test.perHour, test.begun)
		}
	}
}

// statusStudy makes the database of a study whose networks are trained, in a folder of its
// own. The program that trained them need not be there any more.
func statusStudy(t *testing.T, accuracy string) (string, *studydb.Writer) {
	t.Helper()
	config := `name: test
space:
  input: {resolution: 32}
  stem: {width: 16, stride: 2}
  stages: [{block: [separable, inverted], width: [16, 24, 32, 40], depth: [1, 2, 3], stride: 2}]
  head: {classes: 10}
objectives: {maximize: [accuracy], minimize: [macs]}
accuracy: ` + accuracy + `
search: {algorithm: evolution, evaluations: 20}
`
	dir := t.TempDir()
	w, err := studydb.Create(filepath.Join(dir, studyDB), studydb.Study{
		Name: "test", Config: config, Files: map[string][]byte{optionsJSON: []byte(`{"evaluations": 20}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return dir, w
}

func TestReadStatus(t *testing.T) {
	dir, w := statusStudy(t, `{command: [/no/such/program], epochs: 3}`)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	network := func(name string) json.RawMessage {
		return json.RawMessage(`{"name": "` + name + `", "input": {"resolution": 32}, "stem": {"width": 16}, "stages": [{"block": "basic", "width": 64}], "head": {"classes": 10}}`)
	}
	for i := range 8 {
		check(w.Queue(studydb.Proposal{ID: i, Key: string(rune('a' + i)), Architecture: network("test")}))
	}
	s, err := ReadStatus(dir)
	check(err)
	if s.State != "running" || s.Process == nil || s.Process.PID != os.Getpid() || s.Evaluations != 0 || s.PerHour != nil || s.Trials.Queued != 8 {
		t.Errorf("at the beginning: %+v", s)
	}

	check(w.Start("lab1", 0, 1, 2, 3, 4, 5))
	_, err = w.Finish(
		studydb.Result{Trial: 0, Accuracy: 0.5, Seconds: 600},
		studydb.Result{Trial: 1, Accuracy: 0.75, Seconds: 600},
		studydb.Result{Trial: 2, Error: "exit code 1: \x1b[31mout of\nmemory\u202e" + strings.Repeat("!", 500), Seconds: 600, Worker: "gpu\x1b]0;title\x07\n7"},
	)
	check(err)
	check(w.Retry(studydb.Result{Trial: 3, Error: "killed", Worker: "lab1", Seconds: 10}))
	check(w.Start("lab\t2", 3))
	check(w.Progress(studydb.Epoch{Trial: 3, Epoch: 1, Accuracy: 0.25}, studydb.Epoch{Trial: 3, Epoch: 2, Accuracy: 0.4}))
	check(w.Requeue(4))

	s, err = ReadStatus(dir)
	check(err)
	tr := s.Trials
	if s.Source != "command" || s.Algorithm != "evolution" || s.Evaluations != 3 || s.Total != 20 || *s.Best != 0.75 || *tr.MeanSeconds != 600 {
		t.Errorf("status %+v", s)
	}
	if diff := cmp.Diff([]int{3, 2, 2, 1, 1}, []int{tr.Queued, tr.Running, tr.Done, tr.Failed, tr.Repeated}); diff != "" {
		t.Error(diff)
	}
	if *s.PerHour < 17.9 || *s.PerHour > 18.1 || *s.SecondsLeft < 3390 || *s.SecondsLeft > 3410 { // three at a time, of ten minutes each
		t.Errorf("%v an hour, %v seconds left", *s.PerHour, *s.SecondsLeft)
	}
	if r := tr.Trainings[0]; len(tr.Trainings) != 2 || r.Trial != 3 || r.Worker != "lab 2" || r.Attempt != 2 || *r.Epoch != 2 || *r.Accuracy != 0.4 || len(r.ID) != 8 {
		t.Errorf("trainings %+v", tr.Trainings)
	}
	if r := tr.Trainings[1]; r.Trial != 5 || r.Epoch != nil || r.Accuracy != nil {
		t.Errorf("second training %+v", r)
	}
	failures := map[bool]StatusFailure{}
	for _, f := range tr.Failures {
		f.At = time.Time{}
		failures[f.Repeated] = f
	}
	long := strings.Join([]string{"exit code 1: out of memory", strings.Repeat("!", 300-len("exit code 1: out of memory")), "…"}, "")
	want := map[bool]StatusFailure{
		false: {Trial: 2, Worker: "gpu 7", Attempt: 1, Error: long},
		true:  {Trial: 3, Worker: "lab1", Attempt: 1, Repeated: true, Error: "killed"},
	}
	if diff := cmp.Diff(want, failures); diff != "" {
		t.Error(diff)
	}

	check(w.Close())
	s, err = ReadStatus(dir)
	check(err)
	if s.State != "stopped" || s.Process != nil || s.Trials.Running != 2 || s.SecondsLeft == nil {
		t.Errorf("stopped: %+v", s)
	}
	w, err = studydb.Open(filepath.Join(dir, studyDB))
	check(err)
	check(w.Save(studydb.Checkpoint{State: []byte("{}"), Ended: "target reached"}))
	check(w.Close())
	s, err = ReadStatus(dir)
	check(err)
	if s.State != "ended" || s.Ended != "target reached" || s.SecondsLeft != nil || s.PerHour == nil {
		t.Errorf("ended: %+v", s)
	}
}

func TestReadStatusOfWorkers(t *testing.T) {
	dir, _ := statusStudy(t, `{nats: nats://host:4222, queue: gpu}`)
	s, err := ReadStatus(dir)
	if err != nil || s.Source != "nats" || s.Trials.NATS != "nats://host:4222" || s.Trials.Queue != "gpu" {
		t.Errorf("%+v, %v", s, err)
	}
}

// A study whose evaluations are cheap says how far it was when it was kept last.
func TestReadStatusOfSearch(t *testing.T) {
	c, err := load(t, study)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "out")
	s, err := Create(c, dir, Options{}, false)
	if err != nil {
		t.Fatal(err)
	}
	now, err := ReadStatus(dir)
	if err != nil || now.State != "running" || now.Evaluations != 0 || now.PerHour != nil || !now.Search.Saved.IsZero() {
		t.Errorf("at the beginning: %+v, %v", now, err)
	}
	r, err := s.Run(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	now, err = ReadStatus(dir)
	if err != nil {
		t.Fatal(err)
	}
	last := r.History[len(r.History)-1]
	if now.State != "ended" || now.Ended != r.Run.Status || now.Source != "predictor" || now.Evaluations != 400 || now.Total != 400 ||
		now.Search.Front != len(r.Front) || now.Search.Hypervolume != last.Hypervolume || *now.Best != last.Best || *now.PerHour <= 0 || now.SecondsLeft != nil {
		t.Errorf("at the end: %+v %+v", now, now.Search)
	}

	var input *strict.Error
	for _, dir := range []string{t.TempDir(), "nowhere"} {
		if _, err := ReadStatus(dir); !errors.As(err, &input) {
			t.Errorf("no study: %v", err)
		}
	}
}
