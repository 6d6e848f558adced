package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/efficientnas/nas/internal/bench"
)

// A made-up benchmark of 15 networks, all of its space.
const (
	smallSpace = `
input: {resolution: 32}
stem: {width: 8}
stages:
  - {block: [identity, {block: inverted, expansion: 3}, {block: inverted, expansion: 6}], width: 8}
  - {block: [identity, {block: inverted, expansion: 3}, {block: inverted, expansion: 6}], width: 8}
  - {block: [identity, {block: inverted, expansion: 3}, {block: inverted, expansion: 6}], width: 8}
head: {classes: 10}
`
	smallTable = `arch,real_arch,acc1,acc2,acc3,mean_acc,params,macs
000,000,40,40,40,40,322,221264
100,100,48,48,48,48,1034,835664
010,100,48,48,48,48,1034,835664
110,110,53,53,53,53,1746,1450064
111,111,61,61,61,61,2458,2064464
112,112,69,69,69,69,3154,2678864
120,120,58,58,58,58,2442,2064464
121,121,66,66,66,66,3154,2678864
122,122,74,74,74,74,3850,3293264
200,200,56,56,56,56,1730,1450064
210,210,61,61,61,61,2442,2064464
211,211,69,69,69,69,3154,2678864
212,212,77,77,77,77,3850,3293264
220,220,66,66,66,66,3138,2678864
221,221,74,74,74,74,3850,3293264
222,222,82,82,82,82,4546,3907664
`
)

