package runner

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/efficientnas/nas/search"
)

// good is a configuration that is fine; the tests below break it in one place.
const good = `name: test
space:
  input: {resolution: [32, 64]}
  stem: {width: 16, stride: 2}
  stages:
    - {block: [conv, inverted], width: [16, 32], depth: [1, 2], stride: 2, groups: [1, 2]}
  head: {classes: 1000}
objectives: {maximize: [accuracy], minimize: [macs]}
constraints: {macs: 600M, params: {max: 7M}}
accuracy: {predictor: imagenet}
search: {algorithm: nsga2, population: 20, evaluations: 100, seed: 1}
`

func load(t *testing.T, text string) (*Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return LoadConfig(path)
}

func TestLoadConfig(t *testing.T) {
	c, err := load(t, good)
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "test" || c.Search.Evaluations != 100 || c.Search.Population != 20 || c.Search.Seed != 1 {
		t.Errorf("read %+v", c)
	}
	if c.Accuracy.Deviations != 1 {
		t.Errorf("Deviations = %v, want the default 1", c.Accuracy.Deviations)
	}
	if len(c.Constraints) != 2 || c.Constraints[0].Max != 600e6 || c.Constraints[1].Max != 7e6 {
		t.Errorf("Constraints = %+v", c.Constraints)
	}
	if got := c.Space.Size().String(); got != "24" { // 2 resolutions x 2 widths x 2 depths x (2 groups + 1)
		t.Errorf("Size = %s, want 24", got)
	}
}

