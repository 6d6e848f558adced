package bench

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/internal/tabular"
	"github.com/efficientnas/nas/search"
	"github.com/efficientnas/nas/space"
)

// smallSpace has 15 networks: an identity stage may stand behind the others.
const smallSpace = `
input: {resolution: 32}
stem: {width: 8}
stages:
  - {block: [identity, {block: inverted, expansion: 3}, {block: inverted, expansion: 6}], width: 8}
  - {block: [identity, {block: inverted, expansion: 3}, {block: inverted, expansion: 6}], width: 8}
  - {block: [identity, {block: inverted, expansion: 3}, {block: inverted, expansion: 6}], width: 8}
head: {classes: 10}
`

// small returns a made-up table of all networks of smallSpace: the more
// MACs, the less error, but for some that are just worse.
func small(t *testing.T) (*tabular.Table, *space.Space) {
	t.Helper()
	template, err := arch.ParseTemplate("space.yaml", []byte(smallSpace))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := template.Compile()
	if err != nil {
		t.Fatal(err)
	}
	s, err := space.New(template)
	if err != nil {
		t.Fatal(err)
	}
	table := &tabular.Table{Name: "small"}
	active := make([]bool, len(plan.Slots))
	for i := range uint16(27) {
		genes := []uint16{i / 9, i / 3 % 3, i % 3}
		canonical := slices.Clone(genes)
		plan.Canonical(canonical, active)
		if !slices.Equal(genes, canonical) {
			continue
		}
		sum := float64(genes[0] + genes[1] + genes[2])
		table.Rows = append(table.Rows, tabular.Row{
			Key: string([]byte{'0' + byte(genes[0]), '0' + byte(genes[1]), '0' + byte(genes[2])}), Genes: genes,
			Accuracy: 0.4 + 0.08*sum - 0.03*float64(genes[1]), MACs: 100 + 50*int64(sum), Params: 7 - int64(genes[0]),
		})
	}
	return table, s
}

func problem(t *testing.T, reference ...float64) *Problem {
	t.Helper()
	table, s := small(t)
	p, err := NewProblem(table, s, MACs, reference)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProblem(t *testing.T) {
	p := problem(t)
	if p.Networks != 15 || p.Reference != [2]float64{60, 400} {
		t.Errorf("%d networks, reference %v", p.Networks, p.Reference)
	}
	on := make(map[int]bool)
	for row, k := range p.onFront {
		for other := range p.points {
			if dominated := p.points[other][0] <= p.points[row][0] && p.points[other][1] <= p.points[row][1] &&
				!slices.Equal(p.points[other], p.points[row]); dominated && k >= 0 {
				t.Errorf("row %d is on the front, but %d is better", row, other)
			}
		}
		if k >= 0 {
			on[k] = true
		}
	}
	if len(on) != p.Front || p.Front < 3 {
		t.Errorf("%d points on the front of %d", len(on), p.Front)
	}
	if given := problem(t, 55, 1000); given.Reference != [2]float64{55, 1000} || given.volume <= 0 {
		t.Errorf("%+v", given.Reference)
	}

	table, s := small(t)
	byParams, err := NewProblem(table, s, Params, []float64{70, 8})
	if err != nil || byParams.points[0][1] != 7 {
		t.Errorf("%v, %v", byParams, err)
	}
}

func TestNewProblemRefuses(t *testing.T) {
	table, s := small(t)
	incomplete := *table
	incomplete.Rows = table.Rows[:11]
	for _, test := range []struct {
		table     *tabular.Table
		cost      Cost
		reference []float64
		want      string
	}{
		{&incomplete, MACs, nil, "of the 15 networks of the space, 4 are missing in the table"},
		{table, "latency", nil, `unknown cost "latency"`},
		{table, MACs, []float64{15}, "must have an error and a cost"},
		{table, MACs, []float64{50, math.NaN()}, "NaN"},
		{table, MACs, []float64{1, 1e9}, "no network has both less error and less macs than the reference point 1,1e+09"},
		{table, MACs, []float64{100, 100}, "no network has both"},
	} {
		if _, err := NewProblem(test.table, s, test.cost, test.reference); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, want %s", err, test.want)
		}
	}
	for i := range table.Rows {
		table.Rows[i].Accuracy, table.Rows[i].MACs = 0.5, int64(100+i)
	}
	if _, err := NewProblem(table, s, MACs, nil); err == nil || !strings.Contains(err.Error(), "so name a reference point") {
		t.Errorf("a front of one point: %v", err)
	}
}

// searches returns the algorithms of package search.
func searches(s *space.Space) []Algorithm {
	return []Algorithm{
		{"random", func(seed uint64) (search.Method[space.Genome], error) {
			return search.NewRandom[space.Genome](s, Directions(), seed)
		}},
		{"nsga2", func(seed uint64) (search.Method[space.Genome], error) {
			return search.NewNSGA2[space.Genome](s, Directions(), search.NSGA2Settings{Seed: seed})
		}},
	}
}

