package search

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/MaxHalford/eaopt"

	"github.com/efficientnas/nas/pareto"
)

// Islands are several populations of [NSGA2] that evolve side by side, each on a
// goroutine of its own, and now and then send their best members on to the next:
// the stepping-stone model, round a ring (Cantú-Paz, "A survey of parallel
// genetic algorithms", Calculateurs Parallèles 10(2), 1998). They are for
// evaluations so cheap that breeding would keep the other cores waiting: to come as
// far as one population does they need somewhat more evaluations.
//
// The methods of the [Space] are called from several goroutines at once: it must
// allow that.
//
// In each round every island breeds a generation, against all candidates that were
// proposed before the round. Then, island by island, those that another island has
// proposed in the same round are bred anew. So no candidate is evaluated twice, and
// the result does not depend on the number of cores.
type Islands[G any] struct {
	settings   IslandsSettings
	directions []pareto.Direction
	candidates distinct[G] // of all islands
	islands    []*breeding[G]

	queue  queue[G]       // the round under way, island by island: what was asked for
	plan   []Candidate[G] // the rest of it
	shares []int          // candidates of the round, by island
}

// IslandsSettings are the settings of [Islands]. The zero value is ready to use.
type IslandsSettings struct {
	// Seed selects the random streams.
	Seed uint64
	// Islands is the number of populations. 0 means 8. It should be no less than
	// the number of cores, but must not follow it if results are to be the same on
	// every machine.
	Islands int
	// Population is the number of parents on each island, and of their children in a
	// round: 2 or more. 0 means that it grows as that of [NSGA2] does, from 10 to 50.
	Population int
	// Interval is the number of rounds from one migration to the next. 0 means 2.
	// With a negative value there is none.
	Interval int
	// Migrants is the number of members of which copies leave an island in a
	// migration. 0 means 4.
	Migrants int
	// Crossover and Mutation are as in [NSGA2Settings].
	Crossover, Mutation float64
}

// How an island grows, if it does. A large first generation is dear, as many
// islands draw one.
const (
	leastIsland = 10
	mostIsland  = 50
)

// withDefaults returns s with defaults filled in, and all that is wrong with it.
func (s IslandsSettings) withDefaults() (IslandsSettings, error) {
	s.Islands = cmp.Or(s.Islands, 8)
	s.Interval = cmp.Or(s.Interval, 2)
	s.Migrants = cmp.Or(s.Migrants, 4)
	var problems []error
	if s.Islands < 1 {
		problems = append(problems, fmt.Errorf("islands are %d, want 1 or more", s.Islands))
	}
	if s.Migrants < 0 {
		problems = append(problems, fmt.Errorf("migrants are %d, want 1 or more", s.Migrants))
	}
	breeding, err := NSGA2Settings{Crossover: s.Crossover, Mutation: s.Mutation}.withDefaults()
	s.Crossover, s.Mutation = breeding.Crossover, breeding.Mutation
	return s, errors.Join(append(problems, err)...)
}

// NewIslands returns a search on islands. It returns an error if a direction is
// unknown or there is none, or if a setting is out of range.
func NewIslands[G any](space Space[G], directions []pareto.Direction, settings IslandsSettings) (*Islands[G], error) {
	settings, err := settings.withDefaults()
	model := survival[G]{directions: slices.Clone(directions), least: settings.Population, most: settings.Population}
	if settings.Population == 0 {
		model.least, model.most = leastIsland, mostIsland
	}
	if err := errors.Join(model.Validate(), err); err != nil {
		return nil, fmt.Errorf("search: islands: %w", err)
	}
	m := &Islands[G]{settings: settings, directions: model.directions, candidates: newDistinct(space)}
	for range settings.Islands {
		b := newBreeding(newDistinct(space), model, settings.Seed, settings.Crossover, settings.Mutation)
		m.islands = append(m.islands, &b)
	}
	m.share()
	return m, nil
}

