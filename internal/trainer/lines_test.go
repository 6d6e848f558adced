package trainer

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestParseLine(t *testing.T) {
	many := `{"accuracy":0.5`
	for i := range maxMetrics + 1 {
		many += `,"` + repeat("m", i+1) + `":1`
	}
	tests := []struct {
		text string
		want line
		ok   bool
		err  string
	}{
		{text: ""},
		{text: "accuracy 0.5"},
		{text: "0.5"},
		{text: `["accuracy",0.5]`},
		{text: `{"accuracy":0.5`},
		{text: `{"accuracy":0.5} done`},
		{text: `{"Accuracy":0.5}`},
		{text: `{"loss":0.5,"of":"accuracy"}`},
		{text: `{"eval":{"accuracy":0.5}}`},
		{text: `{'accuracy':0.5}`},
		{text: `{"accuracy":0}`, want: line{}, ok: true},
		{text: `{"accuracy":1}`, want: line{accuracy: 1}, ok: true},
		{text: " \t{ \"accuracy\" : 5e-1 }\r\n", want: line{accuracy: 0.5}, ok: true},
		{text: `{"accuracy":0.4,"accuracy":0.5}`, want: line{accuracy: 0.5}, ok: true},
		{text: `{"accuracy":0.5,"epoch":3}`, want: line{accuracy: 0.5, epoch: 3, progress: true}, ok: true},
		{text: `{"accuracy":0.5,"epoch":0}`, want: line{accuracy: 0.5, progress: true}, ok: true},
		{text: `{"accuracy":0.5,"epoch":2.0}`, want: line{accuracy: 0.5, epoch: 2, progress: true}, ok: true},
		{
			text: `{"accuracy":0.5,"top5":0.9,"loss":-1e3,"gap":NaN,"x":-Infinity,"y":1e999,"ok":true,"s":"1","":1,"a\n":1}`,
			want: line{accuracy: 0.5, metrics: map[string]float64{"top5": 0.9, "loss": -1000}}, ok: true,
		},
		{
			text: `{"accuracy":0.5,"note":"a \"NaN\" it's","loss":nan,"NaN":1}`,
			want: line{accuracy: 0.5, metrics: map[string]float64{"NaN": 1}}, ok: true,
		},
		{text: `{"accuracy":NaN}`, err: "accuracy is NaN, want a number from 0 to 1"},
		{text: `{"epoch":1, "accuracy": -nan}`, err: "accuracy is -nan, want a number from 0 to 1"},
		{text: `{"accuracy":Infinity}`, err: "accuracy is Infinity, want a number from 0 to 1"},
		{text: `{"accuracy":-inf}`, err: "accuracy is -inf, want a number from 0 to 1"},
		{text: `{"accuracy":1e999}`, err: "accuracy is 1e999, want a number from 0 to 1"},
		{text: `{"accuracy":null}`, err: "accuracy is null, want a number from 0 to 1"},
		{text: `{"accuracy":"0.5"}`, err: `accuracy is "0.5", want a number from 0 to 1`},
		{text: `{"accuracy":[0.5]}`, err: "accuracy is [0.5], want a number from 0 to 1"},
		{text: `{"accuracy":-0.1}`, err: "accuracy is -0.1, want a number from 0 to 1"},
		{text: `{"accuracy":1.0001}`, err: "accuracy is 1.0001, want a number from 0 to 1; is it in percent?"},
		{text: `{"accuracy":101}`, err: "accuracy is 101, want a number from 0 to 1"},
		{
			text: `{"accuracy":"` + "\x9b31m\u202e" + repeat("z", 50) + `"}`,
			err:  `accuracy is "�31m` + repeat("z", 32) + "..., want a number from 0 to 1",
		},
		{text: `{"accuracy":0.5,"epoch":-1}`, err: "epoch is -1, want an integer from 0 to 1e9"},
		{text: `{"accuracy":0.5,"epoch":1.5}`, err: "epoch is 1.5, want an integer from 0 to 1e9"},
		{text: `{"accuracy":0.5,"epoch":2e9}`, err: "epoch is 2e9, want an integer from 0 to 1e9"},
		{text: `{"accuracy":0.5,"epoch":"1"}`, err: `epoch is "1", want an integer from 0 to 1e9`},
		{text: `{"accuracy":0.5,"epoch":null}`, err: "epoch is null, want an integer from 0 to 1e9"},
	}
	for _, test := range tests {
		got, ok, err := parseLine([]byte(test.text))
		message := ""
		if err != nil {
			message = err.Error()
		}
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(line{})); diff != "" || ok != test.ok || message != test.err {
			t.Errorf("%s: %v, %q\n%s", test.text, ok, message, diff)
		}
	}
	got, ok, err := parseLine([]byte(many + "}"))
	if !ok || err != nil || len(got.metrics) != maxMetrics {
		t.Errorf("of %d metrics: %d, %v, %v", maxMetrics+1, len(got.metrics), ok, err)
	}
}

