package arch_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/efficientnas/nas/arch"
)

// graphJSON returns the layers of a network as JSON.
func graphJSON(t testing.TB, n *arch.Network) []byte {
	t.Helper()
	var g arch.Graph
	if err := n.Lower(&g); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(&g)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestGraphJSON(t *testing.T) {
	n, err := arch.Parse("small", []byte(`
input: {channels: 1, resolution: 8}
stem: {width: 4, stride: 2, pool: {kernel: 3, stride: 2, padding: 1, ceil_mode: true}}
stages:
  - {block: separable, width: 6, activation: relu6}
head: {dropout: 0.2, classes: 10}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"name":"input","op":"input","shape":[1,8,8]},
{"name":"stem.0.conv","op":"conv","inputs":[0],"shape":[4,4,4],"kernel":[3,3],"stride":2,"padding":[1,1],"dilation":1,"groups":1},
{"name":"stem.0.bn","op":"bn","inputs":[1],"shape":[4,4,4]},
{"name":"stem.0.relu","op":"activation","inputs":[2],"shape":[4,4,4],"function":"relu"},
{"name":"stem.max_pool","op":"max_pool","inputs":[3],"shape":[4,3,3],"kernel":[3,3],"stride":2,"padding":[1,1],"ceil":true},
{"name":"stages.0.0.depthwise.conv","op":"conv","inputs":[4],"shape":[4,3,3],"kernel":[3,3],"stride":1,"padding":[1,1],"dilation":1,"groups":4},
{"name":"stages.0.0.depthwise.bn","op":"bn","inputs":[5],"shape":[4,3,3]},
{"name":"stages.0.0.depthwise.relu6","op":"activation","inputs":[6],"shape":[4,3,3],"function":"relu6"},
{"name":"stages.0.0.pointwise.conv","op":"conv","inputs":[7],"shape":[6,3,3],"kernel":[1,1],"stride":1,"padding":[0,0],"dilation":1,"groups":1},
{"name":"stages.0.0.pointwise.bn","op":"bn","inputs":[8],"shape":[6,3,3]},
{"name":"stages.0.0.pointwise.relu6","op":"activation","inputs":[9],"shape":[6,3,3],"function":"relu6"},
{"name":"head.adaptive_avg_pool","op":"adaptive_avg_pool","inputs":[10],"shape":[6,1,1]},
{"name":"head.flatten","op":"flatten","inputs":[11],"shape":[6,1,1]},
{"name":"head.classifier.dropout","op":"dropout","inputs":[12],"shape":[6,1,1],"rate":0.2},
{"name":"head.classifier.linear","op":"linear","inputs":[13],"shape":[10,1,1],"bias":true}]`
	if diff := cmp.Diff(want, oneALine(graphJSON(t, n))); diff != "" {
		t.Error(diff)
	}
}

// oneALine puts every layer on a line of its own.
func oneALine(data []byte) string { return strings.ReplaceAll(string(data), "},{", "},\n{") }

// everyBlock has a stage of every block type, and every operation.
const everyBlock = `
input: {channels: 3, resolution: 64}
stem: {width: 8, stride: 2, pool: {kind: average, kernel: 2}}
stages:
  - {block: conv, width: 8, pool: {kernel: 3, stride: 1, padding: 1}}
  - {block: identity, width: 16, stride: 2}
  - {block: basic, width: 16, depth: 2}
  - {block: bottleneck, width: 24, stride: 2}
  - {block: grouped, width: 24, groups: 2, se: 0.25}
  - {block: fire, width: 32, squeeze: 8}
  - {block: separable, width: 32}
  - {block: inverted, width: 32, stride: 2, expansion: 2, se: 0.25, activation: hardswish}
  - {block: shuffle, width: 32, groups: 2}
  - {block: shuffle_v2, width: 32, depth: 2, stride: 2}
head: {width: 64, hidden: 16, dropout: 0.5, classes: 10}
`

// TestGraphJSONOfEveryBlock fails on every change of what trainers read. Those of
// users rely on it: a change that they could not follow needs another version of
// the protocol.
func TestGraphJSONOfEveryBlock(t *testing.T) {
	n, err := arch.Parse("every block", []byte(everyBlock))
	if err != nil {
		t.Fatal(err)
	}
	var used []string
	for i := range n.Stages {
		used = append(used, n.Stages[i].Block.Name())
	}
	for _, b := range builtin {
		if !slices.Contains(used, b.Name()) {
			t.Errorf("block type %s is missing", b.Name())
		}
	}
	got := oneALine(graphJSON(t, n)) + "\n"
	for op := arch.OpInput; op <= arch.OpDropout; op++ {
		if !strings.Contains(got, `"op":"`+op.String()+`"`) {
			t.Errorf("operation %s is missing", op)
		}
	}
	const golden = "testdata/every_block.json"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("go test ./arch -run TestGraphJSON -update writes it:\n%s", diff)
	}
}

// TestGraphJSONDocs checks that layers have the fields that the table of
// docs/evaluators.md gives their operation, and no others.
func TestGraphJSONDocs(t *testing.T) {
	page, err := os.ReadFile("../docs/evaluators.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "<!-- begin layers -->\n")
	table, _, ok := strings.Cut(table, "<!-- end layers -->")
	if !ok {
		t.Fatal("docs/evaluators.md has no table of layers")
	}
	words := func(cell string) []string {
		var all []string
		for _, m := range regexp.MustCompile("`([a-z_0-9]+)`").FindAllStringSubmatch(cell, -1) {
			all = append(all, m[1])
		}
		return all
	}
	var ops []string
	allowed, required := make(map[string][]string), make(map[string][]string) // fields by operation
	for i, line := range strings.Split(strings.TrimSpace(table), "\n")[2:] {
		cells := strings.Split(line, "|") // before the first bar there is nothing
		fields, of := words(cells[1]), words(cells[2])
		switch strings.TrimSpace(strings.SplitN(cells[2], "`", 2)[0]) {
		case "all":
			of = slices.Clone(ops)
		case "all but":
			without := of
			of = slices.DeleteFunc(slices.Clone(ops), func(op string) bool { return slices.Contains(without, op) })
		}
		if i == 0 { // op: its meaning lists the operations
			ops = words(cells[3])
			of = ops
		}
		for _, op := range of {
			allowed[op] = append(allowed[op], fields...)
			if !strings.Contains(cells[3], "absent:") {
				required[op] = append(required[op], fields...)
			}
		}
	}
	if len(ops) != int(arch.OpDropout)+1 {
		t.Errorf("the table has operations %v", ops)
	}

	n, err := arch.Parse("every block", []byte(everyBlock))
	if err != nil {
		t.Fatal(err)
	}
	networks := []*arch.Network{n}
	for _, name := range arch.References() {
		n, err := arch.Reference(name)
		if err != nil {
			t.Fatal(err)
		}
		networks = append(networks, n)
	}
	seen := make(map[string]bool)
	for _, n := range networks {
		var layers []map[string]any
		if err := json.Unmarshal(graphJSON(t, n), &layers); err != nil {
			t.Fatal(err)
		}
		for _, l := range layers {
			op := l["op"].(string)
			for field := range maps.Keys(l) {
				seen[field] = true
				if !slices.Contains(allowed[op], field) {
					t.Fatalf("%s %v has the field %s", n.Name, l["name"], field)
				}
			}
			for _, field := range required[op] {
				if _, ok := l[field]; !ok {
					t.Fatalf("%s %v has no field %s", n.Name, l["name"], field)
				}
			}
		}
	}
	for _, fields := range allowed {
		for _, field := range fields {
			if !seen[field] {
				t.Errorf("no layer has the field %s", field)
			}
		}
	}
}

func TestGraphJSONOfNoNetwork(t *testing.T) {
	var g arch.Graph
	if data, err := g.MarshalJSON(); err != nil || !bytes.Equal(data, []byte("[]")) {
		t.Errorf("of no layers: %s, %v", data, err)
	}
	g.Linear(g.Reset(arch.Shape{C: 1, H: 2, W: 2}), "p", 3, true)
	data, err := json.Marshal(&g)
	var e *arch.BuildError
	if !errors.As(err, &e) {
		t.Errorf("of a step that is impossible: %s, %v", data, err)
	}
}
