package tabular

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/internal/strict"
	"github.com/efficientnas/nas/predictor"
	"github.com/efficientnas/nas/space"
)

// Spaces in which a table is not as easy as it looks.
const (
	// Genes are inactive, two stages do nothing in several ways, and options are
	// words, numbers and booleans.
	mixedSpace = `
input: {resolution: [16, 32]}
stem: {width: 8}
stages:
  - {block: [inverted, identity], width: 8, depth: [0, 1], expansion: [1, 2.5], always_expand: [true, false]}
  - {block: [inverted, identity], width: 8, depth: [0, 1], expansion: [1, 2.5], always_expand: [true, false]}
  - {block: inverted, width: 16, depth: [1, 2], kernel: [3, 5], per_block: [kernel]}
head: {classes: 10}
`
	// The first two blocks are the same, so the space counts networks twice.
	twiceSpace = `
input: {resolution: 32}
stem: {width: 8}
stages:
  - {block: [inverted, {block: inverted, kernel: 3}, {block: inverted, kernel: 5}], width: [8, 16]}
head: {classes: 10}
`
	oneSpace = `
input: {resolution: 32}
stem: {width: 8}
stages: [{block: conv, width: 16}]
head: {classes: 10}
`
)

func parseSpace(t testing.TB, text string) *space.Space {
	t.Helper()
	s, err := space.Parse("space.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func all(t testing.TB, s *space.Space) []space.Genome {
	t.Helper()
	genomes, err := s.All()
	if err != nil {
		t.Fatal(err)
	}
	return slices.Collect(genomes)
}

func architecture(t testing.TB, s *space.Space, g space.Genome) string {
	t.Helper()
	var n arch.Network
	s.Network(g, &n)
	text, err := json.Marshal(&n)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func geneNames(s *space.Space) []string {
	var names []string
	for _, g := range s.Genes() {
		names = append(names, g.Name)
	}
	return names
}

func writeCSV(t testing.TB, rows [][]string) string {
	t.Helper()
	var b strings.Builder
	if err := csv.NewWriter(&b).WriteAll(rows); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// forms write accuracies of networks as each kind of table that is no benchmark.
var forms = []struct {
	name, key string
	write     func(t testing.TB, s *space.Space, genomes []space.Genome, accuracies []float64) string
}{
	{"genes", "genes", func(t testing.TB, s *space.Space, genomes []space.Genome, accuracies []float64) string {
		rows := [][]string{append([]string{"id", "accuracy", "accuracy_sd", "macs"}, geneNames(s)...)}
		for i, g := range genomes {
			rows = append(rows, append([]string{fmt.Sprint(i), fmt.Sprint(accuracies[i]), "0.1", "7"}, s.Words(g)...))
		}
		return writeCSV(t, rows)
	}},
	{"architecture", "architecture", func(t testing.TB, s *space.Space, genomes []space.Genome, accuracies []float64) string {
		rows := [][]string{{"architecture", "accuracy"}}
		for i, g := range genomes {
			rows = append(rows, []string{architecture(t, s, g), fmt.Sprint(accuracies[i])})
		}
		return writeCSV(t, rows)
	}},
	{"lines", "architecture", func(t testing.TB, s *space.Space, genomes []space.Genome, accuracies []float64) string {
		var b bytes.Buffer
		records := make([]predictor.Record, len(genomes))
		for i, g := range genomes {
			n := new(arch.Network)
			s.Network(g, n)
			n.Name = fmt.Sprint("network ", i) // which changes nothing
			records[i] = predictor.Record{Network: n, Accuracy: accuracies[i], Dataset: "cifar10", Recipe: "mine", Epochs: 12}
		}
		if err := predictor.WriteRecords(&b, records); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}},
}

// What is written of all networks of a space is found again, in whatever form.
func TestMeasuredRoundTrip(t *testing.T) {
	for name, text := range map[string]string{"macro": macroSpace, "accel": accelSpace, "mixed": mixedSpace, "one": oneSpace} {
		s := parseSpace(t, text)
		genomes := all(t, s)
		accuracies := make([]float64, len(genomes))
		for i := range accuracies {
			accuracies[i] = float64(i+1) / float64(len(genomes)+1)
		}
		for _, form := range forms {
			t.Run(name+"/"+form.name, func(t *testing.T) {
				table := []byte(form.write(t, s, genomes, accuracies))
				for _, file := range []struct {
					key  string
					data []byte
				}{{"", table}, {form.key, compress(t, string(table))}, {"", append([]byte("\ufeff"), table...)}} {
					path := filepath.Join(t.TempDir(), "table")
					if err := os.WriteFile(path, file.data, 0o666); err != nil {
						t.Fatal(err)
					}
					m, err := ReadMeasured(path, file.key, s)
					if err != nil {
						t.Fatal(err)
					}
					if m.Len() != len(genomes) || m.Outside() != 0 {
						t.Fatalf("%d networks and %d outside, want %d", m.Len(), m.Outside(), len(genomes))
					}
					for i, g := range genomes {
						if a, ok := m.Accuracy(g); !ok || a != (Accuracy{Mean: accuracies[i], N: 1}) {
							t.Fatalf("%v: %v, %v, want %v", s.Words(g), a, ok, accuracies[i])
						}
					}
				}
			})
		}
	}
}

// A genome that is not canonical, and one of two that the space tells apart for
// the same architecture, are found whichever of them stands in the table.
func TestMeasuredSameNetwork(t *testing.T) {
	s := parseSpace(t, twiceSpace)
	genomes := all(t, s)
	for _, form := range forms {
		for i, g := range genomes {
			m, err := readMeasured("t", strings.NewReader(form.write(t, s, []space.Genome{g}, []float64{0.5})), form.key, s)
			if err != nil {
				t.Fatal(err)
			}
			for j, h := range genomes {
				want := architecture(t, s, g) == architecture(t, s, h)
				if _, ok := m.Accuracy(h); ok != want {
					t.Errorf("%s: genome %d is found in a table of genome %d: %v, want %v", form.name, j, i, ok, want)
				}
			}
		}
	}

	s = parseSpace(t, mixedSpace)
	table := "accuracy," + strings.Join(geneNames(s), ",") + "\n"
	row := func(accuracy string, words map[string]string) {
		table += accuracy
		for _, name := range geneNames(s) {
			table += "," + words[name]
		}
		table += "\n"
	}
	// Stage 1 does something and stage 0 does not, and the other way round; inactive
	// genes are written, too; numbers and booleans as Python writes them.
	row("0.5", map[string]string{
		"input.resolution": "16.0", "stages.0.depth": "0", "stages.0.block": "identity", "stages.0.expansion": "2.5",
		"stages.1.block": "inverted", "stages.1.depth": "1", "stages.1.expansion": "2.50", "stages.1.always_expand": "True",
		"stages.2.depth": "1", "stages.2.0.kernel": "3",
	})
	row("0.7", map[string]string{
		"input.resolution": "1.6e1", "stages.1.depth": "1", "stages.1.block": "identity",
		"stages.0.block": "inverted", "stages.0.depth": " 1 ", "stages.0.expansion": "2.5", "stages.0.always_expand": "true",
		"stages.2.depth": "1.", "stages.2.0.kernel": "3", "stages.2.1.kernel": "5",
	})
	m, err := readMeasured("t", strings.NewReader(table), "", s)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, g := range all(t, s) {
		if a, ok := m.Accuracy(g); ok {
			found++
			if a.N != 2 || math.Abs(a.Mean-0.6) > 1e-15 || math.Abs(a.SD-0.1*math.Sqrt2) > 1e-15 {
				t.Errorf("%+v", a)
			}
		}
	}
	if found != 1 || m.Len() != 1 {
		t.Errorf("%d found, %d networks, want 1", found, m.Len())
	}
}

func TestMeasured(t *testing.T) {
	one := architecture(t, parseSpace(t, oneSpace), space.Genome{})
	quoted := `"` + strings.ReplaceAll(one, `"`, `""`) + `"`
	wide := strings.ReplaceAll(one, `"width":16`, `"width":17`)
	const genes = "stages.0.block,stages.1.block,stages.2.block"
	const plain, better = "inverted expansion=3", "identity"
	for _, test := range []struct {
		name, space, table, key string
		len, outside            int
		want                    map[string]Accuracy // by the genes in words
	}{
		{"benchmark", macroSpace, macroTable, "", 3, 0, map[string]Accuracy{
			"inverted expansion=3,identity,identity": {0.5002, 0.0001, 3}, "identity,identity,identity": {0.41, 0.01, 3},
		}},
		{"benchmark by its key", macroSpace, macroTable, "real_arch", 3, 0, nil},
		{"benchmark by its other key", macroSpace, macroTable, "arch", 3, 0, nil},
		{"other benchmark", accelSpace, accelTable, "id", 2, 0, map[string]Accuracy{"1,1,3,0,3,3": {0.595, 0, 1}}},
		{"averaged", macroSpace, "accuracy," + genes + "\n0.5,identity,identity,identity\n0.6,identity,identity,identity\n0.7,identity,identity,identity\n",
			"", 1, 0, map[string]Accuracy{"identity,identity,identity": {0.6, 0.1, 3}}},
		{"equal ones", macroSpace, genes + ",accuracy\n" + strings.Repeat("identity,identity,identity,0.7\n", 10), "genes", 1, 0,
			map[string]Accuracy{"identity,identity,identity": {0.7, 0, 10}}},
		{"another order, other columns, windows", macroSpace, "stages.2.block,what,stages.1.block,accuracy,stages.0.block,\r\n" +
			plain + ",?," + better + ", 1 ," + better + ",\r\n\r\n", "", 1, 0, map[string]Accuracy{"identity,identity,inverted expansion=3": {1, 0, 1}}},
		{"alike trained", macroSpace, "dataset,recipe,epochs,accuracy," + genes + "\na,b,3,0,identity,identity,identity\na,b,3,1,identity,identity,identity\n", "", 1, 0, nil},
		{"architectures", oneSpace, "x,accuracy\n" + quoted + ",0.5\n", "x", 1, 0, map[string]Accuracy{"": {0.5, 0, 1}}},
		{"architectures before genes", oneSpace, "accuracy,architecture\n0.5," + quoted + "\n", "", 1, 0, nil},
		{"no genes", oneSpace, "accuracy\n0.5\n", "", 1, 0, map[string]Accuracy{"": {0.5, 0, 1}}},
		{"some outside", oneSpace, "accuracy,architecture\n0.1," + strings.ReplaceAll(quoted, `""width"":16`, `""width"":17`) + "\n0.5," + quoted + "\n", "", 1, 1,
			map[string]Accuracy{"": {0.5, 0, 1}}},
		{"lines", oneSpace, "\n" + `{"accuracy": 1, "architecture": ` + one + `, "who": {"knows": []}}` + "\r\n\n" + `{"architecture": ` + wide + `, "accuracy": 0.5}`, "", 1, 1,
			map[string]Accuracy{"": {1, 0, 1}}},
		{"lines with another key", oneSpace, `{"accuracy": 0, "net": ` + one + `}`, "net", 1, 0, map[string]Accuracy{"": {0, 0, 1}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := parseSpace(t, test.space)
			m, err := readMeasured("t", strings.NewReader(test.table), test.key, s)
			if err != nil {
				t.Fatal(err)
			}
			if m.Len() != test.len || m.Outside() != test.outside {
				t.Errorf("%d networks and %d outside, want %d and %d", m.Len(), m.Outside(), test.len, test.outside)
			}
			found := 0
			for _, g := range all(t, s) {
				words := strings.Join(s.Words(g), ",")
				got, ok := m.Accuracy(g)
				if ok {
					found++
				}
				want, listed := test.want[words]
				if listed && (!ok || got.Mean != want.Mean || math.Abs(got.SD-want.SD) > 1e-15 || got.N != want.N) {
					t.Errorf("%s: %+v, %v, want %+v", words, got, ok, want)
				}
				delete(test.want, words)
			}
			if found != test.len || len(test.want) != 0 {
				t.Errorf("%d are found of %d; not asked for: %v", found, test.len, test.want)
			}
		})
	}
}

func TestReadMeasuredRefuses(t *testing.T) {
	one := architecture(t, parseSpace(t, oneSpace), space.Genome{})
	cell := func(text string) string { return `"` + strings.ReplaceAll(text, `"`, `""`) + `"` }
	narrow := strings.Replace(one, `"width":16`, `"width":17`, 1)
	const unknown = "; known are accel_nasbench with id, split, e, k, l, se, top1, params, macs224" +
		"; nas_bench_macro with arch, real_arch, acc1, acc2, acc3, mean_acc, params, macs" +
		`; "accuracy" with the genes stages.0.block, stages.1.block, stages.2.block; "accuracy" with "architecture" in JSON; and lines of JSON with both`
	const header = "accuracy,stages.0.block,stages.1.block,stages.2.block\n"
	const head = "accuracy,architecture\n"
	const inverted = "inverted expansion=3"
	for _, test := range []struct{ name, space, table, key, want string }{
		{"empty", macroSpace, "", "", "t: the table is empty"},
		{"blank", macroSpace, " \n\n", "", `t:1:1: unknown table with the columns " "` + unknown},
		{"no rows", macroSpace, header, "", "t: the table has no rows"},
		{"no rows of a benchmark", macroSpace, strings.SplitAfter(macroTable, "\n")[0], "", "t: the table has no rows"},
		{"not gzip", macroSpace, "\x1f\x8b\x00\x00", "", "t: unexpected EOF"},
		{"gzip cut off", macroSpace, string(compress(t, macroTable)[:40]), "", "t: unexpected EOF"},
		{"unknown table", macroSpace, "a,b\n1,2\n", "", `t:1:1: unknown table with the columns "a, b"` + unknown},
		{"a column twice", macroSpace, "accuracy,a,a\n", "", `t:1:12: the column "a" stands twice`},
		{"benchmark, another key", macroSpace, macroTable, "id", `t:1:1: a table of nas_bench_macro: unknown key "id" (allowed: arch, real_arch)`},
		{"benchmark, a mistake", macroSpace, strings.Replace(macroTable, "562", "563", 1), "", "t:2:23: the network has 562 parameters, found 563"},
		{"unknown key", macroSpace, "accuracy,architecture,net,recipe\n", "arhitecture",
			`t:1:1: unknown key "arhitecture"; did you mean "architecture"? (allowed: architecture, net)`},
		{"unknown key, with genes", macroSpace, header, "gene", `t:1:1: unknown key "gene"; did you mean "genes"? (allowed: genes)`},
		{"no accuracy", macroSpace, strings.TrimPrefix(header, "accuracy,"), "", `t:1:1: there is no column "accuracy"`},
		{"no accuracy, with a key", macroSpace, "x\n", "x", `t:1:1: there is no column "accuracy"`},
		{"genes missing", macroSpace, "accuracy,stages.1.block\n", "", "t:1:1: there is no column for 2 of the 3 genes of the space: stages.0.block, stages.2.block"},
		{"no genes", macroSpace, "accuracy,architecture\n", "genes",
			"t:1:1: there is no column for 3 of the 3 genes of the space: stages.0.block, stages.1.block, stages.2.block"},
		{"unknown gene", macroSpace, strings.TrimSpace(header) + ",stages.2.kernel\n", "",
			`t:1:55: unknown gene "stages.2.kernel"; did you mean "stages.2.block"? (allowed: stages.0.block, stages.1.block, stages.2.block)`},
		{"unknown gene of the whole", macroSpace, "norm," + header, "", `t:1:1: unknown gene "norm" (allowed: stages.0.block, stages.1.block, stages.2.block)`},
		{"fields missing", macroSpace, header + "0.5,identity\n", "", "t:2:1: the header has 4 columns, this line has not"},
		{"a quote", macroSpace, header + "0.5,ident\"ity,identity,identity\n", "", `t:2:10: bare " in non-quoted-field`},
		{"not an option", macroSpace, header + "0.5,identity,identiti,identity\n", "",
			`t:2:14: stages.1.block = "identiti" is not in the space, which has identity, inverted expansion=3`},
		{"no such number", accelSpace, "accuracy," + strings.Join(geneNames(parseSpace(t, accelSpace)), ",") + "\n0.5,1,2,3,0,3,3\n", "",
			`t:2:7: stages.0.expansion = "2" is not in the space, which has 1, 4`},
		{"an active gene is empty", macroSpace, header + "0.5,identity,,identity\n", "",
			`t:2:14: stages.1.block is empty, but this network depends on it; the space has identity, inverted expansion=3`},
		{"cannot be built", strings.Replace(macroSpace, "resolution: 32", "resolution: [1, 32]", 1), "input.resolution," + header + "1,0.5,identity,identity," + inverted + "\n", "",
			"t:2:1: the network cannot be built: stages.2.0: a map of 1 pixel cannot be downsampled: the resolution is too small for the strides"},
		{"accuracy in percent", macroSpace, header + "93.1,identity,identity,identity\n", "", `t:2:1: "accuracy" must be from 0 to 1, found 93.1`},
		{"accuracy negative", macroSpace, header + "-0.1,identity,identity,identity\n", "", `t:2:1: "accuracy" must be from 0 to 1, found -0.1`},
		{"accuracy not a number", macroSpace, header + "NaN,identity,identity,identity\n", "", `t:2:1: "accuracy" must be from 0 to 1, found NaN`},
		{"no accuracy in a line", macroSpace, header + ",identity,identity,identity\n", "", `t:2:1: "accuracy" must be a number, found ""`},
		{"trained otherwise", oneSpace, "recipe,accuracy\na,0.5\nb,0.5\n", "", `t:3:1: "recipe" is "b", but "a" in line 2; the networks of a table must be trained alike`},

		{"cell, no JSON", oneSpace, head + "0.5,mobilenet_v2\n", "", `t:2:5: "architecture": no architecture in JSON: invalid character 'm' looking for beginning of value`},
		{"cell, JSON cut off", oneSpace, head + `0.5,"{""input"":}"`, "",
			`t:2:17: "architecture": no architecture in JSON: invalid character '}' looking for beginning of value`},
		{"cell, a list", oneSpace, head + "0.5,[]\n", "", `t:2:5: "architecture": an architecture must be a map of keys and values, found an empty list`},
		{"cell, unknown block", oneSpace, head + "0.5," + cell(`{"stages":[{"block":"cnv"}],"input":{"resolution":32},"stem":{"width":8},"head":{"classes":10}}`) + "\n", "",
			`t:2:30: "architecture": stages.0.block: unknown block "cnv"; did you mean "conv"?`},
		{"cell, of several lines", oneSpace, head + "0.5," + cell("{\"stages\":\n [{\"block\": \"cnv\"}],\"input\":{\"resolution\":32},\"stem\":{\"width\":8},\"head\":{\"classes\":10}}") + "\n", "",
			`t:3:15: "architecture": stages.0.block: unknown block "cnv"; did you mean "conv"?`},
		{"cell, a space", oneSpace, head + "0.5," + cell(strings.Replace(one, `"width":16`, `"width":[16,24]`, 1)) + "\n", "", "t:2:"},
		{"all outside", oneSpace, head + "0.5," + cell(narrow) + "\n0.5," + cell(narrow) + "\n", "",
			"t:2:1: none of the 2 architectures of the table is of the space, this one because stages.0.width = 17 is not among the choices [16]"},

		{"line, cut off", oneSpace, "{\n}", "", "t:1:1: no JSON object, of which there is one a line: unexpected end of JSON input"},
		{"line, YAML", oneSpace, "{accuracy: 1}", "", "t:1:2: no JSON object, of which there is one a line: invalid character 'a' looking for beginning of object key string"},
		{"line, a list", oneSpace, "[1]", "", "t:1:1: a measured network must be a map of keys and values, found a list"},
		{"line, no accuracy", oneSpace, "\n" + `{"architecture": ` + one + `}`, "", `t:2:1: a measured network has no "accuracy"`},
		{"line, accuracy", oneSpace, `{"accuracy": 93.1, "architecture": ` + one + `}`, "", `t:1:14: "accuracy" must be from 0 to 1, found 93.1`},
		{"line, no accuracy but text", oneSpace, `{"accuracy": "high"}`, "", `t:1:14: "accuracy" must be a number, found the string "high"`},
		{"line, no architecture", oneSpace, `{"accuracy": 0.5, "net": 1, "recipe": "x"}`, "", `t:1:1: unknown key "architecture" (allowed: net)`},
		{"line, unknown key", oneSpace, `{"accuracy": 0.5, "architecture": ` + one + `}`, "architectur",
			`t:1:1: unknown key "architectur"; did you mean "architecture"? (allowed: architecture)`},
		{"line, a key twice", oneSpace, `{"accuracy": 0.5, "accuracy": 0.6}`, "", `t:1:19: the key "accuracy" stands twice, first in line 1`},
		{"line, unknown block", oneSpace, "\n\n" + `{"accuracy": 0.5, "architecture": {"stages":[{"block":"cnv"}],"input":{"resolution":32},"stem":{"width":8},"head":{"classes":10}}}`, "",
			`t:3:55: stages.0.block: unknown block "cnv"; did you mean "conv"?`},
		{"line, trained otherwise", oneSpace, `{"recipe": "a", "accuracy": 0.5, "architecture": ` + one + "}\n" + `{"epochs": 3, "recipe": "a", "accuracy": 0.5, "architecture": ` + one + "}", "",
			`t:2:12: "epochs" is "3", but "" in line 1; the networks of a table must be trained alike`},
		{"line, too long", oneSpace, `{"accuracy": "` + strings.Repeat("x", strict.MaxBytes) + `"}`, "", "t:1:1: the line is longer than 1024 KiB, the most that is read"},
		{"line, all outside", oneSpace, `{"accuracy": 0.5, "architecture": ` + narrow + `}`, "",
			"t:1:1: none of the 1 architectures of the table is of the space, this one because stages.0.width = 17 is not among the choices [16]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, err := readMeasured("t", strings.NewReader(test.table), test.key, parseSpace(t, test.space))
			var mistake *strict.Error
			if err == nil || m != nil || !errors.As(err, &mistake) || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("\ngot  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestReadMeasuredFails(t *testing.T) {
	s := parseSpace(t, oneSpace)
	if _, err := ReadMeasured(filepath.Join(t.TempDir(), "none"), "", s); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	var mistake *strict.Error
	if _, err := ReadMeasured(t.TempDir(), "", s); err == nil || errors.As(err, &mistake) {
		t.Errorf("a folder: %v", err)
	}
	if _, err := readMeasured("t", zeros{}, "", s); fmt.Sprint(err) != "t: the table is larger than 64 MiB, the most that is read" {
		t.Errorf("a table without end: %v", err)
	}
}

// The published benchmarks are tables, too.
func TestMeasuredBenchmarks(t *testing.T) {
	for name, trainings := range map[string]int{"nas_bench_macro": 3, "accel_nasbench": 1} {
		table, plan := published(t, name)
		s, err := space.New(plan.Template())
		if err != nil {
			t.Fatal(err)
		}
		m, err := ReadMeasured(filepath.Join("../../../shared/data", name+".csv.gz"), "", s)
		if err != nil {
			t.Fatal(err)
		}
		if m.Len() != len(table.Rows) || m.Outside() != 0 {
			t.Errorf("%s: %d networks and %d outside, want %d", name, m.Len(), m.Outside(), len(table.Rows))
		}
		for _, row := range table.Rows {
			if a, ok := m.Accuracy(row.Genes); !ok || a.Mean != row.Accuracy || a.N != trainings || (a.SD > 0) != (trainings > 1) && a.SD != 0 || a.SD > 0.05 {
				t.Fatalf("%s: %s: %+v, %v", name, row.Key, a, ok)
			}
		}
	}
}

// FuzzReadMeasured checks that no bytes make reading panic, that mistakes have a
// place, and that what is read is of the space.
func FuzzReadMeasured(f *testing.F) {
	var spaces []*space.Space
	for _, text := range []string{macroSpace, accelSpace, mixedSpace, twiceSpace, oneSpace} {
		s := parseSpace(f, text)
		spaces = append(spaces, s)
		genomes := all(f, s)
		genomes = genomes[:min(2, len(genomes))]
		for _, form := range forms {
			table := form.write(f, s, genomes, []float64{0.25, 1})
			f.Add([]byte(table), "")
			f.Add([]byte(table), form.key)
			f.Add(compress(f, table), "x")
		}
	}
	f.Add([]byte(macroTable), "")
	f.Add([]byte(accelTable), "id")
	f.Add([]byte("accuracy,x\n0.5,\"{\n\"\"\"\n"), "x")
	f.Fuzz(func(t *testing.T, data []byte, key string) {
		for _, s := range spaces {
			m, err := readMeasured("f", bytes.NewReader(data), key, s)
			if err != nil {
				if m != nil || !strings.HasPrefix(err.Error(), "f") && !strings.HasPrefix(err.Error(), "space.yaml") {
					t.Errorf("%v, %v", m, err)
				}
				continue
			}
			if m.Len() == 0 {
				t.Error("an empty table is no mistake")
			}
			for key := range m.tallies {
				g := make(space.Genome, len(key)/2)
				for i := range g {
					g[i] = uint16(key[2*i])<<8 | uint16(key[2*i+1])
				}
				var n arch.Network
				s.Network(g, &n)
				if err := n.Lower(new(arch.Graph)); err != nil {
					t.Error(err)
				}
				if a, ok := m.Accuracy(g); !ok || !(a.Mean >= 0 && a.Mean <= 1) || a.N < 1 || !(a.SD >= 0 && a.SD <= 1) {
					t.Errorf("%+v, %v", a, ok)
				}
			}
		}
	})
}

func BenchmarkMeasured(b *testing.B) {
	s, err := space.Read("../../configs/nas_bench_macro.yaml")
	if err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	genomes := make([]space.Genome, 1000)
	accuracies := make([]float64, len(genomes))
	for i := range genomes {
		if genomes[i], err = s.Sample(rng); err != nil {
			b.Fatal(err)
		}
	}
	half := len(genomes) / 2
	for _, form := range forms {
		table := form.write(b, s, genomes[:half], accuracies[:half])
		b.Run("read/"+form.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := readMeasured("t", strings.NewReader(table), "", s); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*half), "µs/row")
		})
	}
	m, err := readMeasured("t", strings.NewReader(forms[0].write(b, s, genomes[:half], accuracies[:half])), "", s)
	if err != nil {
		b.Fatal(err)
	}
	var missing []space.Genome
	for _, g := range genomes[half:] {
		if _, ok := m.Accuracy(g); !ok {
			missing = append(missing, g)
		}
	}
	for name, list := range map[string][]space.Genome{"found": genomes[:half], "missing": missing} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				m.Accuracy(list[i%len(list)])
			}
		})
	}
}
