package strict

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// show writes a node as a test reads it: "1:6 integer 3".
func show(n *Node) any {
	at := fmt.Sprintf("%d:%d ", n.Line, n.Column)
	switch n.Kind {
	case List:
		list := []any{at + "list"}
		for _, item := range n.Items {
			list = append(list, show(item))
		}
		return list
	case Map:
		list := []any{at + "map"}
		for i, item := range n.Items {
			k := n.Keys[i]
			list = append(list, fmt.Sprintf("%d:%d %s", k.Line, k.Column, k.Name), show(item))
		}
		return list
	case Bool:
		return fmt.Sprint(at, n.Bool)
	case Int:
		return fmt.Sprint(at, n.Int)
	case Float:
		return fmt.Sprintf("%s%gf", at, n.Float)
	case String:
		return at + fmt.Sprintf("%q", n.Text)
	}
	return at + "null"
}

func TestParse(t *testing.T) {
	type list = []any
	for _, test := range []struct {
		name, data string
		want       any
	}{
		{"scalars", "[1, -2, +3, 1.5, 1e3, -.5, true, false, null, ~, word, \"quoted \\u00e9\", 'it''s', 0.0]",
			list{"1:1 list", "1:2 1", "1:5 -2", "1:9 3", "1:13 1.5f", "1:18 1000f", "1:23 -0.5f", "1:28 true", "1:34 false",
				"1:41 null", "1:47 null", `1:50 "word"`, `1:56 "quoted é"`, `1:73 "it's"`, "1:82 0f"}},
		{"block map", "a: 1\nb:\n  c: x\n  d:\n    - 1\n    - e: 2\n",
			list{"1:1 map", "1:1 a", "1:4 1", "2:1 b",
				list{"3:3 map", "3:3 c", `3:6 "x"`, "4:3 d",
					list{"5:5 list", "5:7 1", list{"6:7 map", "6:7 e", "6:10 2"}}}}},
		{"json", `{"a": [1, {"b": null}], "c": ""}`,
			list{"1:1 map", "1:2 a", list{"1:7 list", "1:8 1", list{"1:11 map", "1:12 b", "1:17 null"}}, "1:25 c", `1:30 ""`}},
		{"columns count characters", "{é: ü, ö: 1}", list{"1:1 map", "1:2 é", `1:5 "ü"`, "1:8 ö", "1:11 1"}},
		{"byte order mark", "\ufeffa: 1", list{"1:1 map", "1:1 a", "1:4 1"}},
		{"carriage returns", "a: 1\r\nb: 2\r\n", list{"1:1 map", "1:1 a", "1:4 1", "2:1 b", "2:4 2"}},
		{"comments and a header", "# one\n---\n# two [[[\na: 1 # three\n...\n# four\n", list{"4:1 map", "4:1 a", "4:4 1"}},
		{"no value", "a:\nb: 1\n", list{"1:1 map", "1:1 a", "1:3 null", "2:1 b", "2:4 1"}},
		{"text of several lines", "a: |\n  x\n  y\nb: 1\n", list{"1:1 map", "1:1 a", `1:4 "x\ny\n"`, "4:1 b", "4:4 1"}},
		{"brackets in text", "a: \"" + strings.Repeat("[", 100) + "\"\n# " + strings.Repeat("{", 100) + "\nb: 1",
			list{"1:1 map", "1:1 a", `1:4 "` + strings.Repeat("[", 100) + `"`, "3:1 b", "3:4 1"}},
		{"empty", "{a: [], b: {}}", list{"1:1 map", "1:2 a", list{"1:5 list"}, "1:9 b", list{"1:12 map"}}},
		{"numbers as keys", "{1: x, 2.5: y}", list{"1:1 map", "1:2 1", `1:5 "x"`, "1:8 2.5", `1:13 "y"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			n, err := Parse("f", []byte(test.data))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, show(n)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, test := range []struct{ name, data, want string }{
		{"empty", "", "f: the file is empty"},
		{"only a comment", "# nothing\n", "f: the file is empty"},
		{"only a header", "---\n", "f: the file is empty"},
		{"duplicate key", "a: 1\nb: 2\na: 3\n", `f:3:1: the key "a" stands twice, first in line 1`},
		{"duplicate key in flow style", "x: {a: 1,\n  a: 3}\n", `f:2:3: the key "a" stands twice, first in line 1`},
		{"anchor", "a: &x [1]\nb: *x\n", "f:1:4: anchors (&) and aliases (*) are not supported; write the value out"},
		{"alias", "a: *x\n", "f:1:4: anchors (&) and aliases (*) are not supported; write the value out"},
		{"bomb", "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", "f:1:4: anchors (&) and aliases (*) are not supported; write the value out"},
		{"tag", "a: !!int 3\n", "f:1:4: tags (!) are not supported; put text that begins with ! in quotes"},
		{"directive", "%YAML 1.2\n---\na: 1\n", "f:1:1: directives (%) are not supported; put text that begins with % in quotes"},
		{"complex key", "? a\n: 1\n", "f:1:1: complex keys (?) are not supported; put text that begins with ? in quotes"},
		{"merge key", "a: 1\n<<: {b: 2}\n", "f:2:1: merge keys (<<) are not supported; write the values out"},
		{"map as a key", "{a: 1}: 2\n", "f:1:7: found an invalid key for this map; a key is a plain word"},
		{"second document", "a: 1\n---\nb: 2\n", "f:2:1: a second document in one file; write one document a file"},
		{"document after the end", "a: 1\n...\nb: 2\n", "f:3:1: a second document in one file; write one document a file"},
		{"flow nesting", strings.Repeat("[", 33), "f:1:33: nested deeper than 32 levels"},
		{"flow nesting behind closing brackets in a comment", "#" + strings.Repeat("]", 99) + "\n" + strings.Repeat("[", 33), "f:2:33: nested deeper than 32 levels"},
		{"block nesting", strings.Repeat("- ", 33), "f:1:65: nested deeper than 32 levels"},
		{"octal", "a: 010\n", "f:1:4: 010 is no plain decimal number; if it is text, put it in quotes"},
		{"hexadecimal", "a: 0x10\n", "f:1:4: 0x10 is no plain decimal number; if it is text, put it in quotes"},
		{"underscores", "a: 1_000\n", "f:1:4: 1_000 is no plain decimal number; if it is text, put it in quotes"},
		{"large integer", "a: 9223372036854775808\n", "f:1:4: 9223372036854775808 is out of range"},
		{"very large integer", "a: 1" + strings.Repeat("0", 30), "f:1:4: 1" + strings.Repeat("0", 30) + " is out of range"},
		{"large float", "a: 1e999\n", "f:1:4: 1e999 is out of range"},
		{"infinity", "a: .inf\n", "f:1:4: .inf is not supported here"},
		{"not a number", "a: .nan\n", "f:1:4: .nan is not supported here"},
		{"binary", "a: 1\nb: \xff\n", "f:2:4: the byte 0xff is no text in UTF-8"},
		{"NUL", "a: \x00\n", "f:1:4: the control character 0x00 does not belong into a text file"},
		{"long key", strings.Repeat("k", 257) + ": 1", "f:1:1: a key of more than 256 bytes"},
		{"tab", "a:\n\tb: 1\n", "f:2:1: found character '\t' that cannot start any token; indent with spaces"},
		{"open bracket", "a: [1, 2\nb: 3\n", "f:2:1: ',' or ']' must be specified; a list that begins with [ is not closed before here"},
		{"open quote", "a: \"x\n", "f:1:4: could not find end character of double-quoted text; the quote that begins here is not closed"},
		{"bad indentation", "a: 1\n  b: 2\n", "f:1:4: mapping value is not allowed in this context; is a line indented too far, or does text with a colon need quotes?"},
		{"no colon", "a: 1\nb\n", "f:2:1: non-map value is specified; is a colon missing after a key?"},
		{"two values", "a: [1] 2\n", "f:1:8: value is not allowed in this context; is a line not indented like its neighbours, or does text need quotes?"},
		{"two colons", "a: b: c\n", "f:1:4: mapping value is not allowed in this context; is a line indented too far, or does text with a colon need quotes?"},
	} {
		t.Run(test.name, func(t *testing.T) {
			n, err := Parse("f", []byte(test.data))
			if err == nil {
				t.Fatalf("no error, got %v, want %s", show(n), test.want)
			}
			if n != nil {
				t.Error("a node with the error")
			}
			if got := err.Error(); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			var at *Error
			if !errors.As(err, &at) {
				t.Errorf("the error is a %T", err)
			}
		})
	}
}

// TestParseHostile is about what takes the parser quadratic time, or a deep
// stack, if it gets to see it.
func TestParseHostile(t *testing.T) {
	lines := func(format string, n int) string {
		var b strings.Builder
		for i := 0; b.Len() < n; i++ {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	staircase := func(line string) string {
		var b strings.Builder
		for i := 0; b.Len() < MaxBytes-2000; i++ {
			b.WriteString(strings.Repeat(" ", i) + line + "\n")
		}
		return b.String()
	}
	// Just within the bound on the tokens, so that the parser does see them.
	const some = maxTokens - 8
	inputs := map[string]string{
		"keys":         lines("k%d: 1\n", MaxBytes),
		"some keys":    lines("k%d: 1\n", 10*some/3),
		"long keys":    lines(strings.Repeat("k", 80)+"%d: 1\n", MaxBytes-100),
		"flow keys":    "{" + lines("k%d: 1,", some*2) + "}",
		"keys of keys": lines("k%d: {a: {b: {c: {}}}}\n", MaxBytes/4),
		"map stairs":   staircase("a:"),
		"list stairs":  staircase("-"),
		"one string":   strings.Repeat("x", MaxBytes),
		"one number":   strings.Repeat("1", MaxBytes),
		"long comment": "#" + strings.Repeat("x", MaxBytes-1),
		"fat value":    "a: " + strings.Repeat("x", MaxBytes/2) + "\n" + lines("k%d: 1\n", MaxBytes/4),
		"some list":    "[" + strings.Repeat("1,", some/2-4) + "]",
		"some dashes":  strings.Repeat("- 1\n", some/2),
		"some stairs":  strings.Repeat("- a:\n  - b:\n", some/6),
		"open quote":   "\"" + strings.Repeat("x\n", MaxBytes/2-2),
		"quotes":       strings.Repeat("\"\" ", MaxBytes/3),
		"escapes":      "\"" + strings.Repeat(`\x41`, MaxBytes/4-1) + "\"",
		"closed late":  "# " + strings.Repeat("]", 5000) + "\n" + strings.Repeat("[", 5000),
	}
	for _, unit := range []string{
		"- ", "-\n", "? ", "? a\n", "a: ", "a:\n", ": ", ":", ",", "[", "]", "{", "}", "&a ", "*a ", "! ", "!!str ", "%", "%YAML 1.2\n",
		"|", "|\n", "- |\n", ">", "'", "\"", "#\n", "---\n", "---\na\n", "...\n", "\t", "a:\t1\n", "\n", "\r", " ", "\x00", "\xff", "<<: 1\n",
		"x\n", "[a: ", "[{", "- ? ", "{? ", "`", "@", "- - a: ", "\u2028", "\ufeff", "é", "1 ", "a b: c d\n", "[]\n", "{}: ", "null\n",
	} {
		inputs[fmt.Sprintf("%q", unit)] = strings.Repeat(unit, MaxBytes/len(unit))
		inputs[fmt.Sprintf("some %q", unit)] = strings.Repeat(unit, some/len(unit))
		inputs[fmt.Sprintf("%q in brackets", unit)] = "[" + strings.Repeat(unit, some/len(unit)) + "]"
		inputs[fmt.Sprintf("%q in braces", unit)] = "{" + strings.Repeat(unit, some/len(unit)) + "}"
	}
	limit := time.Second
	if raceEnabled {
		limit *= 10
	}
	for name, data := range inputs {
		if raceEnabled {
			data = data[:len(data)/32]
		}
		var took time.Duration
		for range 3 { // another process may have had the processor
			start := time.Now()
			_, _ = Parse("f", []byte(data))
			if took = time.Since(start); took < limit {
				break
			}
		}
		if took >= limit {
			t.Errorf("%s: took %v", name, took)
		}
	}
}

func TestParseLimits(t *testing.T) {
	big := []byte("a: " + strings.Repeat("x", MaxBytes-3))
	if _, err := Parse("f", big); err != nil {
		t.Errorf("a file of MaxBytes: %v", err)
	}
	_, err := Parse("f", append(big, 'x'))
	if want := "f: the file is larger than 1024 KiB, the most that is read"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = Parse("f", []byte("- a\n"+strings.Repeat("- 1\n", maxTokens/2)))
	if want := fmt.Sprintf("f:%d:1: more than %d words and signs, the most that is read", 1+maxTokens/2, maxTokens); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	for _, deepest := range []string{
		strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth),
		strings.Repeat("- ", maxDepth) + "1",
	} {
		if _, err := Parse("f", []byte(deepest)); err != nil {
			t.Errorf("%d levels: %v", maxDepth, err)
		}
	}
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.yaml")
	if err := os.WriteFile(path, []byte("a: [1,\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(path); err == nil || !strings.HasPrefix(err.Error(), path+":1:") {
		t.Errorf("got %v, want an error in %s", err, path)
	}
	if err := os.WriteFile(path, make([]byte, 10<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(path); err == nil || err.Error() != path+": the file is larger than 1024 KiB, the most that is read" {
		t.Errorf("got %v", err)
	}
	if _, err := ReadFile(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want one that is fs.ErrNotExist", err)
	}
	if _, err := ReadFile(dir); err == nil {
		t.Error("no error for a directory")
	}
}

// FuzzParse checks that no bytes make Parse panic or hang, and that what it
// returns is well formed.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "a: 1", "a: [1, 2]\nb: {c: d}\n", "- a: 1\n  b:\n    - 2\n", `{"a": {"b": [1.5, null, true]}}`, "a: |\n  x\n", "a: &x 1\nb: *x\n",
		"? a\n: b\n", "---\na\n...\n", "'a': \"b\\n\"", "a: >-\n x\n\n y\n", "%YAML 1.2\n", "!!map {a: b}", "[a: b, c]", "a:\n- b\n-\n  - c",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := Parse("f", data)
		if err != nil {
			var at *Error
			if n != nil || !errors.As(err, &at) || at.Message == "" || strings.Contains(at.Message, "cannot be read as YAML (") {
				t.Fatalf("%v, %v", n, err)
			}
			return
		}
		check(t, n, 0)
	})
}

func check(t *testing.T, n *Node, depth int) {
	if n.Line < 1 || n.Column < 1 || n.File != "f" {
		t.Fatalf("a node at %v", n.Pos)
	}
	if depth > maxDepth {
		t.Fatal("nested too deep")
	}
	if n.Kind == Map && len(n.Keys) != len(n.Items) {
		t.Fatalf("%d keys for %d values", len(n.Keys), len(n.Items))
	}
	seen := make(map[string]bool)
	for _, k := range n.Keys {
		if seen[k.Name] || k.Line < 1 || k.Column < 1 {
			t.Fatalf("key %q at %v", k.Name, k.Pos)
		}
		seen[k.Name] = true
	}
	for _, item := range n.Items {
		check(t, item, depth+1)
	}
}