func TestReadLines(t *testing.T) {
	long := repeat("x", 3*maxLine+5)
	fits := repeat("y", maxLine-1)
	tests := []struct {
		name, text string
		limit      int64
		want       []string
		err        error
	}{
		{name: "empty", limit: 10, want: []string{""}},
		{name: "lines", text: "a\nb\r\n\nc", limit: 100, want: []string{"a", "b", "", "c"}},
		{name: "progress bar", text: "10%\r20%\r{}\n", limit: 100, want: []string{"10%", "20%", "{}", ""}},
		{name: "long", text: "a\n" + long + "\nb\n" + fits + "\nc", limit: 1 << 20, want: []string{"a", "b", fits, "c"}},
		{name: "long at the end", text: "a\n" + long, limit: 1 << 20, want: []string{"a"}},
		{name: "limit", text: "a\nb\n", limit: 4, want: []string{"a", "b", ""}},
		{name: "beyond the limit", text: "a\nb\nc", limit: 4, want: []string{"a", "b"}, err: errTooMuch},
		{name: "endless line", text: long, limit: maxLine + 1, err: errTooMuch},
	}
	for _, test := range tests {
		var got []string // an empty one after the last end is harmless
		err := readLines(strings.NewReader(test.text), test.limit, func(b []byte) bool {
			got = append(got, string(b))
			return true
		})
		if !errors.Is(err, test.err) || !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, %.200q", test.name, err, got)
		}
	}
	var got []string
	err := readLines(iotest.OneByteReader(strings.NewReader("a\rb\nc\n")), 100, func(b []byte) bool {
		got = append(got, string(b))
		return string(b) != "b"
	})
	if err != nil || !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("stopped at b: %v, %q", err, got)
	}
}

// FuzzParseLine checks that every line is either nothing, an error that can be
// shown, or something that can be stored.
func FuzzParseLine(f *testing.F) {
	for _, s := range []string{
		`{"epoch":3,"accuracy":0.61}`, `{"accuracy":NaN,"loss":-inf}`, `{"accuracy":0.5,"a":"\"`, `{"accuracy":1e999}`,
		"{\"accuracy\":\"\x1b[31m\"}", `{"\u0061ccuracy":0.5,"accuracy":0.25}`, `{"accuracy":-`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		before := slices.Clone(text)
		l, ok, err := parseLine(text)
		if !slices.Equal(before, text) {
			t.Fatal("the line was changed")
		}
		if err != nil {
			if s := err.Error(); ok || s != SafeText(s) || strings.ContainsAny(s, "\n\t") || len(s) > 300 {
				t.Fatalf("%v, %q", ok, s)
			}
			return
		}
		if !ok {
			return
		}
		if !(l.accuracy >= 0 && l.accuracy <= 1) || l.epoch < 0 || l.epoch > maxEpoch || len(l.metrics) > maxMetrics {
			t.Fatalf("%+v", l)
		}
		for name, v := range l.metrics {
			if math.IsNaN(v) || math.IsInf(v, 0) || name == "" || len(name) > maxName || name != SafeText(name) {
				t.Fatalf("%q: %v", name, v)
			}
		}
	})
}
