package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gonum.org/v1/gonum/stat"

	"github.com/efficientnas/nas/internal/tabular"
	"github.com/efficientnas/nas/pareto"
	"github.com/efficientnas/nas/search"
	"github.com/efficientnas/nas/space"
)

// A Cost is what a search minimises beside the error.
type Cost string

// The costs that a table knows.
const (
	MACs   Cost = "macs"
	Params Cost = "params"
)

// A Problem is a table of all networks of a space as something to search: least
// error, in percent, at least cost. What a search could find at best, the true
// front, is known.
type Problem struct {
	Networks  int        // in the space, each of which counts once
	Front     int        // points of the true front
	Cost      Cost       // the second objective
	Reference [2]float64 // of the hypervolume: error in percent, and cost

	space   *space.Space
	rows    map[string]int // by [space.Space.Key]
	points  [][]float64    // of the rows
	onFront []int          // which point of the true front a row is, or -1
	volume  float64        // of the true front
}

// directions are those of a [Problem].
var directions = []pareto.Direction{pareto.Minimize, pareto.Minimize}

// Directions returns those of a problem's two objectives.
func Directions() []pareto.Direction { return slices.Clone(directions) }

// NewProblem returns the problem of a table that has every network of s. Without
// a reference point it takes the worst of each objective over the true front.
func NewProblem(t *tabular.Table, s *space.Space, c Cost, reference []float64) (*Problem, error) {
	if c != MACs && c != Params {
		return nil, fmt.Errorf("bench: unknown cost %q", c)
	}
	p := &Problem{Networks: len(t.Rows), Cost: c, space: s, rows: make(map[string]int)}
	front, err := pareto.NewArchive[int](directions)
	if err != nil {
		return nil, err
	}
	for i := range t.Rows {
		row := &t.Rows[i]
		point := []float64{100 * (1 - row.Accuracy), float64(row.MACs)}
		if c == Params {
			point[1] = float64(row.Params)
		}
		p.points = append(p.points, point)
		p.rows[s.Key(row.Genes)] = i
		if _, err := front.Add(row.Key, point, i); err != nil {
			return nil, fmt.Errorf("bench: %s: %w", row.Key, err)
		}
	}
	if missing := new(big.Int).Sub(s.Size(), big.NewInt(int64(len(p.rows)))); missing.Sign() != 0 {
		return nil, fmt.Errorf("bench: of the %v networks of the space, %v are missing in the table: "+
			"a search can only be measured where whatever it proposes is known", s.Size(), missing)
	}

	var points [][]float64
	for _, e := range front.Entries() {
		points = append(points, e.Point)
		p.Reference[0], p.Reference[1] = max(p.Reference[0], e.Point[0]), max(p.Reference[1], e.Point[1])
	}
	p.Front = len(points)
	for _, point := range p.points {
		p.onFront = append(p.onFront, slices.IndexFunc(points, func(q []float64) bool { return slices.Equal(point, q) }))
	}
	hint := "; the worst of the front do not span an area, so name a reference point"
	if reference != nil {
		if len(reference) != 2 {
			return nil, fmt.Errorf("bench: the reference point must have an error and a cost, found %v", reference)
		}
		p.Reference, hint = [2]float64(reference), ""
	}
	if p.volume, err = p.hypervolume(points); err != nil {
		return nil, err
	}
	if p.volume == 0 {
		return nil, fmt.Errorf("bench: no network has both less error and less %s than the reference point %v,%v%s",
			c, p.Reference[0], p.Reference[1], hint)
	}
	return p, nil
}

func (p *Problem) hypervolume(points [][]float64) (float64, error) {
	v, err := pareto.Hypervolume(points, p.Reference[:], directions)
	if err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	return v, nil
}

// An Algorithm makes searches of the problem's space and [Directions].
type Algorithm struct {
	Name string
	New  func(seed uint64) (search.Method[space.Genome], error)
}

// SearchSettings say how searches are measured.
type SearchSettings struct {
	Budgets  []int // numbers of networks to evaluate
	Seeds    int   // searches by each algorithm
	Seed     uint64
	Workers  int                   // searches at a time; 0 means [runtime.GOMAXPROCS]
	Progress func(done, total int) // may be nil
}

