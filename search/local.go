package search

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/efficientnas/nas/pareto"
)

// A NeighborSpace is a [Space] in which each candidate has neighbours: those that
// differ from it as little as candidates can.
type NeighborSpace[G any] interface {
	Space[G]
	// Neighbors returns the neighbours of genome, in any order. It does no harm if
	// some are the same. Neighbour by neighbour, one should come from any candidate
	// to any other.
	Neighbors(rng *rand.Rand, genome G) ([]G, error)
}

// Local is the Pareto local search of Paquete, Chiarandini and Stützle, "Pareto
// local optimum sets in the biobjective traveling salesman problem: an
// experimental study", in Metaheuristics for Multiobjective Optimisation, 2004.
//
// It begins with samples of the space and keeps the front of what was evaluated. It
// proposes neighbours of candidates on the front, in random order. A candidate is
// explored when all its neighbours have been proposed; the front is a local optimum
// when all on it are.
//
// It differs from the paper in this:
//
//   - It does not explore one candidate after the other, but chooses one anew for
//     each proposal: the one on the front that is best by weights of the
//     objectives, which are drawn each time, see [scale]. So it builds at once upon
//     what it finds, and tries most where there is most to gain.
//   - From a local optimum it goes on with the front of all that is not explored,
//     which is near, instead of a sample, which is far behind. It draws a sample
//     when all that was evaluated is explored.
//   - There may be constraints. While nothing feasible is known, or all of it is
//     explored, it explores what violates them least. What failed is not explored.
//   - It is asynchronous, see [LocalSettings].
type Local[G any] struct {
	settings LocalSettings
	steady[G]
	space NeighborSpace[G]

	front      *pareto.Archive[*place[G]] // of what was not explored at the last local optimum, and what came since
	open       []*place[G]                // feasible and not explored, by ID; some may be explored by now
	infeasible []*place[G]                // not explored, the least violation first

	// Kept as long as the front and what is explored of it stay as they are.
	fresh bool
	ready []*place[G] // on the front and not explored
	scale scale       // of the front
}

// A place is an evaluated candidate.
type place[G any] struct {
	Outcome[G]
	explored  bool
	ready     bool // among those that are
	listed    bool
	neighbors []G // if listed: those left to propose; some may have been by now
}

// LocalSettings are the settings of [Local]. The zero value is ready to use.
type LocalSettings struct {
	// Seed selects the random streams.
	Seed uint64
	// Samples is the number of samples at the beginning: 1 or more. 0 means 10.
	Samples int
	// Concurrency is the number of candidates that can be evaluated at once, as in
	// [EvolutionSettings].
	Concurrency int
}

// NewLocal returns a local search. It returns an error if a direction is unknown
// or there is none, or if a setting is out of range.
func NewLocal[G any](space NeighborSpace[G], directions []pareto.Direction, settings LocalSettings) (*Local[G], error) {
	var problem error
	if settings.Samples < 0 {
		problem = fmt.Errorf("samples are %d, want 1 or more, or 0 for the default", settings.Samples)
	}
	front, err := pareto.NewArchive[*place[G]](directions)
	if err := errors.Join(err, problem, checkConcurrency(settings.Concurrency)); err != nil {
		return nil, fmt.Errorf("search: local: %w", err)
	}
	const samples = 10 // measured, any number from 1 to 30 does as well
	return &Local[G]{
		settings: settings,
		steady:   newSteady[G](space, directions, settings.Seed, settings.Concurrency, cmp.Or(settings.Samples, samples)),
		space:    space,
		front:    front,
	}, nil
}

// Ask implements [Method]. It returns [ErrPending] if results are missing on which
// the next candidate depends, see [LocalSettings.Concurrency].
func (m *Local[G]) Ask(n int) ([]Candidate[G], error) { return m.ask(n, m) }

