package queue

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/efficientnas/nas/internal/trainer"
)

// What is sent is what is received.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.Float64().Filter(func(v float64) bool { return !math.IsInf(v, 0) && !math.IsNaN(v) })
		name := rapid.StringMatching(`[a-z_0-9é]{1,20}`)
		j := job(rapid.IntRange(0, maxTrial).Draw(t, "trial"), rapid.IntRange(1, maxAttempt).Draw(t, "attempt"))
		j.Timeout = time.Duration(rapid.Int64Range(0, 1<<60).Draw(t, "timeout"))
		j.Request.Key = name.Draw(t, "key")
		j.Request.Dataset = rapid.StringN(0, 100, 400).Draw(t, "dataset")
		j.Request.Costs = rapid.MapOfN(name, number, 1, 5).Draw(t, "costs")
		j.Request.Seed = rapid.Uint32().Draw(t, "seed")
		j.Request.Layers = []byte(`[{"op":"conv"}]`)
		if strings.IndexByte(j.Request.Dataset, 0) >= 0 {
			t.Skip("refused")
		}
		data, err := encodeJob(study, j)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeJob(data, j.address(study))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(j, got); diff != "" {
			t.Error(diff)
		}

		e := Event{
			Trial: j.Trial, Attempt: j.Request.Attempt, Key: j.Request.Key, Kind: Ended,
			Worker: Identity{"w", "h", map[string]string{name.Draw(t, "label"): name.Draw(t, "value")}},
			Result: &trainer.Result{
				Accuracy: rapid.Float64Range(0, 1).Draw(t, "accuracy"), Epoch: rapid.IntRange(0, maxEpoch).Draw(t, "epoch"),
				Metrics: j.Request.Costs, Stopped: rapid.Bool().Draw(t, "stopped"), Duration: j.Timeout,
				Stderr: trainer.SafeText(rapid.String().Draw(t, "stderr")),
			},
		}
		if data, err = encodeEvent(study, e); err != nil {
			t.Fatal(err)
		}
		back, err := decodeEvent(data, study)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, back); diff != "" {
			t.Error(diff)
		}
	})
}

func TestJobLimits(t *testing.T) {
	tests := []struct {
		want   string
		change func(*Job)
	}{
		{"trial is -1", func(j *Job) { j.Trial = -1 }},
		{"attempt is 0, want 1", func(j *Job) { j.Request.Attempt = 0 }},
		{`key ""`, func(j *Job) { j.Request.Key = "" }},
		{`key "a\nb"`, func(j *Job) { j.Request.Key = "a\nb" }},
		{"key", func(j *Job) { j.Request.Key = strings.Repeat("k", 257) }},
		{"no JSON object", func(j *Job) { j.Request.Architecture = []byte(`[]`) }},
		{"no JSON object", func(j *Job) { j.Request.Architecture = []byte(`{"a":`) }},
		{"no JSON array", func(j *Job) { j.Request.Layers = []byte(`{}`) }},
		{"dataset", func(j *Job) { j.Request.Dataset = strings.Repeat("d", 5000) }},
		{"cost", func(j *Job) { j.Request.Costs = map[string]float64{"macs": math.Inf(1)} }},
		{"cost", func(j *Job) { j.Request.Costs = map[string]float64{"": 1} }},
		{"budget is -1", func(j *Job) { j.Request.Budget.Epochs = -1 }},
		{"time-out is -1s", func(j *Job) { j.Timeout = -time.Second }},
		{"bytes, at most 1044480", func(j *Job) { j.Request.Architecture = []byte(`{"a":"` + strings.Repeat("x", maxJob) + `"}`) }},
	}
	for _, test := range tests {
		j := job(1, 1)
		test.change(&j)
		if _, err := encodeJob(study, j); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
	if _, err := encodeJob("../x", job(1, 1)); err == nil {
		t.Error("a study may have any name")
	}
}

func TestDecodeEvent(t *testing.T) {
	const begin = `{"version":1,"study":"` + study + `","trial":1,"attempt":1,"key":"n","worker":{"name":"w","host":"h"},`
	tests := []struct{ rest, want string }{
		{`"kind":"started"}`, ""},
		{`"kind":"progress","progress":{"epoch":3,"accuracy":0.5}}`, ""},
		{`"kind":"ended","result":{"accuracy":1,"duration":5}}`, ""},
		{`"kind":"ended","failure":{"reason":"exit","message":"m","seconds":1}}`, ""},
		{`"kind":"started"} {}`, "something follows"},
		{`"kind":"started","result":{"accuracy":1,"duration":5}}`, "content of another kind"},
		{`"kind":"progress"}`, "content of another kind"},
		{`"kind":"ended"}`, "content of another kind"},
		{`"kind":"ended","result":{"accuracy":1,"duration":5},"failure":{"reason":"exit","message":"m","seconds":1}}`, "content of another kind"},
		{`"kind":"begun"}`, "kind is"},
		{`"kind":"ended","result":{"accuracy":1.5,"duration":5}}`, "accuracy is 1.5, want 0 to 1"},
		{`"kind":"ended","result":{"accuracy":NaN,"duration":5}}`, "cannot be read"},
		{`"kind":"progress","progress":{"epoch":-1,"accuracy":0.5}}`, "epoch is -1"},
		{`"kind":"started","more":1}`, "unknown field"},
		{`"kind":"started","version":2}`, "version 2, this nas understands 1"},
		{`"kind":"started","version":3,"more":1}`, "version 3"},
		{`"kind":"started","study":"x"}`, "of study"},
		{`"kind":"started","attempt":0}`, "attempt is 0"},
		{`"kind":"started","key":"` + strings.Repeat("x", maxEvent) + `"}`, "at most 262144 are allowed"},
	}
	for _, test := range tests {
		_, err := decodeEvent([]byte(begin+test.rest), study)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.100s: got %v, want %q", test.rest, err, test.want)
		}
	}
}