// withDefaults returns s with the budgets sorted and defaults filled in.
func (s SearchSettings) withDefaults(networks int) (SearchSettings, error) {
	s.Budgets = slices.Compact(slices.Sorted(slices.Values(s.Budgets)))
	s.Workers = cmp.Or(s.Workers, runtime.GOMAXPROCS(0))
	switch n := len(s.Budgets); {
	case n == 0:
		return s, errors.New("bench: there is no budget")
	case s.Budgets[0] < 1:
		return s, fmt.Errorf("bench: a budget must be 1 or more, found %d", s.Budgets[0])
	case s.Budgets[n-1] > networks:
		return s, fmt.Errorf("bench: a budget of %d is more than the %d networks that there are", s.Budgets[n-1], networks)
	case s.Seeds < 1:
		return s, fmt.Errorf("bench: seeds must be 1 or more, found %d", s.Seeds)
	case s.Workers < 1:
		return s, fmt.Errorf("bench: workers must be 1 or more, found %d", s.Workers)
	}
	return s, nil
}

// A SearchResult is how an algorithm did.
type SearchResult struct {
	Algorithm string
	At        []SearchAt // each budget, ascending
	// To99 is the median number of evaluations to 99 % of the true front's
	// hypervolume: +Inf if half of the searches did not come so far.
	To99 float64
	// Duplicates counts proposals, over all searches, of networks that were
	// evaluated already. They are free, and there should be none.
	Duplicates int
	Overhead   time.Duration // of the algorithm itself, for each network that it proposed
}

// A SearchAt is how searches had done by a number of evaluations.
type SearchAt struct {
	Evaluations int
	// Hypervolume is the mean of the hypervolumes relative to the true front's,
	// SD their standard deviation, NaN of a single one.
	Hypervolume, SD float64
	FrontShare      float64 // mean share of the true front's points that were found
	// P is the two-sided p-value of the hypervolumes being like the first
	// algorithm's, by Mann and Whitney's test; NaN for the first one itself.
	P float64
}

// target is the share of the true hypervolume of [SearchResult.To99].
const target = 0.99

// Search runs every algorithm with every seed, once up to the greatest budget. A
// budget counts distinct networks. But for Overhead, the results do not depend on
// the number of workers.
func (p *Problem) Search(ctx context.Context, algorithms []Algorithm, s SearchSettings) ([]SearchResult, error) {
	s, err := s.withDefaults(p.Networks)
	if err != nil {
		return nil, err
	}
	trials := make([]trial, len(algorithms)*s.Seeds)
	if err := p.runAll(ctx, trials, algorithms, s); err != nil {
		return nil, err
	}
	var results []SearchResult
	first := make([][]float64, len(s.Budgets)) // hypervolumes of the first algorithm
	for i, a := range algorithms {
		of := trials[i*s.Seeds : (i+1)*s.Seeds]
		r := SearchResult{Algorithm: a.Name}
		for k, n := range s.Budgets {
			at := SearchAt{Evaluations: n, P: math.NaN()}
			volumes := make([]float64, len(of))
			for j := range of {
				var found int
				volumes[j], found = of[j].at(n)
				at.FrontShare += float64(found) / float64(p.Front*len(of))
			}
			at.Hypervolume, at.SD = stat.MeanStdDev(volumes, nil)
			if i == 0 {
				first[k] = volumes
			} else {
				at.P = mannWhitney(first[k], volumes)
			}
			r.At = append(r.At, at)
		}
		reached := make([]float64, len(of))
		var spent time.Duration
		proposed := 0
		for j := range of {
			reached[j] = of[j].reached()
			r.Duplicates += of[j].duplicates
			spent += of[j].overhead
			proposed += len(of[j].volumes) + of[j].duplicates
		}
		r.To99 = median(reached)
		r.Overhead = spent / time.Duration(max(1, proposed))
		results = append(results, r)
	}
	return results, nil
}

