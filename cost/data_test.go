package cost_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
)

// dataDir holds published networks with measured accuracies. It lies beside the
// project where it is developed.
const dataDir = "../../shared/data"

func openData(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Open(filepath.Join(dataDir, name))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("no %s here; the data are not part of the project", filepath.Join(dataDir, name))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// A zooRow is a network of imagenet_zoo.jsonl.
type zooRow struct {
	Name         string
	MACs, Params int64
	Top1         float64 // in percent
	Source       string
}

func readZoo(t *testing.T) map[string]zooRow {
	t.Helper()
	rows := make(map[string]zooRow)
	lines := bufio.NewScanner(openData(t, "imagenet_zoo.jsonl"))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r zooRow
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		rows[r.Name] = r
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestAccelNASBench compares the 4612 networks of a space in which every stage
// chooses depth, expansion, kernel and squeeze-and-excitation.
func TestAccelNASBench(t *testing.T) {
	plan := readPlan(t, "accel_nasbench.yaml")
	column := map[string]string{"depth": "l", "expansion": "e", "kernel": "k", "se": "se"}
	checkSpace(t, plan, "accel_nasbench.csv.gz", 4612, "macs224", func(row map[string]string, s *arch.Slot) string {
		digit := row[column[s.Path[strings.LastIndexByte(s.Path, '.')+1:]]][s.Stage : s.Stage+1]
		if strings.HasSuffix(s.Path, ".se") && digit == "1" {
			return "0.25"
		}
		return digit
	})
}

// TestNASBenchMacro compares all 6561 networks of a space in which every layer
// is one of three operations.
func TestNASBenchMacro(t *testing.T) {
	plan := readPlan(t, "nas_bench_macro.yaml")
	checkSpace(t, plan, "nas_bench_macro.csv.gz", 6561, "macs", func(row map[string]string, s *arch.Slot) string {
		return s.Options[row["arch"][s.Stage]-'0'].String()
	})
}

func readPlan(t *testing.T, name string) *arch.Plan {
	t.Helper()
	tmpl, err := arch.ReadTemplate(filepath.Join("../configs", name))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := tmpl.Compile()
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// checkSpace compares the network of every row of a data table with the row's
// parameters and its MACs, which stand in the named column. The option of a slot
// is what chosen says, in words.
func checkSpace(t *testing.T, plan *arch.Plan, table string, size int, macs string, chosen func(row map[string]string, s *arch.Slot) string) {
	t.Helper()
	z, err := gzip.NewReader(openData(t, table))
	if err != nil {
		t.Fatal(err)
	}
	var n arch.Network
	var g arch.Graph
	genes := make([]uint16, len(plan.Slots))
	rows := readTable(t, z)
	if len(rows) != size {
		t.Errorf("%d rows, want %d", len(rows), size)
	}
	for _, row := range rows {
		for i := range plan.Slots {
			s := &plan.Slots[i]
			word := chosen(row, s)
			option := slices.IndexFunc(s.Options, func(o arch.Scalar) bool { return o.String() == word })
			if option < 0 {
				t.Fatalf("%v: no option %q of %s", row, word, s.Path)
			}
			genes[i] = uint16(option)
		}
		plan.Build(genes, &n)
		if err := n.Lower(&g); err != nil {
			t.Fatalf("%v: %v", row, err)
		}
		c := cost.Of(&g)
		if c.MACs != number(t, row, macs) || c.Params != number(t, row, "params") {
			t.Errorf("got %+v, want %v", c, row)
		}
	}
}