// smallBenchmark writes the files of the benchmark, and one of a table without its
// last two networks, and returns their folder.
func smallBenchmark(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	incomplete := strings.Join(strings.SplitAfter(smallTable, "\n")[:15], "")
	for name, text := range map[string]string{"space.yaml": smallSpace, "table.csv": smallTable, "incomplete.csv": incomplete} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// benchSearch runs the command in the benchmark's folder; flags follow --table
// and --space, and so can overrule them.
func benchSearch(t *testing.T, dir string, flags ...string) (code int, stdout, stderr string) {
	t.Helper()
	args := append([]string{
		"bench", "search", "--table", filepath.Join(dir, "table.csv"), "--space", filepath.Join(dir, "space.yaml"),
	}, flags...)
	var out, talk bytes.Buffer
	code = run(context.Background(), args, &out, &talk)
	return code, out.String(), talk.String()
}

func TestBenchSearch(t *testing.T) {
	dir := smallBenchmark(t)
	code, out, talk := benchSearch(t, dir, "--algorithms", "random,nsga2", "--budgets", "15,3,3", "--seeds", "4")
	if code != exitDone || talk != "" {
		t.Fatalf("exit code %d, %s", code, talk)
	}
	lines := strings.Split(out, "\n")
	var fields [][]string
	for _, line := range lines {
		fields = append(fields, strings.Fields(line))
	}
	if want := "nas_bench_macro: 15 networks, 7 on the true front of error and MACs; reference point 60 %, 3,907,664 MACs, the worst of the front"; lines[0] != want {
		t.Errorf("%s\nwant %s", lines[0], want)
	}
	for i, want := range map[int][]string{
		2: {"algorithm", "evaluations", "hypervolume", "sd", "p-value", "of", "the", "front"},
		4: {"random", "15", "1.0000", "0.0000", "-", "100", "%"},
		6: {"nsga2", "15", "1.0000", "0.0000", "1.000", "100", "%"},
		8: {"algorithm", "evaluations", "to", "99", "%", "duplicates", "overhead,", "us"},
	} {
		if i >= len(fields) || !reflect.DeepEqual(fields[i], want) {
			t.Fatalf("line %d is not %v:\n%s", i, want, out)
		}
	}
	if random := fields[9]; random[0] != "random" || random[2] != "0" {
		t.Errorf("%s", out)
	}
	_, out, _ = benchSearch(t, dir, "--budgets", "1", "--seeds", "4", "--objective", "params", "--reference", "90,1e4")
	if !strings.Contains(out, "error and params; reference point 90 %, 10,000 params\n") || !strings.Contains(out, " >1 ") {
		t.Errorf("%s", out)
	}
}

// The CSV is the same for any number of workers, but for the time.
func TestBenchSearchWorkers(t *testing.T) {
	dir := smallBenchmark(t)
	var first [][]string
	for _, workers := range []string{"1", "4"} {
		code, out, talk := benchSearch(t, dir, "--budgets", "2,5,9", "--seeds", "5", "--format", "csv", "--workers", workers)
		if code != exitDone || !strings.HasPrefix(talk, "nas_bench_macro: 15 networks") {
			t.Fatalf("exit code %d, %s", code, talk)
		}
		rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for i := range rows {
			rows[i] = rows[i][:len(rows[i])-1]
		}
		if first == nil {
			first = rows
		}
		if !reflect.DeepEqual(rows, first) {
			t.Errorf("%v\n%v", rows, first)
		}
	}
}

func TestWriteSearchesCSV(t *testing.T) {
	var out bytes.Buffer
	err := writeSearchesCSV(&out, []bench.SearchResult{
		{
			Algorithm: "random", To99: math.Inf(1), Overhead: 1500 * time.Nanosecond,
			At: []bench.SearchAt{
				{Evaluations: 50, Hypervolume: 0.8361, SD: 0.0295, FrontShare: 0.0125, P: math.NaN()},
				{Evaluations: 100, Hypervolume: 0.88, SD: math.NaN(), P: math.NaN()},
			},
		},
		{
			Algorithm: "nsga2", To99: 85.5, Duplicates: 2, Overhead: 20 * time.Microsecond,
			At: []bench.SearchAt{
				{Evaluations: 50, Hypervolume: 0.85, SD: 0.03, FrontShare: 0.5, P: 0.0123456789},
				{Evaluations: 100, Hypervolume: 1, FrontShare: 1, P: 3e-11},
			},
		},
	}, 30)
	const want = `algorithm,evaluations,seeds,hypervolume_mean,hypervolume_sd,front_share_mean,p_value,evaluations_to_99,duplicates,overhead_us
random,50,30,0.8361,0.0295,0.0125,,,0,1.5
random,100,30,0.88,,0,,,0,1.5
nsga2,50,30,0.85,0.03,0.5,0.0123457,85.5,2,20
nsga2,100,30,1,0,1,3e-11,85.5,2,20
`
	if err != nil || out.String() != want {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestBenchSearchPlot(t *testing.T) {
	dir := smallBenchmark(t)
	svg, picture := filepath.Join(dir, "plot.svg"), filepath.Join(dir, "plot.png")
	for _, path := range []string{svg, picture} {
		if code, _, talk := benchSearch(t, dir, "--budgets", "2,15", "--seeds", "1", "--plot", path); code != exitDone {
			t.Fatalf("exit code %d, %s", code, talk)
		}
	}
	text, err := os.ReadFile(svg)
	if err != nil || !bytes.Contains(text, []byte(">nsga2</text>")) || !bytes.Contains(text, []byte("error against MACs")) {
		t.Errorf("%v, %s", err, text)
	}
	f, err := os.Open(picture)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := png.Decode(f); err != nil {
		t.Error(err)
	}
	if code, out, _ := benchSearch(t, dir, "--budgets", "2,15", "--seeds", "1", "--plot", filepath.Join(dir, "no", "plot.svg")); code != exitFailed || out == "" {
		t.Errorf("exit code %d of a picture in a folder that is missing, %s", code, out)
	}
}

func TestBenchSearchMistakes(t *testing.T) {
	dir := smallBenchmark(t)
	for _, test := range []struct {
		flags []string
		want  string
	}{
		{[]string{"--table", ""}, "--table is required"},
		{[]string{"--space", ""}, "nas: hint: configs/"},
		{[]string{"--table", filepath.Join(dir, "incomplete.csv")}, "incomplete.csv: bench: of the 15 networks of the space, 2 are missing in the table"},
		{[]string{"--table", filepath.Join(dir, "nowhere.csv")}, "nowhere.csv"},
		{[]string{"--algorithms", "random,nsga"}, `--algorithms: unknown algorithm "nsga"; did you mean "nsga2"? (allowed: `},
		{[]string{"--algorithms", "random,random"}, "random stands twice"},
		{[]string{"--algorithms", ""}, "--algorithms names none"},
		{[]string{"--budgets", ""}, "--budgets"},
		{[]string{"--budgets", "0,5"}, "--budgets: each must be 1 or more, found 0"},
		{[]string{"--budgets", "5,16"}, "--budgets: 16 is more than the 15 networks of the table"},
		{[]string{"--seeds", "0"}, "--seeds must be from 1 to 10000, found 0"},
		{[]string{"--workers=-1"}, "--workers must be from 0"},
		{[]string{"--objective", "latency"}, "--objective: unknown word"},
		{[]string{"--format", "json"}, "--format: unknown word"},
		{[]string{"--plot", "plot.pdf"}, "--plot plot.pdf: the name must end in .svg or .png"},
		{[]string{"--budgets", "5", "--plot", "plot.svg"}, "two --budgets or more"},
		{[]string{"--reference", "15"}, `--reference: "15" must be an error in percent and a cost, such as 15,90e6`},
		{[]string{"--reference", "15,90e6,1"}, `--reference: "15,90e6,1"`},
		{[]string{"--reference", "15,90M"}, `--reference: "15,90M"`},
		{[]string{"--reference", "15,-3"}, `--reference: "15,-3"`},
		{[]string{"--reference", "NaN,3"}, `--reference: "NaN,3"`},
		{[]string{"--budgets", "1", "--reference", "1,1e9"}, "no network has both less error and less macs than the reference point 1,1e+09"},
		{[]string{"extra"}, "nas: hint: see `nas bench search --help`"},
	} {
		code, out, talk := benchSearch(t, dir, test.flags...)
		if code != exitInput || !strings.Contains(talk, test.want) || out != "" {
			t.Errorf("%v: exit code %d\n%swant %s", test.flags, code, talk, test.want)
		}
	}
}