// learn implements [learner].
func (m *Local[G]) learn(o Outcome[G]) error {
	p := &place[G]{Outcome: o}
	switch {
	case o.feasible():
		m.open = append(m.open, p)
		return m.toFront(p)
	case o.Err == nil:
		// Of equals, the older first.
		at, _ := slices.BinarySearchFunc(m.infeasible, o.Violation, func(p *place[G], violation float64) int {
			if p.Violation <= violation {
				return -1
			}
			return 1
		})
		m.infeasible = slices.Insert(m.infeasible, at, p)
	}
	return nil
}

// toFront adds a place to the front, if it belongs there.
func (m *Local[G]) toFront(p *place[G]) error {
	changed, err := m.front.Add(p.Key, p.Objectives, p)
	if err != nil {
		return fmt.Errorf("search: candidate %d: %w", p.ID, err)
	}
	if changed {
		m.fresh = false
	}
	return nil
}

// propose implements [learner].
func (m *Local[G]) propose(id int) (Candidate[G], error) {
	m.draw(forOffspring, id)
	weights := drawWeights(m.rng, len(m.directions))
	for {
		p, err := m.choose(weights)
		if err != nil {
			return Candidate[G]{}, err
		}
		if p == nil {
			return m.sample(id)
		}
		genome, key, ok, err := m.neighbor(p)
		if err != nil {
			return Candidate[G]{}, err
		}
		if ok {
			return Candidate[G]{
				ID: id, Genome: genome, Key: key,
				Generation: p.Generation + 1, Parents: []int{p.ID}, Operator: ByMutation,
			}, nil
		}
		m.close(p)
	}
}

// choose returns the place to explore, or nil if all are explored.
func (m *Local[G]) choose(weights []float64) (*place[G], error) {
	m.refresh()
	if len(m.ready) == 0 {
		if err := m.restart(); err != nil {
			return nil, err
		}
	}
	if len(m.ready) > 0 {
		var best *place[G]
		var most float64
		for _, p := range m.ready {
			if reach := m.scale.reach(p.Objectives, weights); best == nil || reach > most {
				best, most = p, reach
			}
		}
		return best, nil
	}
	if len(m.infeasible) > 0 {
		return m.infeasible[0], nil
	}
	return nil, nil
}

// refresh finds what is ready.
func (m *Local[G]) refresh() {
	if m.fresh {
		return
	}
	before := m.ready
	for _, p := range before {
		p.ready = false
	}
	m.fresh, m.ready, m.scale = true, nil, newScale(m.directions)
	for _, e := range m.front.Entries() {
		m.scale.add(e.Point, m.directions)
		if p := e.Value; !p.explored {
			m.ready = append(m.ready, p)
			p.ready = true
		}
	}
	for _, p := range before {
		if !p.ready {
			p.listed, p.neighbors = false, nil // those of all that ever was on the front would fill the memory
		}
	}
}

// restart goes on with the front of the feasible places that are not explored.
func (m *Local[G]) restart() error {
	m.open = slices.DeleteFunc(m.open, func(p *place[G]) bool { return p.explored })
	front, err := pareto.NewArchive[*place[G]](m.directions)
	if err != nil {
		return err
	}
	m.front, m.fresh = front, false
	for _, p := range m.open {
		if err := m.toFront(p); err != nil {
			return err
		}
	}
	m.refresh()
	return nil
}

// close marks a place as explored.
func (m *Local[G]) close(p *place[G]) {
	p.explored, p.listed, p.neighbors = true, false, nil
	if p.Violation > 0 {
		m.infeasible = m.infeasible[1:] // it was the first
	} else {
		m.fresh = false
	}
}