func TestSearch(t *testing.T) {
	p := problem(t)
	calls := 0
	settings := SearchSettings{Budgets: []int{15, 1, 5, 5}, Seeds: 6, Seed: 3, Workers: 1, Progress: func(done, total int) {
		if calls++; done != calls || total != 12 {
			t.Errorf("%d of %d in call %d", done, total, calls)
		}
	}}
	results, err := p.Search(t.Context(), searches(p.space), settings)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if len(r.At) != 3 || r.At[0].Evaluations != 1 || r.At[2].Evaluations != 15 {
			t.Fatalf("%+v", r)
		}
		// All networks are known at the end, and so is the front.
		if end := r.At[2]; end.Hypervolume != 1 || end.SD != 0 || math.Abs(end.FrontShare-1) > 1e-12 {
			t.Errorf("%s at the end: %+v", r.Algorithm, end)
		}
		for k, at := range r.At[1:] {
			if before := r.At[k]; at.Hypervolume <= before.Hypervolume || at.FrontShare <= before.FrontShare || before.SD <= 0 {
				t.Errorf("%s: %+v, then %+v", r.Algorithm, before, at)
			}
		}
		if !(r.To99 > 5 && r.To99 <= 15) || r.Duplicates != 0 || r.Overhead <= 0 {
			t.Errorf("%+v", r)
		}
		for _, at := range r.At {
			if i == 0 != math.IsNaN(at.P) {
				t.Errorf("%s has the p-value %v", r.Algorithm, at.P)
			}
		}
	}
	if p := results[1].At[2].P; p != 1 {
		t.Errorf("the p-value of what is equal is %v", p)
	}

	settings.Workers, settings.Progress = 4, nil
	again, err := p.Search(t.Context(), searches(p.space), settings)
	if err != nil {
		t.Fatal(err)
	}
	for i := range results {
		results[i].Overhead, again[i].Overhead = 0, 0
		for k := range results[i].At { // NaN is not equal to itself
			if a, b := &results[i].At[k], &again[i].At[k]; math.IsNaN(a.P) && math.IsNaN(b.P) {
				a.P, b.P = 0, 0
			}
		}
	}
	if !reflect.DeepEqual(results, again) {
		t.Errorf("four workers find\n%+v, one\n%+v", again, results)
	}
}

// scripted is a method that proposes what it is told to, one at a time.
type scripted struct {
	search.Method[space.Genome]
	genomes []space.Genome
	end     error
	told    int
}

func (m *scripted) Ask(int) ([]search.Candidate[space.Genome], error) {
	if len(m.genomes) == 0 {
		return nil, m.end
	}
	g := m.genomes[0]
	m.genomes = m.genomes[1:]
	return []search.Candidate[space.Genome]{{Genome: g}}, nil
}

func (m *scripted) Tell(_ []search.Candidate[space.Genome], e []search.Evaluation) error {
	m.told += len(e)
	return nil
}

// A network that comes again, in another genome too, is told but not counted;
// and a search that ends early stays where it is.
func TestSearchDuplicates(t *testing.T) {
	p := problem(t)
	method := &scripted{end: search.ErrExhausted, genomes: []space.Genome{{0, 1, 2}, {1, 2, 0}, {1, 0, 2}, {0, 0, 0}}}
	r, err := p.Search(t.Context(), []Algorithm{{"scripted", func(uint64) (search.Method[space.Genome], error) { return method, nil }}},
		SearchSettings{Budgets: []int{1, 2, 3, 15}, Seeds: 1})
	if err != nil {
		t.Fatal(err)
	}
	at := r[0].At
	if r[0].Duplicates != 2 || method.told != 4 || !math.IsInf(r[0].To99, 1) || !math.IsNaN(at[0].SD) {
		t.Errorf("%+v, told of %d", r[0], method.told)
	}
	if at[1].FrontShare <= at[0].FrontShare || at[2].FrontShare != at[1].FrontShare || at[3].Hypervolume != at[1].Hypervolume {
		t.Errorf("%+v", at)
	}
}