// share lets the islands see what has been proposed.
func (m *Islands[G]) share() {
	for _, island := range m.islands {
		island.candidates.elsewhere = m.candidates.seen
		clear(island.candidates.seen)
	}
}

// Directions implements [Method].
func (m *Islands[G]) Directions() []pareto.Direction { return slices.Clone(m.directions) }

// Ask implements [Method]. It returns no more than the rest of a round, and
// [ErrPending] if results of a fully proposed round are missing.
func (m *Islands[G]) Ask(n int) ([]Candidate[G], error) {
	return m.queue.ask(n, &m.plan, m.propose)
}

// size returns the size of an island's generation in the round under way.
func (m *Islands[G]) size() int {
	if m.queue.first == 0 {
		return m.islands[0].model.least
	}
	return cmp.Or(m.settings.Population, min(max(1, m.queue.first/(evaluationsPerChild*len(m.islands))), mostIsland))
}

// propose plans a round.
func (m *Islands[G]) propose() error {
	if m.candidates.exhausted {
		return ErrExhausted
	}
	children := make([][]Candidate[G], len(m.islands))
	err := m.each(func(i int) (err error) {
		children[i], err = m.breed(i)
		return err
	})
	m.shares = make([]int, len(m.islands))
	for i := range m.islands {
		if err == nil {
			err = m.merge(i, children[i])
		}
	}
	m.share()
	if err == nil && len(m.plan) == 0 {
		err = ErrExhausted
	}
	if err != nil { // the round never was
		for _, c := range m.plan {
			delete(m.candidates.seen, c.Key)
		}
		m.plan = nil
	}
	return err
}