// runAll runs the trials, of each algorithm with each seed, several at a time.
func (p *Problem) runAll(ctx context.Context, trials []trial, algorithms []Algorithm, s SearchSettings) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var taken atomic.Int64
	var mutex sync.Mutex // of done and the progress
	done := 0
	var workers sync.WaitGroup
	for range min(s.Workers, len(trials)) {
		workers.Go(func() {
			for ctx.Err() == nil {
				i := int(taken.Add(1)) - 1
				if i >= len(trials) {
					return
				}
				a := algorithms[i/s.Seeds]
				if err := p.run(ctx, &trials[i], a, s.Seed+uint64(i%s.Seeds), s.Budgets[len(s.Budgets)-1]); err != nil {
					cancel(fmt.Errorf("bench: %s: %w", a.Name, err))
					return
				}
				mutex.Lock()
				if done++; s.Progress != nil {
					s.Progress(done, len(trials))
				}
				mutex.Unlock()
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

// A trial is one search.
type trial struct {
	// After each network that was evaluated: the hypervolume relative to the true
	// front's, and how many points of that were found.
	volumes    []float64
	found      []int
	duplicates int
	overhead   time.Duration // in making the method, in Ask and in Tell
}

// at returns how far the search had come after n evaluations, or at its end if it
// ended before.
func (t *trial) at(n int) (volume float64, found int) {
	if n = min(n, len(t.volumes)); n == 0 {
		return 0, 0
	}
	return t.volumes[n-1], t.found[n-1]
}

// reached returns after how many evaluations the search came to the target.
func (t *trial) reached() float64 {
	if n, _ := slices.BinarySearch(t.volumes, target); n < len(t.volumes) {
		return float64(n + 1)
	}
	return math.Inf(1)
}

// batch is the most candidates to ask for at a time, as in [search.Settings].
const batch = 256

// run searches until so many networks have been evaluated.
func (p *Problem) run(ctx context.Context, t *trial, a Algorithm, seed uint64, evaluations int) error {
	begin := time.Now()
	method, err := a.New(seed)
	t.overhead += time.Since(begin)
	if err != nil {
		return err
	}
	seen := make([]bool, len(p.points)) // rows
	found := make([]bool, p.Front)      // points of the true front
	front, err := pareto.NewArchive[struct{}](directions)
	if err != nil {
		return err
	}
	volume, points := 0., 0
	for len(t.volumes) < evaluations {
		if err := ctx.Err(); err != nil {
			return err
		}
		if t.duplicates > 100*p.Networks { // or it might never end
			return fmt.Errorf("proposed %d networks that were evaluated already", t.duplicates)
		}
		n := min(batch, evaluations-len(t.volumes))
		begin := time.Now()
		candidates, err := method.Ask(n)
		t.overhead += time.Since(begin)
		if errors.Is(err, search.ErrExhausted) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(candidates) < 1 || len(candidates) > n {
			return fmt.Errorf("proposed %d candidates, want 1 to %d", len(candidates), n)
		}
		results := make([]search.Evaluation, len(candidates))
		for i, c := range candidates {
			key := p.space.Key(c.Genome)
			row, ok := p.rows[key]
			if !ok {
				return fmt.Errorf("candidate %d, %v, is not of the space", c.ID, c.Genome)
			}
			results[i].Objectives = slices.Clone(p.points[row])
			if seen[row] {
				t.duplicates++
				continue
			}
			seen[row] = true
			if k := p.onFront[row]; k >= 0 && !found[k] {
				found[k] = true
				points++
			}
			changed, err := front.Add(key, p.points[row], struct{}{})
			if err != nil {
				return err
			}
			if changed {
				if volume, err = p.share(front); err != nil {
					return err
				}
			}
			t.volumes, t.found = append(t.volumes, volume), append(t.found, points)
		}
		begin = time.Now()
		err = method.Tell(candidates, results)
		t.overhead += time.Since(begin)
		if err != nil {
			return err
		}
	}
	return nil
}

// share returns the hypervolume of a front relative to that of the true one.
func (p *Problem) share(front *pareto.Archive[struct{}]) (float64, error) {
	var points [][]float64
	for _, e := range front.Entries() {
		points = append(points, e.Point)
	}
	v, err := p.hypervolume(points)
	return v / p.volume, err
}

// median returns the mean of the middle two of an even number of values.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// mannWhitney returns the two-sided p-value of two samples coming from one
// distribution, by the test of Mann and Whitney (1947) in its normal approximation,
// with the corrections for ties and for continuity.
func mannWhitney(a, b []float64) float64 {
	type value struct {
		v float64
		a bool
	}
	var all []value
	for _, v := range a {
		all = append(all, value{v, true})
	}
	for _, v := range b {
		all = append(all, value{v, false})
	}
	slices.SortFunc(all, func(x, y value) int { return cmp.Compare(x.v, y.v) })
	var ranks, ties float64 // sum of a's ranks; of t³ - t over t equal values
	for i := 0; i < len(all); {
		j, of := i, 0
		for ; j < len(all) && all[j].v == all[i].v; j++ {
			if all[j].a {
				of++
			}
		}
		t := float64(j - i)
		ranks += float64(of) * float64(i+1+j) / 2 // equal values share their mean rank
		ties += t*t*t - t
		i = j
	}
	n, m := float64(len(a)), float64(len(b))
	u := ranks - n*(n+1)/2
	variance := n * m / 12 * (n + m + 1 - ties/((n+m)*(n+m-1)))
	if !(variance > 0) {
		return 1 // all are equal
	}
	z := (math.Abs(u-n*m/2) - 0.5) / math.Sqrt(variance)
	return math.Erfc(max(0, z) / math.Sqrt2)
}
