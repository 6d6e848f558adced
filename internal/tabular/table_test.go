package tabular

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
	"github.com/efficientnas/nas/internal/strict"
)

func configPlan(t testing.TB, name string) *arch.Plan {
	t.Helper()
	tmpl, err := arch.ReadTemplate(filepath.Join("../../configs", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return compile(t, tmpl)
}

func compile(t testing.TB, tmpl *arch.Template) *arch.Plan {
	t.Helper()
	plan, err := tmpl.Compile()
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func compress(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Small spaces of both kinds and tables of them.
const (
	macroSpace = `
name: two_layers
input: {resolution: 32}
stem: {width: 8}
stages:
  - {block: [identity, {block: inverted, expansion: 3}], width: 8}
  - {block: [identity, {block: inverted, expansion: 3}], width: 8}
  - {block: [identity, {block: inverted, expansion: 3}], width: 16, stride: 2}
head: {classes: 10}
`
	macroTable = `arch,real_arch,acc1,acc2,acc3,mean_acc,std,params,macs
000,000,40,41,42,41,1,562,254112
010,100,50.01,50.02,50.03,50.02,1,1274,868512
100,100,50.01,50.02,50.03,50.02,1,1274,868512
111,111,60,60,60,60,0,2746,1800352
`
	accelSpace = `
name: two_stages
input: {resolution: 32}
stem: {width: 8, stride: 2}
stages:
  - {block: inverted, width: 16, expansion: [1, 4], kernel: [3, 5], depth: [1, 2], se: [0, 0.25], se_of: input}
  - {block: inverted, width: 24, expansion: 6, kernel: [3, 5], depth: 2, se: 0, stride: 2, per_block: [kernel]}
head: {width: 32, classes: 10}
`
	accelTable = `top1,id,split,e,k,l,se,top5,params,macs224
59.5,0,train,16,33,12,00,80,15610,1277248
60.5,7,val,46,55,22,10,80,25608,2807744
`
)

func inline(t testing.TB, text string) *arch.Plan {
	t.Helper()
	tmpl, err := arch.ParseTemplate("space.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return compile(t, tmpl)
}

// withoutNetworks checks the networks of a table and takes them out.
func withoutNetworks(t *testing.T, plan *arch.Plan, table *Table) *Table {
	t.Helper()
	for i := range table.Rows {
		row := &table.Rows[i]
		genes, err := plan.Genes(row.Network)
		if err != nil || !slices.Equal(genes, row.Genes) {
			t.Errorf("%s: genes %v, of the network %v, %v", row.Key, row.Genes, genes, err)
		}
		row.Network = nil
	}
	return table
}

func TestMacro(t *testing.T) {
	plan := inline(t, macroSpace)
	want := &Table{Name: "nas_bench_macro", Dataset: "cifar10", Recipe: "nas_bench_macro", Rows: []Row{
		{Key: "000", Genes: []uint16{0, 0, 0}, Accuracy: 0.41, Measured: []float64{0.40, 0.41, 0.42}, MACs: 254112, Params: 562},
		{Key: "100", Genes: []uint16{1, 0, 0}, Accuracy: 0.5002, Measured: []float64{0.5001, 0.5002, 0.5003}, MACs: 868512, Params: 1274},
		{Key: "111", Genes: []uint16{1, 1, 1}, Accuracy: 0.6, Measured: []float64{0.6, 0.6, 0.6}, MACs: 1800352, Params: 2746},
	}}
	for _, data := range [][]byte{[]byte(macroTable), compress(t, macroTable)} {
		path := filepath.Join(t.TempDir(), "table")
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
		got, err := Read(path, plan)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, withoutNetworks(t, plan, got)); diff != "" {
			t.Error(diff)
		}
	}
}

// What the space does not leave open must be what the table says.
func TestAccel(t *testing.T) {
	plan := inline(t, accelSpace)
	got, err := read("table", strings.NewReader(accelTable), plan)
	if err != nil {
		t.Fatal(err)
	}
	want := &Table{Name: "accel_nasbench", Dataset: "imagenet", Recipe: "accel_nasbench", Rows: []Row{
		{Key: "0", Genes: []uint16{0, 0, 0, 0, 0, 0}, Accuracy: 0.595, Measured: []float64{0.595}, MACs: 1277248, Params: 15610, Split: "train"},
		{Key: "7", Genes: []uint16{1, 1, 1, 1, 1, 1}, Accuracy: 0.605, Measured: []float64{0.605}, MACs: 2807744, Params: 25608, Split: "val"},
	}}
	if diff := cmp.Diff(want, withoutNetworks(t, plan, got)); diff != "" {
		t.Error(diff)
	}
}

func TestReadRefuses(t *testing.T) {
	macroHeader, _, _ := strings.Cut(macroTable, "\n")
	accelHeader, _, _ := strings.Cut(accelTable, "\n")
	const known = "; known are accel_nasbench with id, split, e, k, l, se, top1, params, macs224" +
		"; nas_bench_macro with arch, real_arch, acc1, acc2, acc3, mean_acc, params, macs"
	for _, test := range []struct{ name, space, table, want string }{
		{"empty", macroSpace, "", "t.csv: the table is empty"},
		{"no rows", macroSpace, macroHeader, "t.csv: the table has no rows"},
		{"unknown header", macroSpace, "\narch,accuracy\n0,1\n", `t.csv:2:1: unknown table with the columns "arch, accuracy"` + known},
		{"long header", macroSpace, strings.Repeat("x", 300), `t.csv:1:1: unknown table with the columns "` + strings.Repeat("x", 200) + `..."` + known},
		{"two columns", macroSpace, macroHeader + ",macs\n", `t.csv:1:56: the column "macs" stands twice`},
		{"fields missing", macroSpace, macroHeader + "\n000,000\n", "t.csv:2:1: the header has 9 columns, this line has not"},
		{"a quote", macroSpace, macroHeader + "\n0\"00,000,40,41,42,41,1,562,254112\n", "t.csv:2:2: bare \" in non-quoted-field"},
		{"not gzip", macroSpace, "\x1f\x8b\x00\x00", "t.csv: unexpected EOF"},
		{"gzip cut off in the header", macroSpace, string(compress(t, macroTable)[:40]), "t.csv: unexpected EOF"},
		{"wrong length", macroSpace, macroHeader + "\n00,00,40,41,42,41,1,562,254112\n", `t.csv:2:1: "arch" must have a digit for each of the 3 stages, found "00"`},
		{"no digit", macroSpace, macroHeader + "\n0x0,000,40,41,42,41,1,562,254112\n", `t.csv:2:1: "arch" must have a digit for each of the 3 stages, found "0x0"`},
		{"not in the space", macroSpace, macroHeader + "\n020,020,40,41,42,41,1,562,254112\n",
			"t.csv:2:1: stages.1: block 2 is not in the space, which has 0 to 1 there"},
		{"another real_arch", macroSpace, macroHeader + "\n010,010,40,41,42,41,1,1274,868512\n", `t.csv:2:5: the network of 010 is 100, found "010"`},
		{"bad accuracy", macroSpace, macroHeader + "\n000,000,40,?,42,41,1,562,254112\n", `t.csv:2:12: "acc2" must be a number, found "?"`},
		{"accuracy not a number", macroSpace, macroHeader + "\n000,000,40,NaN,42,41,1,562,254112\n", `t.csv:2:12: "acc2" must be from 0 to 100 %, found NaN`},
		{"accuracy too large", macroSpace, macroHeader + "\n000,000,40,41,100.5,41,1,562,254112\n", `t.csv:2:15: "acc3" must be from 0 to 100 %, found 100.5`},
		{"accuracy negative", macroSpace, macroHeader + "\n000,000,-40,41,42,41,1,562,254112\n", `t.csv:2:9: "acc1" must be from 0 to 100 %, found -40`},
		{"another mean", macroSpace, macroHeader + "\n000,000,40,41,42,41.1,1,562,254112\n",
			"t.csv:2:18: the mean of acc1, acc2 and acc3 is 41.0000, found 41.1"},
		{"another count of MACs", macroSpace, macroHeader + "\n000,000,40,41,42,41,1,562,254113\n", "t.csv:2:27: the network has 254112 MACs, found 254113"},
		{"another count of parameters", macroSpace, macroHeader + "\n000,000,40,41,42,41,1,0,254112\n", "t.csv:2:23: the network has 562 parameters, found 0"},
		{"no count", macroSpace, macroHeader + "\n000,000,40,41,42,41,1,562,2.5e5\n", `t.csv:2:27: "macs" must be a count, found "2.5e5"`},
		{"again, otherwise", macroSpace, macroTable + "\n010,100,50.02,50.01,50.03,50.02,1,1274,868512\n",
			"t.csv:7:1: this is the network of line 3, but with another key, split or accuracy"},
		{"cannot be built", strings.Replace(macroSpace, "resolution: 32", "resolution: 1", 1), macroTable,
			"t.csv:2:1: the network cannot be built: stages.2.0: a map of 1 pixel cannot be downsampled: the resolution is too small for the strides"},
		{"macro, another gene", strings.Replace(macroSpace, "resolution: 32", "resolution: [32, 64]", 1), macroTable,
			"space.yaml:3:21: nas_bench_macro does not tell the option of input.resolution"},
		{"macro, no choice", strings.Replace(macroSpace, "[identity, {block: inverted, expansion: 3}], width: 16", "conv, width: 16", 1), macroTable,
			"space.yaml:8:5: nas_bench_macro chooses the block of every stage; stages.2 has no choice"},

		{"accel, not in the space", accelSpace, accelHeader + "\n59.5,0,train,36,33,12,00,80,1,1\n",
			"t.csv:2:14: stages.0.expansion = 3 is not in the space, which has [1 4]"},
		{"accel, not what is fixed", accelSpace, accelHeader + "\n59.5,0,train,13,33,12,00,80,1,1\n", "t.csv:2:14: stages.1.expansion = 3 is not in the space"},
		{"accel, not the depth", accelSpace, accelHeader + "\n59.5,0,train,16,33,11,00,80,1,1\n", "t.csv:2:20: stages.1.depth = 1 is not in the space, which has 2"},
		{"accel, se", accelSpace, accelHeader + "\n59.5,0,train,16,33,12,20,80,1,1\n", "t.csv:2:23: squeeze-and-excitation is 0 or 1, found 2"},
		{"accel, length", accelSpace, accelHeader + "\n59.5,0,train,16,333,12,00,80,1,1\n", `t.csv:2:17: "k" must have a digit for each of the 2 stages, found "333"`},
		{"accel, split", accelSpace, accelHeader + "\n59.5,0,test,16,33,12,00,80,15610,1277248\n", `t.csv:2:8: the split is train or val, found "test"`},
		{"accel, id", accelSpace, accelHeader + "\n59.5,,val,16,33,12,00,80,15610,1277248\n", "t.csv:2:6: the id is missing"},
		{"accel, accuracy", accelSpace, accelHeader + "\n-1,0,val,16,33,12,00,80,15610,1277248\n", `t.csv:2:1: "top1" must be from 0 to 100 %, found -1`},
		{"accel, one id twice", accelSpace, strings.Replace(accelTable, "60.5,7", "60.5,0", 1), `t.csv:3:6: "0" stands for the network of line 2 already`},
		{"accel, several types", strings.Replace(accelSpace, "block: inverted", "block: [inverted, conv]", 1), accelTable,
			"space.yaml:6:13: accel_nasbench does not tell the option of stages.0.block"},
		{"accel, another block", strings.Replace(accelSpace, "{block: inverted, width: 24, expansion: 6, kernel: [3, 5], depth: 2, se: 0, stride: 2, per_block: [kernel]}",
			"{block: conv, width: 24, kernel: [3, 5], depth: 2}", 1), accelTable, "t.csv:2:14: stages.1.expansion = 6 is not in the space"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := read("t.csv", strings.NewReader(test.table), inline(t, test.space))
			var mistake *strict.Error
			if err == nil || err.Error() != test.want || !errors.As(err, &mistake) {
				t.Errorf("\ngot  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestReadFails(t *testing.T) {
	plan := inline(t, macroSpace)
	if _, err := Read(filepath.Join(t.TempDir(), "none"), plan); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	var mistake *strict.Error
	if _, err := Read(t.TempDir(), plan); err == nil || errors.As(err, &mistake) {
		t.Errorf("a folder: %v", err)
	}
}

// zeros is a table without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	p[len(p)-1] = '\n'
	return len(p), nil
}

func TestTableTooLarge(t *testing.T) {
	r, err := newReader("t.csv", zeros{})
	if err != nil {
		t.Fatal(err)
	}
	for r.next() {
	}
	if want := "t.csv: the table is larger than 64 MiB, the most that is read"; fmt.Sprint(r.err) != want {
		t.Errorf("got %v, want %s", r.err, want)
	}
}

// published reads a table that lies beside the project where it is developed.
func published(t *testing.T, name string) (*Table, *arch.Plan) {
	t.Helper()
	path := filepath.Join("../../../shared/data", name+".csv.gz")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("no %s here; the data are not part of the project", path)
	}
	plan := configPlan(t, name)
	table, err := Read(path, plan)
	if err != nil {
		t.Fatal(err)
	}
	return table, plan
}

func find(t *testing.T, table *Table, key string) *Row {
	t.Helper()
	i := slices.IndexFunc(table.Rows, func(r Row) bool { return r.Key == key })
	if i < 0 {
		t.Fatalf("no row %s", key)
	}
	return &table.Rows[i]
}

func TestNASBenchMacro(t *testing.T) {
	table, plan := published(t, "nas_bench_macro")
	if len(table.Rows) != 3969 || table.Name != "nas_bench_macro" {
		t.Errorf("%d rows of %s, want 3969", len(table.Rows), table.Name)
	}
	best := slices.MaxFunc(table.Rows, func(a, b Row) int {
		switch {
		case a.Accuracy < b.Accuracy:
			return -1
		case a.Accuracy > b.Accuracy:
			return 1
		}
		return 0
	})
	if best.Key != "22212220" || math.Abs(best.Accuracy-0.93127) > 5e-6 || best.MACs != 85_164_544 || best.Params != 1_985_514 {
		t.Errorf("the best is %s with %v, %d MACs, %d parameters", best.Key, best.Accuracy, best.MACs, best.Params)
	}
	if row := find(t, table, "00000000"); math.Abs(row.Accuracy-0.4536) > 5e-5 || row.MACs != 7_713_280 || row.Params != 387_882 || len(row.Measured) != 3 {
		t.Errorf("%+v", row)
	}
	if row := find(t, table, "11111221"); !slices.Equal(row.Genes, []uint16{1, 1, 1, 1, 1, 2, 2, 1}) || row.MACs != 65_012_224 {
		t.Errorf("%+v", row)
	}
	checkNetworks(t, table, plan)
}

func TestAccelNASBench(t *testing.T) {
	table, plan := published(t, "accel_nasbench")
	splits := make(map[string]int)
	for _, row := range table.Rows {
		splits[row.Split]++
	}
	if want := map[string]int{"train": 4100, "val": 512}; len(table.Rows) != 4612 || !cmp.Equal(splits, want) {
		t.Errorf("%d rows, %v", len(table.Rows), splits)
	}
	if row := find(t, table, "3"); row.Accuracy != 0.55692 || row.MACs != 181_156_256 || row.Params != 2_833_144 || row.Split != "train" {
		t.Errorf("%+v", row)
	}
	checkNetworks(t, table, plan)
}

func checkNetworks(t *testing.T, table *Table, plan *arch.Plan) {
	t.Helper()
	var g arch.Graph
	for _, row := range table.Rows {
		if err := row.Network.Lower(&g); err != nil {
			t.Fatal(err)
		}
		if c := cost.Of(&g); c.MACs != row.MACs || c.Params != row.Params {
			t.Fatalf("%s: %+v", row.Key, c)
		}
		if row.Accuracy <= 0 || row.Accuracy >= 1 {
			t.Errorf("%s: accuracy %v", row.Key, row.Accuracy)
		}
	}
	withoutNetworks(t, plan, table)
}

// FuzzRead checks that no bytes make reading panic, and that what is read is
// of the space.
func FuzzRead(f *testing.F) {
	for _, text := range []string{macroTable, accelTable} {
		f.Add([]byte(text))
		f.Add(compress(f, text))
		f.Add([]byte(strings.ReplaceAll(text, "1", "2")))
	}
	f.Add([]byte("arch,real_arch\n\"0\n"))
	plans := []*arch.Plan{inline(f, macroSpace), inline(f, accelSpace)}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, plan := range plans {
			table, err := read("f", bytes.NewReader(data), plan)
			if err != nil {
				if table != nil || !strings.Contains(err.Error(), ":") {
					t.Errorf("%v, %v", table, err)
				}
				continue
			}
			seen := make(map[string]bool)
			for _, row := range table.Rows {
				genes, err := plan.Genes(row.Network)
				if err != nil || !slices.Equal(genes, row.Genes) || !(row.Accuracy >= 0 && row.Accuracy <= 1) || seen[row.Key] {
					t.Errorf("%+v: %v, %v", row, genes, err)
				}
				seen[row.Key] = true
			}
		}
	})
}