func TestBadConfigs(t *testing.T) {
	for _, test := range []struct{ name, old, new, want string }{
		{
			"unknown key", "search: {algorithm", "search: {algoritm",
			`c.yaml:11:10: search: unknown key "algoritm"; did you mean "algorithm"? (allowed: algorithm, epsilon, evaluations, offspring, population, seed, stop, warm_start)`,
		},
		{
			"unknown section", "constraints:", "constraint:",
			`c.yaml:9:1: a run configuration: unknown key "constraint"; did you mean "constraints"? (allowed: accuracy, constraints, name, objectives, precision, search, space)`,
		},
		{"misspelt block", "inverted", "invertd", `c.yaml:6:`},
		{"misspelt algorithm", "nsga2", "nsga", `c.yaml:11:21: search: unknown algorithm "nsga"; did you mean "nsga2"? (allowed: evolution, `},
		{"wrong type", "evaluations: 100", "evaluations: many", `c.yaml:11:57: "evaluations" must be an integer, found the string "many"`},
		{"out of range", "evaluations: 100", "evaluations: 0", `c.yaml:11:57: "evaluations" must be from 1 to 100000000, found 0`},
		{"misspelt metric", "[macs]", "[mac]", `c.yaml:8:47: objectives: unknown metric "mac"; did you mean "macs"? (allowed: accuracy, activations, energy, flops, macs, params, peak_memory, weight_bytes)`},
		{"wrong direction", "minimize: [macs]", "minimize: [macs, accuracy]", `c.yaml:8:53: objectives: accuracy is a metric to maximize`},
		{"twice", "minimize: [macs]", "minimize: [macs, macs]", `c.yaml:8:53: objectives: macs stands twice`},
		{"one objective", "maximize: [accuracy], minimize: [macs]", "maximize: [accuracy]", `c.yaml:8:13: objectives: name at least one metric to minimize beside accuracy, such as macs`},
		{"no accuracy", "maximize: [accuracy], minimize: [macs]", "minimize: [macs]", `c.yaml:8:13: objectives: accuracy must be among those to maximize`},
		{"bad unit", "macs: 600M", "macs: 600MB", `c.yaml:9:21: the bound of macs: "600MB" is not a number with k, M, G or T, such as 600M`},
		{"bound of a list", "macs: 600M", "macs: [1, 2]", `c.yaml:9:21: the bound of macs must be a number with k, M, G or T, such as 600M, found a list`},
		{"impossible bound", "macs: 600M", "macs: 100k", `c.yaml:9:21: no network of the space is within macs <= 100k: the least is 200k, the greatest 6.64M`},
		{"empty choices", "width: [16, 32]", "width: []", `c.yaml:6:40: "width": the list of choices is empty`},
		{"groups that cannot divide", "groups: [1, 2]", "groups: [3, 5]", ``},
		{"bits", "accuracy: {p", "precision: {weights: 64}\naccuracy: {p", `c.yaml:10:22: "weights" must be from 1 to 32, found 64`},
		{"too few weight bytes", "params: {max: 7M}", "weight_bytes: 10B", `c.yaml:9:41: no network of the space is within weight_bytes <= 10 B: the least is 74.6 kB, the greatest 217 kB`},
		{"bytes for a count", "params: {max: 7M}", "energy: 2MB", `c.yaml:9:35: the bound of energy: "2MB" is not a number of picojoules, or with nJ, uJ, mJ or J, such as 2mJ`},
		{"an accuracy in percent", "params: {max: 7M}", "accuracy: 76", `c.yaml:9:37: the bound of accuracy: 76 is no share of 1, or a percentage, such as 0.7 or 70%`},
		{"no space", "\nspace:", "\nspaces:", `c.yaml:2:1: a run configuration: unknown key "spaces"; did you mean "space"?`},
		{"a path as name", "name: test", "name: ../test", `c.yaml:1:7: "name" names a folder: at most 64 letters, digits, '.', '_' and '-', a letter or digit first; found "../test"`},
		{"no accuracy", "{predictor: imagenet}", "{}", `c.yaml:10:11: accuracy: say where it comes from, one of "predictor", "table", "command", "nats"`},
		{"no such source", "{predictor:", "{predicter:", `c.yaml:10:12: accuracy: unknown key "predicter"; did you mean "predictor"?`},
		{"two sources", "imagenet}", "imagenet, table: x.csv}", `c.yaml:10:40: accuracy: "table" does not go with "predictor"`},
		{"a key of another source", "imagenet}", "imagenet, parallel: 2}", `c.yaml:10:43: accuracy: "parallel" does not go with "predictor"`},
		{"no arguments", "predictor: imagenet", "command: []", `c.yaml:10:21: "command" must be a list of a program and its arguments`},
		{"a line for a command", "predictor: imagenet", "command: python3 train.py", `c.yaml:10:21: "command" must be a list of a program and its arguments`},
		{"no such program", "predictor: imagenet", "command: [./no-such-program]", `c.yaml:10:21: accuracy: training command: "./no-such-program"`},
		{"a time without a unit", "predictor: imagenet", "command: [go], timeout: 30", `c.yaml:10:36: accuracy: "timeout" must be a time greater than 0, such as 90s, 30m or 2h, found 30`},
		{"a variable of ours", "predictor: imagenet", "command: [go], env: {NAS_REQUEST: x}", `c.yaml:10:21: accuracy: training command: environment variable NAS_REQUEST is set by nas`},
		{"deviations of what is measured", "predictor: imagenet", "command: [go], deviations: 1", `c.yaml:10:39: accuracy: "deviations" does not go with "command"`},
		{"no such rule", "predictor: imagenet", "command: [go], early_stopping: {rule: medium}", `c.yaml:10:50: early_stopping: unknown rule "medium"; did you mean "median"?`},
		{"a key of another rule", "predictor: imagenet", "command: [go], early_stopping: {rule: median, factor: 3}", `c.yaml:10:66: early_stopping: "factor" is a key of the rule "halving"`},
		{"a rung beyond the end", "predictor: imagenet", "command: [go], epochs: 4, early_stopping: {rule: halving, min_epochs: 4}", `c.yaml:10:54: early_stopping: successive halving`},
		{"no URL", "predictor: imagenet", "nats: localhost", `c.yaml:10:18: accuracy: "nats" must be the URL of a server, such as nats://host:4222`},
		{"a secret", "predictor: imagenet", "nats: nats://me:secret@host:4222", `c.yaml:10:18: accuracy: the URL of the server must not hold a name or a secret`},
		{"negative deviations", "imagenet}", "imagenet, deviations: -1}", `c.yaml:10:45: "deviations" must be from 0 to 10, found -1`},
		{"another algorithm's key", "nsga2", "random", `c.yaml:11:41: search: random has no "population"; it is a key of nsga2 and islands`},
		{"no offspring", "population: 20", "offspring: 0", `c.yaml:11:39: "offspring" must be from 1 to 100000, found 0`},
		{"stop at a number", "seed: 1", "stop: 100", `c.yaml:11:68: stop must be a map of keys and values, found 100`},
		{"misspelt stop", "seed: 1", "stop: {unchangd: 100}", `c.yaml:11:69: stop: unknown key "unchangd"; did you mean "unchanged"? (allowed: hypervolume, unchanged)`},
		{"stop at once", "seed: 1", "stop: {unchanged: 0}", `c.yaml:11:80: "unchanged" must be from 1 to 100000000, found 0`},
		{"no hypervolume", "seed: 1", "stop: {hypervolume: 0}", `c.yaml:11:82: "hypervolume" must be a number greater than 0, found 0`},
		{"hypervolume with a unit", "seed: 1", "stop: {hypervolume: 4M}", `c.yaml:11:82: "hypervolume" must be a number greater than 0, found the string "4M"`},
		{"epsilon of what is no objective", "seed: 1", "epsilon: {params: 1k}", `c.yaml:11:72: epsilon: unknown key "params" (allowed: accuracy, macs)`},
		{"epsilon below one", "seed: 1", "epsilon: {macs: 0.5}", `c.yaml:11:78: the epsilon of macs must be at least 1, found 0.5`},
		{"epsilon of nothing", "seed: 1", "epsilon: {accuracy: 0}", `c.yaml:11:82: the epsilon of accuracy must be at least 0.000001, found 0`},
		{"epsilon without a number", "seed: 1", "epsilon: {accuracy: [0.1]}", `c.yaml:11:82: the epsilon of accuracy must be a share of 1, or a percentage, such as 0.7 or 70%, found a list`},
		{"epsilon of bytes", "seed: 1", "epsilon: {macs: 1MB}", `c.yaml:11:78: the epsilon of macs: "1MB" is not a number with k, M, G or T, such as 600M`},
		{"a bomb", "name: test", "name: &a [*a, *a]", `c.yaml:1:7: `},
		{"two documents", "search:", "---\nsearch:", `c.yaml:11:1: a second document in one file`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !strings.Contains(good, test.old) {
				t.Fatalf("nothing to replace: %q", test.old)
			}
			_, err := load(t, strings.Replace(good, test.old, test.new, 1))
			if test.name == "groups that cannot divide" { // the inverted block still fits
				if err != nil {
					t.Errorf("got error %v, want a space without the impossible networks", err)
				}
				return
			}
			if err == nil {
				t.Fatal("no error")
			}
			got := err.Error()[strings.Index(err.Error(), "c.yaml"):]
			if !strings.HasPrefix(got, test.want) {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestSearchKeys(t *testing.T) {
	c, err := load(t, strings.Replace(good, "seed: 1",
		"seed: 1, offspring: 5, stop: {hypervolume: 1.5e8, unchanged: 300}, epsilon: {macs: 1M, accuracy: 0.1%}", 1))
	if err != nil {
		t.Fatal(err)
	}
	want := Search{
		Algorithm: "nsga2", Population: 20, Offspring: 5, Evaluations: 100, Seed: 1,
		Stop: Stop{Hypervolume: 1.5e8, Unchanged: 300}, Epsilon: []float64{0.001, 1e6},
	}
	if diff := cmp.Diff(want, c.Search, cmpopts.IgnoreUnexported(Search{})); diff != "" {
		t.Error(diff)
	}
	c, err = load(t, strings.Replace(good, "seed: 1", "epsilon: {macs: 1M}", 1))
	if err != nil {
		t.Fatal(err)
	}
	if want := []float64{0, 1e6}; !slices.Equal(c.Search.Epsilon, want) {
		t.Errorf("Epsilon = %v, want %v", c.Search.Epsilon, want)
	}
	if c, err = load(t, good); err != nil || c.Search.Epsilon != nil || c.Search.Stop != (Stop{}) {
		t.Errorf("without the keys: %+v, %v", c.Search, err)
	}
}

// Exactly those algorithms have a population that ownKeys says do: their first
// generation is as large.
func TestOwnKeys(t *testing.T) {
	c, err := load(t, strings.Replace(good, "width: [16, 32]", "width: {from: 8, to: 64}", 1))
	if err != nil {
		t.Fatal(err)
	}
	x, err := newSession(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	first := func(population int) int {
		c.Search.Population = population
		m, err := c.method(x.evaluator)
		if err != nil {
			t.Fatal(err)
		}
		batch, err := m.Ask(150)
		if err != nil {
			t.Fatal(err)
		}
		return len(batch)
	}
	for _, key := range ownKeys {
		for _, name := range key.algorithms {
			if !slices.Contains(Algorithms(), name) {
				t.Errorf("%q is a key of %s, which is no algorithm", key.key, name)
			}
		}
	}
	for _, c.Search.Algorithm = range Algorithms() {
		if has := slices.Contains(ownKeys[0].algorithms, c.Search.Algorithm); has != (first(4) < first(8)) {
			t.Errorf("%s: a population is its key: %v; of 4 it begins with %d, of 8 with %d", c.Search.Algorithm, has, first(4), first(8))
		}
	}
}

func TestSpaceFiles(t *testing.T) {
	inline := good[strings.Index(good, "space:"):strings.Index(good, "objectives:")]
	for path, want := range map[string]string{
		"nowhere.yaml": "nowhere.yaml does not exist",
		"'.'":          "is a folder, not a file",
		`""`:           "found an empty string",
	} {
		_, err := load(t, strings.Replace(good, inline, "space: "+path+"\n", 1))
		if err == nil || !strings.Contains(err.Error(), "c.yaml:2:8: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("space: %s: got error %v, want c.yaml:2:8: and %q", path, err, want)
		}
	}
}

func TestQuantities(t *testing.T) {
	for _, test := range []struct {
		unit unit
		text string
		want float64 // -1 for an error
	}{
		{count, "600M", 600e6},
		{count, "1.5G", 1.5e9},
		{count, "250k", 250e3},
		{count, "12", 12},
		{count, "3e8", 3e8},
		{count, "600 M", 600e6},
		{count, "600MB", -1},
		{count, "", -1},
		{count, "M", -1},
		{count, "1M2", -1},
		{count, "nan", -1},
		{size, "320kB", 320e3},
		{size, "1MiB", 1 << 20},
		{size, "1MB", 1e6},
		{size, "512", 512},
		{size, "1M", -1},
		{share, "0.7", 0.7},
		{joules, "2mJ", 2e9},
		{joules, "2 µJ", 2e6},
		{share, "70%", 0.7},
	} {
		got, err := test.unit.parse(test.text)
		if (err != nil) != (test.want == -1) || err == nil && (got-test.want)/test.want > 1e-12 {
			t.Errorf("parse(%q) = %v, %v, want %v", test.text, got, err, test.want)
		}
	}
	for _, test := range []struct {
		unit unit
		v    float64
		want string
	}{
		{count, 600e6, "600M"}, {count, 999_600, "1M"}, {count, 12, "12"}, {count, 1_234_567, "1.23M"},
		{size, 320e3, "320 kB"}, {share, 0.7341, "73.41 %"},
	} {
		if got := test.unit.format(test.v); got != test.want {
			t.Errorf("format(%v) = %q, want %q", test.v, got, test.want)
		}
	}
}

// Exactly those algorithms have offspring that ownKeys says do: so many networks
// they propose, once they know their first ones.
func TestOffspringAreProposedAtATime(t *testing.T) {
	c, err := load(t, strings.Replace(good, "width: [16, 32]", "width: {from: 8, to: 64}", 1))
	if err != nil {
		t.Fatal(err)
	}
	c.Search.Population = 0
	x, err := newSession(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	second := func(offspring int) int {
		c.Search.Offspring = offspring
		m, err := c.method(x.evaluator)
		if err != nil {
			t.Fatal(err)
		}
		for round := 0; ; round++ {
			batch, err := m.Ask(60)
			if err != nil {
				t.Fatal(err)
			}
			if round == 1 {
				return len(batch)
			}
			out := make([]search.Evaluation, len(batch))
			if err := x.evaluator.Evaluate(t.Context(), batch, out); err != nil {
				t.Fatal(err)
			}
			if err := m.Tell(batch, out); err != nil {
				t.Fatal(err)
			}
		}
	}
	var have []string
	for _, own := range ownKeys {
		if own.key == "offspring" {
			have = own.algorithms
		}
	}
	for _, c.Search.Algorithm = range Algorithms() {
		few, many := second(3), second(20)
		if has := slices.Contains(have, c.Search.Algorithm); has != (few == 3 && many == 20) {
			t.Errorf("%s: offspring is its key: %v; of 3 it proposes %d, of 20 %d", c.Search.Algorithm, has, few, many)
		}
	}
}

func TestLeavesIdle(t *testing.T) {
	for _, test := range []struct {
		algorithm           string
		parallel, offspring int
		want                bool
	}{
		{"random", 64, 0, false},
		{"nsga2", 1, 0, false},
		{"nsga2", 2, 0, true},
		{"nsga2", 8, 7, true},
		{"nsga2", 8, 8, false},
		{"guided", 4, 0, false},
		{"guided", 5, 0, true},
	} {
		c := &Config{Accuracy: Accuracy{Trials: &Trials{Parallel: test.parallel}}, Search: Search{Algorithm: test.algorithm, Offspring: test.offspring}}
		if got := c.LeavesIdle(); got != test.want {
			t.Errorf("%+v: got %v", test, got)
		}
	}
	if (&Config{Search: Search{Algorithm: "nsga2"}}).LeavesIdle() {
		t.Error("a study that trains nothing leaves trainings idle")
	}
}