// neighbor takes a new neighbour of p, if there is one. Listed again, the
// neighbours come in the same order.
func (m *Local[G]) neighbor(p *place[G]) (genome G, key string, ok bool, err error) {
	if !p.listed {
		var source rand.PCG
		seedStream(&source, m.seed, forNeighbors, 0, p.ID)
		rng := rand.New(&source)
		if p.neighbors, err = m.space.Neighbors(rng, p.Genome); err != nil {
			return genome, "", false, fmt.Errorf("search: neighbours: %w", err)
		}
		rng.Shuffle(len(p.neighbors), func(i, j int) { p.neighbors[i], p.neighbors[j] = p.neighbors[j], p.neighbors[i] })
		p.listed = true
	}
	for len(p.neighbors) > 0 {
		genome, p.neighbors = p.neighbors[0], p.neighbors[1:]
		if key, ok := m.candidates.take(genome); ok {
			return genome, key, true, nil
		}
	}
	return genome, "", false, nil
}

// savedLocal is the state of [Local] as gob can write it.
type savedLocal[G any] struct {
	Seen       savedDistinct
	Queue      savedQueue[G]
	Feasible   []savedPlace[G] // not explored, or on the front, by ID
	Infeasible []savedOutcome[G]
}

type savedPlace[G any] struct {
	Outcome           savedOutcome[G]
	Explored, OnFront bool
}

func (m *Local[G]) setup() any {
	return struct {
		LocalSettings
		Directions []pareto.Direction
	}{m.settings, m.directions}
}

// MarshalBinary implements [Method].
func (m *Local[G]) MarshalBinary() ([]byte, error) {
	places := slices.DeleteFunc(slices.Clone(m.open), func(p *place[G]) bool { return p.explored })
	onFront := make(map[*place[G]]bool)
	for _, e := range m.front.Entries() {
		if onFront[e.Value] = true; e.Value.explored {
			places = append(places, e.Value)
		}
	}
	slices.SortFunc(places, func(a, b *place[G]) int { return cmp.Compare(a.ID, b.ID) })

	s := savedLocal[G]{Seen: m.candidates.save(), Queue: m.queue.save(), Infeasible: saveOutcomes(outcomesOf(m.infeasible))}
	for i, o := range saveOutcomes(outcomesOf(places)) {
		s.Feasible = append(s.Feasible, savedPlace[G]{o, places[i].explored, onFront[places[i]]})
	}
	return marshalState("local", m.setup(), s)
}

func outcomesOf[G any](places []*place[G]) []Outcome[G] {
	outcomes := make([]Outcome[G], len(places))
	for i, p := range places {
		outcomes[i] = p.Outcome
	}
	return outcomes
}

// UnmarshalBinary implements [Method].
func (m *Local[G]) UnmarshalBinary(data []byte) error {
	var s savedLocal[G]
	if err := unmarshalState(data, "local", m.setup(), &s); err != nil {
		return err
	}
	queue := loadQueue(s.Queue)
	loaded, err := NewLocal(m.space, m.directions, m.settings)
	err = errors.Join(err, queue.check(len(m.directions)), loaded.loadPlaces(s))
	if err != nil {
		return fmt.Errorf("search: load local: %w", err)
	}
	loaded.candidates.load(s.Seen)
	loaded.queue = queue
	*m = *loaded
	return nil
}

func (m *Local[G]) loadPlaces(s savedLocal[G]) error {
	for _, saved := range s.Feasible {
		o := loadOutcomes([]savedOutcome[G]{saved.Outcome})
		if err := checkResults(o, len(m.directions)); err != nil {
			return err
		}
		if !o[0].feasible() {
			return fmt.Errorf("candidate %d is not feasible", o[0].ID)
		}
		p := &place[G]{Outcome: o[0], explored: saved.Explored}
		if !p.explored {
			m.open = append(m.open, p)
		}
		if saved.OnFront {
			if err := m.toFront(p); err != nil {
				return err
			}
		}
	}
	infeasible := loadOutcomes(s.Infeasible)
	if err := checkResults(infeasible, len(m.directions)); err != nil {
		return err
	}
	for _, o := range infeasible {
		if o.feasible() || o.Err != nil {
			return fmt.Errorf("candidate %d is not infeasible", o.ID)
		}
		m.infeasible = append(m.infeasible, &place[G]{Outcome: o})
	}
	return nil
}