// Texts of a worker are safe to show, and limited.
func TestClean(t *testing.T) {
	e := Event{Kind: Ended, Key: "a\x1b[31m\nb", Worker: Identity{Name: strings.Repeat("é", 200), Labels: map[string]string{"a\x00": "b", "c": "d\r\n"}},
		Failure: &trainer.Failure{Reason: "\x1b]0;title\x07exit", Message: "x\ny", Stderr: "a\x1b[2J\r\nb", Seconds: math.Inf(1), Last: &trainer.Progress{Accuracy: 7}}}
	must(t, e.clean())
	want := Event{Kind: Ended, Key: "a b", Worker: Identity{Name: strings.Repeat("é", 64), Labels: map[string]string{"c": "d "}},
		Failure: &trainer.Failure{Reason: "exit", Message: "x y", Stderr: "a\nb"}}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Error(diff)
	}
	metrics := map[string]float64{"inf": math.Inf(1), strings.Repeat("x", 65): 1}
	for i := range 100 {
		metrics[string(rune('α'+i))] = 1
	}
	e = Event{Kind: Ended, Result: &trainer.Result{Metrics: metrics, Duration: -1}}
	must(t, e.clean())
	if len(e.Result.Metrics) != maxNumbers || e.Result.Duration != 0 {
		t.Errorf("%d metrics, %v", len(e.Result.Metrics), e.Result.Duration)
	}
}

func FuzzDecodeJob(f *testing.F) {
	j := job(1, 1)
	data, err := encodeJob(study, j)
	must(f, err)
	f.Add(data)
	f.Add([]byte(`{"version":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		j, err := decodeJob(data, address{study, 1, 1})
		if err != nil {
			return
		}
		again, err := encodeJob(study, j) // so all that it checks holds
		if err != nil {
			if len(data) > maxJob/8 {
				return // escaped, it is longer
			}
			t.Fatal(err)
		}
		if _, err = decodeJob(again, address{study, 1, 1}); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzDecodeEvent(f *testing.F) {
	for _, e := range []Event{
		{Trial: 1, Attempt: 1, Kind: Started},
		{Trial: 1, Attempt: 1, Kind: Progressed, Progress: &trainer.Progress{Epoch: 1, Accuracy: 0.5}},
		{Trial: 1, Attempt: 1, Kind: Ended, Result: &trainer.Result{Accuracy: 0.5, Metrics: map[string]float64{"loss": 1}, Stderr: "a\nb"}},
		{Trial: 1, Attempt: 1, Kind: Ended, Failure: &trainer.Failure{Reason: Lost, Message: "m", Last: &trainer.Progress{}}},
	} {
		data, err := encodeEvent(study, e)
		must(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := decodeEvent(data, study)
		if err != nil {
			return
		}
		for _, s := range append(texts(e.Worker), e.Key) {
			if s != trainer.SafeText(s) || strings.ContainsAny(s, "\n\t") {
				t.Fatalf("%q is not safe to show in a line", s)
			}
		}
		again, err := encodeEvent(study, e)
		if err != nil {
			t.Fatal(err)
		}
		e2, err := decodeEvent(again, study)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, e2); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzDecodeReply(f *testing.F) {
	data, err := encodeReply(WorkerStatus{Identity: Identity{Name: "w"}, Slots: 2})
	must(f, err)
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := decodeReply(data)
		if err != nil {
			return
		}
		for _, s := range texts(w.Identity) {
			if s != trainer.SafeText(s) || strings.ContainsAny(s, "\n\t") {
				t.Fatalf("%q is not safe to show in a line", s)
			}
		}
	})
}

func FuzzParseAddress(f *testing.F) {
	f.Add(study + ".1.2")
	f.Fuzz(func(t *testing.T, s string) {
		if a, ok := parseAddress(s); ok && a.String() != s {
			t.Errorf("%q is %v", s, a)
		}
	})
}

func texts(i Identity) []string {
	all := []string{i.Name, i.Host}
	for name, value := range i.Labels {
		all = append(all, name, value)
	}
	return all
}