// each calls f for every island at once. It returns the first island's error.
func (m *Islands[G]) each(f func(i int) error) error {
	errs := make([]error, len(m.islands))
	var group sync.WaitGroup
	for i := range m.islands {
		group.Go(func() { errs[i] = f(i) })
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// breed returns a generation of an island, less if the space is exhausted.
func (m *Islands[G]) breed(i int) ([]Candidate[G], error) {
	size := m.size()
	children := make([]Candidate[G], 0, size)
	for k := range size {
		child, err := m.islands[i].propose(i*size + k)
		if errors.Is(err, ErrExhausted) {
			break
		}
		if err != nil {
			return nil, err
		}
		children = append(children, child)
	}
	return children, nil
}

// merge adds the children of an island to the plan. Those that are in it already
// it replaces, if it can.
func (m *Islands[G]) merge(i int, children []Candidate[G]) error {
	size := m.size()
	for k, child := range children {
		if _, twice := m.candidates.seen[child.Key]; twice {
			if m.candidates.exhausted {
				continue
			}
			var err error
			child, err = m.islands[i].propose((len(m.islands)+i)*size + k) // from another stream
			if errors.Is(err, ErrExhausted) {
				m.candidates.exhausted = true
				continue
			}
			if err != nil {
				return err
			}
		}
		m.candidates.seen[child.Key] = struct{}{}
		child.ID = m.queue.next() + len(m.plan)
		m.plan = append(m.plan, child)
		m.shares[i]++
	}
	if len(children) < size {
		m.candidates.exhausted = true
	}
	return nil
}

// Tell implements [Method]. With the last result of a round the next one begins.
// If it returns an error, it has changed nothing.
func (m *Islands[G]) Tell(candidates []Candidate[G], evaluations []Evaluation) error {
	if err := m.queue.tell(candidates, evaluations, len(m.directions)); err != nil {
		return err
	}
	if len(m.plan) > 0 || len(m.queue.outcomes) == 0 || !m.queue.complete() {
		return nil
	}
	round := m.queue.take(len(m.queue.outcomes))
	shares := make([][]Outcome[G], len(m.islands))
	for i, n := range m.shares {
		shares[i], round = round[:n], round[n:]
	}
	if err := m.each(func(i int) error { return m.islands[i].survive(shares[i]) }); err != nil {
		return err
	}
	if every := m.settings.Interval; every > 0 && m.islands[0].population.Generations%uint(every) == 0 {
		return m.migrate()
	}
	return nil
}

// migrate sends copies of each island's best members to the next island, where
// they take the place of the worst.
func (m *Islands[G]) migrate() error {
	leaving := make([]eaopt.Individuals, len(m.islands))
	for i, island := range m.islands {
		all := island.population.Individuals
		leaving[i] = slices.Clone(all[:min(m.settings.Migrants, len(all))])
	}
	return m.each(func(i int) error {
		island := m.islands[(i+1)%len(m.islands)]
		for _, migrant := range leaving[i] {
			// One that went round the ring, or whose copy did, is there already.
			if !slices.ContainsFunc(island.population.Individuals, func(x eaopt.Individual) bool { return x.ID == migrant.ID }) {
				island.population.Individuals = append(island.population.Individuals, migrant)
			}
		}
		return island.model.Apply(&island.population)
	})
}

// Pending implements [Method].
func (m *Islands[G]) Pending() []Candidate[G] { return m.queue.pending() }

// savedIslands is the state of [Islands] as gob can write it.
type savedIslands[G any] struct {
	Seen        savedDistinct
	Populations []savedPopulation[G]
	Queue       savedQueue[G]
	Plan        []Candidate[G]
	Shares      []int
}

func (m *Islands[G]) setup() any {
	return struct {
		IslandsSettings
		Directions []pareto.Direction
	}{m.settings, m.directions}
}

// MarshalBinary implements [Method].
func (m *Islands[G]) MarshalBinary() ([]byte, error) {
	s := savedIslands[G]{Seen: m.candidates.save(), Queue: m.queue.save(), Plan: m.plan, Shares: m.shares}
	for _, island := range m.islands {
		s.Populations = append(s.Populations, island.savePopulation())
	}
	return marshalState("islands", m.setup(), s)
}

// UnmarshalBinary implements [Method].
func (m *Islands[G]) UnmarshalBinary(data []byte) error {
	var s savedIslands[G]
	if err := unmarshalState(data, "islands", m.setup(), &s); err != nil {
		return err
	}
	queue := loadQueue(s.Queue)
	if err := m.checkState(&s, &queue); err != nil {
		return fmt.Errorf("search: load islands: %w", err)
	}
	m.candidates.load(s.Seen)
	m.share()
	for i, p := range s.Populations {
		m.islands[i].loadPopulation(p)
	}
	m.queue, m.plan, m.shares = queue, s.Plan, s.Shares
	return nil
}

// checkState returns an error unless s may be the state of a search.
func (m *Islands[G]) checkState(s *savedIslands[G], queue *queue[G]) error {
	if err := queue.check(len(m.directions)); err != nil {
		return err
	}
	for i, c := range s.Plan {
		if want := queue.next() + i; c.ID != want {
			return fmt.Errorf("candidate %d is where %d should be", c.ID, want)
		}
	}
	if len(s.Populations) != len(m.islands) {
		return fmt.Errorf("%d islands, want %d", len(s.Populations), len(m.islands))
	}
	least := 2
	if s.Seen.Exhausted {
		least = 0 // an island may have got none of the last candidates
	}
	for _, p := range s.Populations {
		if err := p.check(len(m.directions), least); err != nil {
			return err
		}
	}
	if waiting := len(queue.outcomes) + len(s.Plan); waiting > 0 {
		sum := 0
		for _, n := range s.Shares {
			if n < 0 || n > waiting {
				return fmt.Errorf("an island's share is %d", n)
			}
			sum += n
		}
		if len(s.Shares) != len(m.islands) || sum != waiting {
			return fmt.Errorf("%d islands with %d candidates, want %d with %d", len(s.Shares), sum, len(m.islands), waiting)
		}
	}
	return nil
}