func TestSearchFails(t *testing.T) {
	p := problem(t)
	one := func(m search.Method[space.Genome], err error) []Algorithm {
		return []Algorithm{{"one", func(uint64) (search.Method[space.Genome], error) { return m, err }}}
	}
	same := make([]space.Genome, 10_000)
	for i := range same {
		same[i] = space.Genome{0, 0, 0}
	}
	good := SearchSettings{Budgets: []int{5}, Seeds: 2}
	for _, test := range []struct {
		algorithms []Algorithm
		settings   SearchSettings
		want       string
	}{
		{searches(p.space), SearchSettings{Seeds: 1}, "no budget"},
		{searches(p.space), SearchSettings{Seeds: 1, Budgets: []int{0, 5}}, "a budget must be 1 or more, found 0"},
		{searches(p.space), SearchSettings{Seeds: 1, Budgets: []int{16}}, "a budget of 16 is more than the 15 networks"},
		{searches(p.space), SearchSettings{Budgets: []int{5}}, "seeds must be 1 or more"},
		{searches(p.space), SearchSettings{Seeds: 1, Budgets: []int{5}, Workers: -1}, "workers must be 1 or more"},
		{one(nil, errors.New("broken")), good, "bench: one: broken"},
		{one(&scripted{end: search.ErrPending}, nil), good, "bench: one: " + search.ErrPending.Error()},
		{one(&scripted{genomes: []space.Genome{{0, 0, 0}}}, nil), good, "proposed 0 candidates"},
		{one(&scripted{genomes: same}, nil), SearchSettings{Budgets: []int{5}, Seeds: 1}, "that were evaluated already"},
	} {
		if test.settings.Workers == 0 {
			test.settings.Workers = 1 // a scripted method is one
		}
		if _, err := p.Search(t.Context(), test.algorithms, test.settings); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, want %s", err, test.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	good.Progress = func(int, int) { cancel() }
	if _, err := p.Search(ctx, searches(p.space), good); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestMannWhitney(t *testing.T) {
	for _, test := range []struct {
		name string
		a, b []float64
		want float64
	}{
		// The example of scipy.stats.mannwhitneyu, method asymptotic.
		{"diabetes", []float64{19, 22, 16, 29, 24}, []float64{20, 11, 17, 12}, 0.11134688653314041},
		// That of R's wilcox.test: ozone in May and in August, with ties.
		{
			"ozone",
			[]float64{41, 36, 12, 18, 28, 23, 19, 8, 7, 16, 11, 14, 18, 14, 34, 6, 30, 11, 1, 11, 4, 32, 23, 45, 115, 37},
			[]float64{39, 9, 16, 78, 35, 66, 122, 89, 110, 44, 28, 65, 22, 59, 23, 31, 44, 21, 9, 45, 168, 73, 76, 118, 84, 85},
			0.0001208,
		},
		{"equal", []float64{1, 1}, []float64{1, 1, 1}, 1},
		{"one each", []float64{1}, []float64{2}, 1},
		{"in the middle", []float64{2, 2}, []float64{1, 3}, 1},
	} {
		got, mirrored := mannWhitney(test.a, test.b), mannWhitney(test.b, test.a)
		if math.Abs(got-test.want) > 4e-4*test.want || math.Abs(got-mirrored) > 1e-12 {
			t.Errorf("%s: %v and mirrored %v, want %v", test.name, got, mirrored, test.want)
		}
	}
	if got := mannWhitney([]float64{19, 22, 16, 29, 24}, []float64{20, 11, 17, 12}); math.Abs(got-0.11134688653314041) > 1e-14 {
		t.Errorf("%v", got)
	}
}

func TestMedian(t *testing.T) {
	inf := math.Inf(1)
	for want, values := range map[float64][]float64{
		2:   {3, 1, 2},
		2.5: {4, 1, 3, 2},
		7:   {inf, 7, 1},
		inf: {1, 2, inf, inf},
	} {
		if got := median(values); got != want {
			t.Errorf("the median of %v is %v, want %v", values, got, want)
		}
	}
}

// NSGA-II, as it is without any settings, is as good on NAS-Bench-Macro as those
// of others are with a population of their choice.
func TestSearchMacro(t *testing.T) {
	if testing.Short() {
		t.Skip("searches a whole benchmark")
	}
	file := filepath.Join("..", "..", "..", "shared", "data", "nas_bench_macro.csv.gz")
	s, err := space.Read(filepath.Join("..", "..", "configs", "nas_bench_macro.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := s.Template().Compile()
	if err != nil {
		t.Fatal(err)
	}
	table, err := tabular.Read(file, plan)
	if os.IsNotExist(err) {
		t.Skipf("without %s", file)
	}
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewProblem(table, s, MACs, []float64{15, 90e6})
	if err != nil {
		t.Fatal(err)
	}
	if p.Networks != 3969 || p.Front != 35 {
		t.Errorf("%d networks, %d on the front", p.Networks, p.Front)
	}
	results, err := p.Search(t.Context(), searches(s)[1:], SearchSettings{Budgets: []int{50, 100, 200}, Seeds: 10, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i, least := range []float64{0.85, 0.915, 0.96} {
		if at := results[0].At[i]; at.Hypervolume < least {
			t.Errorf("after %d evaluations the hypervolume is %.4f, want %v or more", at.Evaluations, at.Hypervolume, least)
		}
	}
	if results[0].Duplicates != 0 {
		t.Errorf("%d duplicates", results[0].Duplicates)
	}
}
