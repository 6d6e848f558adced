package strict

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// raceEnabled is set where the race detector makes everything slower.
var raceEnabled bool

func parse(t *testing.T, data string) *Node {
	t.Helper()
	n, err := Parse("f", []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestFieldsReads(t *testing.T) {
	f := parse(t, "{text: x, int: 3, float: 1.5, whole: 2, bool: true, list: [1], b: 1, a: 2}").Fields("a thing")
	if got := f.Text("text", ""); got != "x" {
		t.Errorf("Text: %q", got)
	}
	if got := f.Text("none", "d"); got != "d" {
		t.Errorf("Text of a missing key: %q", got)
	}
	if got := f.Int("int", 0, 1, 3); got != 3 {
		t.Errorf("Int: %d", got)
	}
	if got := f.Int("none", 7, 0, 1); got != 7 {
		t.Errorf("Int of a missing key: %d; the default need not be in range", got)
	}
	if got := f.Float("float", 0, 0, 2); got != 1.5 {
		t.Errorf("Float: %g", got)
	}
	if got := f.Float("whole", 0, 0, 2); got != 2 {
		t.Errorf("Float of an integer: %g", got)
	}
	if got := f.Float("none", 0.5, 0, 0); got != 0.5 {
		t.Errorf("Float of a missing key: %g", got)
	}
	if !f.Bool("bool", false) || !f.Bool("none", true) {
		t.Error("Bool")
	}
	if n := f.Get("list"); n == nil || n.Kind != List || len(n.Items) != 1 {
		t.Errorf("Get: %v", n)
	}
	if f.Get("none") != nil {
		t.Error("Get of a missing key")
	}
	f.Require("list")
	keys, values := f.Rest()
	if len(keys) != 2 || len(values) != 2 || keys[0].Name != "b" || values[1].Int != 2 || keys[1].Column != 70 {
		t.Errorf("Rest: %v %v", keys, values)
	}
	if err := f.Done(); err != nil {
		t.Error(err)
	}
	if keys, _ := f.Rest(); keys != nil {
		t.Errorf("Rest again: %v", keys)
	}
}

func TestFieldsRefuses(t *testing.T) {
	for _, test := range []struct {
		name, data string
		read       func(f *Fields)
		want       string
	}{
		{"no map", "[1]", func(f *Fields) { f.Int("a", 0, 0, 1); f.Rest(); f.Require("a") }, "f:1:1: a thing must be a map of keys and values, found a list"},
		{"nothing", "a:", func(f *Fields) { f.Fail(f.Get("a").Fields("an inner thing").Done()) },
			"f:1:4: an inner thing must be a map of keys and values, found nothing"},
		{"missing", "\n{b: 1}", func(f *Fields) { f.Require("a"); f.Get("b") }, `f:2:1: a thing has no "a"`},
		{"text", "{a: 1}", func(f *Fields) { f.Text("a", "") }, `f:1:5: "a" must be a string, found 1`},
		{"text, a boolean", "{a: true}", func(f *Fields) { f.Text("a", "") }, `f:1:5: "a" must be a string, found true`},
		{"integer, a string", "{a: x}", func(f *Fields) { f.Int("a", 0, 0, 1) }, `f:1:5: "a" must be an integer, found the string "x"`},
		{"integer, a fraction", "{a: 1.5}", func(f *Fields) { f.Int("a", 0, 0, 9) }, `f:1:5: "a" must be an integer, found 1.5`},
		{"integer, a map", "{a: {}}", func(f *Fields) { f.Int("a", 0, 0, 9) }, `f:1:5: "a" must be an integer, found an empty map`},
		{"integer, too large", "{a: 10}", func(f *Fields) { f.Int("a", 0, 0, 9) }, `f:1:5: "a" must be from 0 to 9, found 10`},
		{"integer, too small", "{a: -1}", func(f *Fields) { f.Int("a", 0, 0, 9) }, `f:1:5: "a" must be from 0 to 9, found -1`},
		{"number, a list", "{a: [1]}", func(f *Fields) { f.Float("a", 0, 0, 1) }, `f:1:5: "a" must be a number, found a list`},
		{"number, too large", "{a: 1.01}", func(f *Fields) { f.Float("a", 0, 0, 1) }, `f:1:5: "a" must be from 0 to 1, found 1.01`},
		{"boolean", "{a: yes}", func(f *Fields) { f.Bool("a", false) }, `f:1:5: "a" must be true or false, found the string "yes"`},
		{"unknown key", "kernal: 1\nb: 1\n", func(f *Fields) { f.Get("kernel"); f.Get("kernel"); f.Get("b") },
			`f:1:1: a thing: unknown key "kernal"; did you mean "kernel"? (allowed: b, kernel)`},
		{"the first error counts", "{a: x, b: y}", func(f *Fields) { f.Int("b", 0, 0, 1); f.Int("a", 0, 0, 1); f.Fail(nil) },
			`f:1:11: "b" must be an integer, found the string "y"`},
		{"unknown keys first", "{a: x, c: y}", func(f *Fields) { f.Int("a", 0, 0, 1) }, `f:1:8: a thing: unknown key "c" (allowed: a)`},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := parse(t, test.data).Fields("a thing")
			test.read(f)
			err := f.Done()
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestPos(t *testing.T) {
	for _, test := range []struct {
		pos  Pos
		want string
	}{
		{Pos{}, "wrong"},
		{Pos{File: "f"}, "f: wrong"},
		{Pos{Line: 2, Column: 3}, "line 2, column 3: wrong"},
		{Pos{"f", 2, 3}, "f:2:3: wrong"},
	} {
		if got := test.pos.Errorf("%s", "wrong").Error(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"kernel", "width", "depth", "expansion", "se", "se_of", "shuffle", "shuffle_v2"}
	for name, want := range map[string]string{
		"kernal": "kernel", "Kernel": "kernel", "wdith": "width", "dept": "depth", "expand": "", "expantion": "expansion",
		"ratio": "", "": "", "x": "", "ke": "se", "shufle_v2": "shuffle_v2", "shuffel": "shuffle", "SE": "se",
		strings.Repeat("w", 1000): "",
	} {
		if got := Nearest(name, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", name, got, want)
		}
	}
	if got := Nearest("a", nil); got != "" {
		t.Errorf("Nearest of nothing = %q", got)
	}
}

func TestUnknown(t *testing.T) {
	if got, want := Unknown("block", "invertd", []string{"inverted", "conv"}),
		`unknown block "invertd"; did you mean "inverted"? (allowed: conv, inverted)`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := Unknown("block", "zzz", nil), `unknown block "zzz"`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"kitten", "sitting", 3}, {"ca", "abc", 3}, {"width", "wdiht", 2},
	} {
		if got := distance(test.a, test.b); got != test.want {
			t.Errorf("distance(%q, %q) = %d, want %d", test.a, test.b, got, test.want)
		}
	}
	word := rapid.OneOf(rapid.StringMatching(`[abc]{0,8}`), rapid.StringMatching(`[ab]{60,70}`), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		d := distance(a, b)
		if back := distance(b, a); d != back {
			t.Errorf("%d one way, %d the other", d, back)
		}
		if (d == 0) != (a == b) {
			t.Errorf("distance %d", d)
		}
		if longest := max(len(a), len(b)); d < 0 || d > longest {
			t.Errorf("distance %d of words of up to %d bytes", d, longest)
		}
		if got := Nearest(a, []string{b, a}); a != "" && strings.ToLower(a) == a && !strings.EqualFold(a, b) && got != a {
			t.Errorf("Nearest(%q) = %q with itself among the candidates", a, got)
		}
	})
}
