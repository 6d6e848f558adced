package search

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/integrate/quad"

	"github.com/efficientnas/nas/pareto"
)

// A Surrogate is what a [Guided] search believes of candidates that were not
// evaluated. It is called from one goroutine.
//
// The same calls in the same order give the same answers. To ask again, or of
// other candidates, without learning in between changes no later answer: so a
// search that is resumed can make a new Surrogate what the old one was, by telling
// it all again and asking little.
type Surrogate[G any] interface {
	// Learn tells it of an evaluated candidate that has objectives.
	Learn(genome G, objectives []float64) error
	// Guess stores in guesses[i] what it expects of genomes[i]. The slices within have
	// one element for each objective. Before it has learnt anything, only
	// objectives that are known without an evaluation need be right.
	Guess(genomes []G, guesses []Guess) error
	// Trusted reports whether what it has learnt so far is good for anything,
	// such as ranking candidates better than the known objectives alone. If it is
	// before it has learnt anything, it is asked for the first candidates too.
	Trusted() (bool, error)
}

// A Guess is what a [Surrogate] expects of a candidate.
type Guess struct {
	// Mean and SD are the mean and the standard deviation of each objective, in
	// its unit. An SD of 0 says that the objective is known without an evaluation.
	Mean, SD []float64
	// Violation is by how much the candidate exceeds constraints that are known
	// without an evaluation, 0 if by nothing. Others are not proposed.
	Violation float64
}

// Guided searches where evaluations are dear: it proposes what by a [Surrogate]'s
// belief adds most to the front, as hypervolume (Emmerich, Giannakoglou and
// Naujoks, "Single- and multiobjective evolutionary optimization assisted by
// Gaussian random field metamodels", IEEE TEVC 10(4), 2006: the expected
// hypervolume improvement). Objectives that are known beforehand, such as MACs,
// count as known.
//
// The first candidates are drawn, unless the surrogate is trusted already, in equal numbers from strata of the first
// objective that is known, so that cheap and dear ones are there from the
// beginning. From then on it proposes batches, each member in the belief that those
// before it turn out as expected (Ginsbourger, Le Riche and Carraro, "Kriging is
// well-suited to parallelize optimization", 2010). As long as the surrogate
// cannot be trusted, a batch comes of mutations and crossovers of the front instead.
//
// The reference point of the hypervolume is beyond the worst that has been
// evaluated, or is among what could be.
type Guided[G any] struct {
	directions []pareto.Direction
	surrogate  Surrogate[G]
	settings   GuidedSettings[G]

	candidates distinct[G]
	archive    *pareto.Archive[Candidate[G]]
	worst      []float64 // of all evaluated, by objective; nil at first

	rounds [][]Outcome[G] // batches that were learnt
	queue  queue[G]       // the batch under way: what was asked for
	plan   []Candidate[G] // the rest of it

	source *rand.PCG // seeded anew for every batch: no state
	rng    *rand.Rand
}

// GuidedSettings are the settings of [Guided]. The zero value is ready to use.
type GuidedSettings[G any] struct {
	// Seed selects the random streams.
	Seed uint64
	// First is the number of candidates drawn before the surrogate is asked. 0 means 12.
	First int
	// Batch is the number of candidates proposed at once. 0 means a twentieth of those
	// evaluated so far, 4 at least and 50 at most.
	Batch int
	// All are all candidates of the space, if they are few enough to predict
	// each of them for every batch; tens of thousands are. Without them an evolutionary
	// search within the surrogate's belief finds what to choose from.
	All []G
}

// The sizes of what a batch is chosen from, if not from all candidates.
const (
	poolSamples  = 1000 // drawn at random
	poolRounds   = 10   // of the inner search
	poolChildren = 500  // of a round
	strataDraws  = 50   // for each of the first candidates
)

// NewGuided returns a guided search. It returns an error if a direction is unknown
// or there is none, or if a setting is out of range.
func NewGuided[G any](space Space[G], directions []pareto.Direction, surrogate Surrogate[G], settings GuidedSettings[G]) (*Guided[G], error) {
	archive, err := pareto.NewArchive[Candidate[G]](directions)
	if settings.First < 0 || settings.Batch < 0 {
		err = errors.Join(err, fmt.Errorf("first is %d and batch %d, want 0 or more", settings.First, settings.Batch))
	}
	if err != nil {
		return nil, fmt.Errorf("search: guided: %w", err)
	}
	settings.First = cmp.Or(settings.First, 12)
	source := rand.NewPCG(0, 0)
	return &Guided[G]{
		directions: slices.Clone(directions), surrogate: surrogate, settings: settings,
		candidates: newDistinct(space), archive: archive, source: source, rng: rand.New(source),
	}, nil
}

// Directions implements [Method].
func (m *Guided[G]) Directions() []pareto.Direction { return slices.Clone(m.directions) }

// Ask implements [Method]. It returns no more than the rest of a batch, and
// [ErrPending] if results of a fully proposed batch are missing.
func (m *Guided[G]) Ask(n int) ([]Candidate[G], error) {
	return m.queue.ask(n, &m.plan, m.propose)
}

// Tell implements [Method]. With the last result of a batch the surrogate learns
// it. Unless the surrogate fails, an error changes nothing.
func (m *Guided[G]) Tell(candidates []Candidate[G], evaluations []Evaluation) error {
	if err := m.queue.tell(candidates, evaluations, len(m.directions)); err != nil {
		return err
	}
	if len(m.plan) > 0 || len(m.queue.outcomes) == 0 || !m.queue.complete() {
		return nil
	}
	return m.learn(m.queue.take(len(m.queue.outcomes)))
}

// Pending implements [Method].
func (m *Guided[G]) Pending() []Candidate[G] { return m.queue.pending() }

// learn ends a batch. It learns in order of proposal, whatever that of the
// results was.
func (m *Guided[G]) learn(batch []Outcome[G]) error {
	for _, o := range batch {
		if err := m.learnOne(o.Candidate, o.Evaluation); err != nil {
			return err
		}
	}
	m.rounds = append(m.rounds, batch)
	return nil
}

func (m *Guided[G]) learnOne(c Candidate[G], e Evaluation) error {
	if e.Err != nil || e.Objectives == nil || pareto.CheckPoint(e.Objectives, len(m.directions)) != nil {
		return nil
	}
	if err := m.surrogate.Learn(c.Genome, e.Objectives); err != nil {
		return fmt.Errorf("search: guided: %w", err)
	}
	if m.worst == nil {
		m.worst = slices.Clone(e.Objectives)
	}
	for k, d := range m.directions {
		m.worst[k] = worse(d, m.worst[k], e.Objectives[k])
	}
	if e.feasible() {
		if _, err := m.archive.Add(c.Key, e.Objectives, c); err != nil {
			return fmt.Errorf("search: guided: %w", err)
		}
	}
	return nil
}

// worse returns the worse of two values.
func worse(d pareto.Direction, a, b float64) float64 {
	if d == pareto.Minimize {
		return max(a, b)
	}
	return min(a, b)
}

// propose plans a batch. With an error it changes nothing.
func (m *Guided[G]) propose() error {
	err := m.fill()
	if err != nil {
		for _, c := range m.plan {
			delete(m.candidates.seen, c.Key)
		}
		m.plan = nil
	}
	return err
}

// fill fills the batch.
func (m *Guided[G]) fill() error {
	seedStream(m.source, m.settings.Seed, forOffspring, len(m.rounds), 0)
	trusted, err := m.trusted()
	switch {
	case err != nil:
	case trusted:
		err = m.choose()
	case len(m.rounds) == 0:
		err = m.first()
	}
	if err != nil {
		return err
	}
	// What is missing of the batch, evolution has to find.
	for len(m.plan) < m.size() {
		if err := m.breed(); errors.Is(err, ErrExhausted) && len(m.plan) > 0 {
			break
		} else if err != nil {
			return err
		}
	}
	return nil
}

// trusted reports whether the surrogate is to be asked for the batch.
func (m *Guided[G]) trusted() (bool, error) {
	trusted, err := m.surrogate.Trusted()
	if err != nil {
		err = fmt.Errorf("search: guided: %w", err)
	}
	return trusted, err
}

// size returns the size of the batch.
func (m *Guided[G]) size() int {
	if len(m.rounds) == 0 {
		return m.settings.First
	}
	const share, least, most = 20, 4, 50
	return cmp.Or(m.settings.Batch, min(max(m.queue.first/share, least), most))
}

// put adds a candidate, whose key was taken, to the batch.
func (m *Guided[G]) put(genome G, key, operator string, parents ...int) {
	m.plan = append(m.plan, Candidate[G]{
		ID: m.queue.next() + len(m.plan), Genome: genome, Key: key, Generation: len(m.rounds), Operator: operator, Parents: parents,
	})
}

// first fills the first batch, with one candidate of each stratum of the first
// objective that is known: of equal extent, in the logarithm if all values are positive.
// Where nothing is known, it is drawn at random.
func (m *Guided[G]) first() error {
	pool, guesses, err := m.pool(strataDraws*m.settings.First, 0)
	if err != nil || len(pool) == 0 {
		return err
	}
	at := slices.Index(guesses[0].SD, 0)
	if at < 0 {
		return nil
	}
	value := func(i int) float64 { return guesses[i].Mean[at] }
	order := make([]int, len(pool))
	least := math.Inf(1)
	for i := range order {
		order[i], least = i, min(least, value(i))
	}
	scale := func(v float64) float64 { return v }
	if least > 0 {
		scale = math.Log
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(value(a), value(b)) })
	from, to := scale(value(order[0])), scale(value(order[len(order)-1]))
	for k := range m.settings.First {
		want := from + (to-from)*(float64(k)+m.rng.Float64())/float64(m.settings.First)
		i, _ := slices.BinarySearchFunc(order, want, func(i int, want float64) int { return cmp.Compare(scale(value(i)), want) })
		for _, j := range slices.Concat(order[i:], order[:i]) {
			if key, ok := m.candidates.take(pool[j]); ok {
				m.put(pool[j], key, BySample)
				break
			}
		}
	}
	return nil
}

// breed adds a candidate that comes of the front by mutation or crossover, or
// else a sample.
func (m *Guided[G]) breed() error {
	if parents := m.archive.Entries(); len(parents) > 0 {
		for range breedingTries {
			child, err := m.child(parents)
			if err != nil {
				return err
			}
			if key, ok := m.candidates.take(child.Genome); ok {
				m.put(child.Genome, key, child.Operator, child.Parents...)
				return nil
			}
		}
	}
	genome, key, err := m.candidates.sample(m.rng)
	if err != nil {
		return err
	}
	m.put(genome, key, BySample)
	return nil
}

// child returns a child of one or two of the parents, by mutation or crossover.
func (m *Guided[G]) child(parents []pareto.Entry[Candidate[G]]) (child Candidate[G], err error) {
	mother, father := parents[m.rng.IntN(len(parents))].Value, parents[m.rng.IntN(len(parents))].Value
	if m.rng.IntN(2) == 0 {
		child.Operator, child.Parents = ByMutation, []int{mother.ID}
		child.Genome, err = m.candidates.space.Mutate(m.rng, mother.Genome)
	} else {
		child.Operator, child.Parents = ByCrossover, []int{mother.ID, father.ID}
		child.Genome, err = m.candidates.space.Crossover(m.rng, mother.Genome, father.Genome)
	}
	if err != nil {
		err = fmt.Errorf("search: guided: %w", err)
	}
	return child, err
}

// pool returns new candidates that meet all known constraints, and what the
// surrogate expects of them: all there are, or samples and what rounds of evolution
// find promising.
func (m *Guided[G]) pool(samples, rounds int) ([]G, []Guess, error) {
	var pool []G
	var guesses []Guess
	known := make(map[string]struct{})
	add := func(genomes []G) error {
		news := make([]G, 0, len(genomes))
		for _, g := range genomes {
			key := m.candidates.space.Key(g)
			_, old := m.candidates.seen[key]
			if _, twice := known[key]; !old && !twice {
				known[key] = struct{}{}
				news = append(news, g)
			}
		}
		some, err := m.guess(news)
		if err != nil {
			return err
		}
		for i, g := range news {
			if some[i].Violation == 0 {
				pool, guesses = append(pool, g), append(guesses, some[i])
			}
		}
		return nil
	}
	if m.settings.All != nil {
		return pool, guesses, add(m.settings.All)
	}
	drawn := make([]G, samples)
	for i := range drawn {
		var err error
		if drawn[i], err = m.candidates.space.Sample(m.rng); err != nil {
			return nil, nil, fmt.Errorf("search: sample: %w", err)
		}
	}
	if err := add(drawn); err != nil {
		return nil, nil, err
	}
	for round := range rounds {
		// Optimism finds what might be good, every second round what is likely to be.
		parents, err := pareto.NewArchive[Candidate[G]](m.directions)
		if err != nil {
			return nil, nil, err
		}
		for _, e := range m.archive.Entries() {
			if _, err := parents.Add(e.Key, e.Point, e.Value); err != nil {
				return nil, nil, err
			}
		}
		for i, g := range pool {
			if _, err := parents.Add(m.candidates.space.Key(g), m.optimistic(&guesses[i], float64(round%2)), Candidate[G]{Genome: g}); err != nil {
				return nil, nil, fmt.Errorf("search: guided: %w", err)
			}
		}
		children := make([]G, poolChildren)
		entries := parents.Entries()
		if len(entries) == 0 {
			break
		}
		for i := range children {
			child, err := m.child(entries)
			if err != nil {
				return nil, nil, err
			}
			children[i] = child.Genome
		}
		if err := add(children); err != nil {
			return nil, nil, err
		}
	}
	return pool, guesses, nil
}

// guess asks the surrogate.
func (m *Guided[G]) guess(genomes []G) ([]Guess, error) {
	d := len(m.directions)
	values := make([]float64, 2*d*len(genomes))
	guesses := make([]Guess, len(genomes))
	for i := range guesses {
		v := values[2*d*i:]
		guesses[i] = Guess{Mean: v[:d:d], SD: v[d : 2*d : 2*d]}
	}
	if err := m.surrogate.Guess(genomes, guesses); err != nil {
		return nil, fmt.Errorf("search: guided: %w", err)
	}
	return guesses, nil
}

// optimistic returns the mean, by so many standard deviations better.
func (m *Guided[G]) optimistic(g *Guess, deviations float64) []float64 {
	point := slices.Clone(g.Mean)
	for k, d := range m.directions {
		if d == pareto.Minimize {
			point[k] -= deviations * g.SD[k]
		} else {
			point[k] += deviations * g.SD[k]
		}
	}
	return point
}

// choose fills the batch with what is expected to add most to the front.
func (m *Guided[G]) choose() error {
	pool, guesses, err := m.pool(poolSamples, poolRounds)
	if err != nil {
		return err
	}
	volume, err := m.volume(guesses)
	if err != nil {
		return err
	}
	draws := m.draws(guesses)
	// What a candidate adds to a larger front is never more. So the last value
	// is a bound, and only the best by bound has to be computed anew.
	gain := make([]float64, len(pool))
	fresh := make([]int, len(pool)) // the size of the batch that the gain is of
	for i := range pool {
		if gain[i], err = expectedGain(volume, &guesses[i], draws); err != nil {
			return fmt.Errorf("search: guided: %w", err)
		}
	}
	for len(m.plan) < m.size() {
		best := 0
		for i := range pool {
			if gain[i] > gain[best] {
				best = i
			}
		}
		if len(pool) == 0 || gain[best] <= 0 {
			return nil
		}
		if fresh[best] < len(m.plan) {
			if gain[best], err = expectedGain(volume, &guesses[best], draws); err != nil {
				return fmt.Errorf("search: guided: %w", err)
			}
			fresh[best] = len(m.plan)
			continue
		}
		gain[best] = 0
		key, ok := m.candidates.take(pool[best])
		if !ok {
			continue
		}
		m.put(pool[best], key, ByGuess)
		if _, err := volume.Add(guesses[best].Mean); err != nil {
			return fmt.Errorf("search: guided: %w", err)
		}
	}
	return nil
}

// volume returns the hypervolume of the front so far.
func (m *Guided[G]) volume(guesses []Guess) (*pareto.Volume, error) {
	const beyond = 0.02 // of the range
	reference := make([]float64, len(m.directions))
	for k, d := range m.directions {
		low, high := math.Inf(1), math.Inf(-1)
		see := func(v float64) { low, high = min(low, v), max(high, v) }
		if m.worst != nil {
			see(m.worst[k])
		}
		for _, e := range m.archive.Entries() {
			see(e.Point[k])
		}
		for i := range guesses {
			if guesses[i].SD[k] == 0 || m.worst == nil {
				see(guesses[i].Mean[k])
			}
		}
		if low > high {
			low, high = 0, 0
		}
		margin := cmp.Or(beyond*(high-low), 1)
		if reference[k] = high + margin; d == pareto.Maximize {
			reference[k] = low - margin
		}
	}
	volume, err := pareto.NewVolume(reference, m.directions)
	if err != nil {
		return nil, fmt.Errorf("search: guided: %w", err)
	}
	for _, e := range m.archive.Entries() {
		if _, err := volume.Add(e.Point); err != nil {
			return nil, fmt.Errorf("search: guided: %w", err)
		}
	}
	return volume, nil
}

// A draw is one way that uncertain objectives may turn out: so many standard
// deviations from the mean, with this weight.
type draw struct {
	deviations []float64
	weight     float64
}

// draws returns the draws over which an expectation is a weighted sum: of one
// uncertain objective the nodes of Gauss and Hermite, which see the tails; of more, random
// ones, which are the same for all candidates.
func (m *Guided[G]) draws(guesses []Guess) []draw {
	const nodes, random = 16, 128
	uncertain := make(map[int]bool)
	for i := range guesses {
		for k, sd := range guesses[i].SD {
			if sd > 0 {
				uncertain[k] = true
			}
		}
	}
	d := len(m.directions)
	var draws []draw
	if len(uncertain) <= 1 {
		x, w := make([]float64, nodes), make([]float64, nodes)
		quad.Hermite{}.FixedLocations(x, w, math.Inf(-1), math.Inf(1))
		for i := range x {
			draws = append(draws, draw{slices.Repeat([]float64{math.Sqrt2 * x[i]}, d), w[i] / math.SqrtPi})
		}
		return draws
	}
	for range random {
		deviations := make([]float64, d)
		for k := range deviations {
			deviations[k] = m.rng.NormFloat64()
		}
		draws = append(draws, draw{deviations, 1. / random})
	}
	return draws
}

// expectedGain returns by how much a candidate is expected to increase the volume.
func expectedGain(volume *pareto.Volume, g *Guess, draws []draw) (float64, error) {
	sum := 0.
	point := make([]float64, len(g.Mean))
	for _, d := range draws {
		for k := range point {
			point[k] = g.Mean[k] + g.SD[k]*d.deviations[k]
		}
		gain, err := volume.Gain(point)
		if err != nil {
			return 0, err
		}
		sum += d.weight * gain
	}
	return sum, nil
}

// savedGuided is the state of [Guided] as gob can write it.
type savedGuided[G any] struct {
	Rounds    [][]savedOutcome[G]
	Queue     savedQueue[G]
	Plan      []Candidate[G]
	Exhausted bool
}

func (m *Guided[G]) setup() any {
	return struct {
		Seed              uint64
		First, Batch, All int
		Directions        []pareto.Direction
	}{m.settings.Seed, m.settings.First, m.settings.Batch, len(m.settings.All), m.directions}
}

// MarshalBinary implements [Method].
func (m *Guided[G]) MarshalBinary() ([]byte, error) {
	s := savedGuided[G]{Queue: m.queue.save(), Plan: m.plan, Exhausted: m.candidates.exhausted}
	for _, round := range m.rounds {
		s.Rounds = append(s.Rounds, saveOutcomes(round))
	}
	return marshalState("guided", m.setup(), s)
}

// UnmarshalBinary implements [Method]. The state of the surrogate is not part of
// the state: the method's surrogate must be new, too, and learns all outcomes
// again. That takes what the surrogate took so far to learn, less what it took to
// guess. If the surrogate fails, the method cannot be used any more.
func (m *Guided[G]) UnmarshalBinary(data []byte) error {
	var s savedGuided[G]
	if err := unmarshalState(data, "guided", m.setup(), &s); err != nil {
		return err
	}
	if m.queue.next() > 0 || len(m.plan) > 0 {
		return errors.New("search: load guided: the method is not new")
	}
	queue := loadQueue(s.Queue)
	var rounds [][]Outcome[G]
	for _, round := range s.Rounds {
		rounds = append(rounds, loadOutcomes(round))
	}
	seen, err := m.checkState(rounds, queue, s.Plan)
	if err != nil {
		return fmt.Errorf("search: load guided: %w", err)
	}
	for _, round := range rounds {
		if err := m.ask(round[0].Genome); err != nil {
			return err
		}
		if err := m.learn(round); err != nil {
			return err
		}
	}
	if len(queue.outcomes) > 0 {
		err = m.ask(queue.outcomes[0].Genome)
	} else if len(s.Plan) > 0 {
		err = m.ask(s.Plan[0].Genome)
	}
	m.queue, m.plan = queue, s.Plan
	m.candidates.seen, m.candidates.exhausted = seen, s.Exhausted
	return err
}

// ask asks the surrogate what it was asked when a batch was planned, as far as it
// matters to it; genome is any.
func (m *Guided[G]) ask(genome G) error {
	trusted, err := m.trusted()
	if err == nil && trusted {
		_, err = m.guess([]G{genome})
	}
	return err
}

// checkState returns an error unless these may be the state of a search. It
// returns the keys in it.
func (m *Guided[G]) checkState(rounds [][]Outcome[G], q queue[G], plan []Candidate[G]) (seen map[string]struct{}, err error) {
	seen = make(map[string]struct{})
	see := func(c Candidate[G]) error {
		if c.ID != len(seen) {
			return fmt.Errorf("candidate %d is where %d should be", c.ID, len(seen))
		}
		if _, twice := seen[c.Key]; twice {
			return fmt.Errorf("candidate %d was proposed before", c.ID)
		}
		seen[c.Key] = struct{}{}
		return nil
	}
	for _, round := range rounds {
		if len(round) == 0 {
			return nil, errors.New("an empty batch")
		}
		for _, o := range round {
			if err := see(o.Candidate); err != nil {
				return nil, err
			}
			if err := o.check(len(m.directions)); err != nil {
				return nil, err
			}
		}
	}
	if q.first != len(seen) {
		return nil, fmt.Errorf("%d candidates were learnt, want %d", len(seen), q.first)
	}
	for _, o := range q.outcomes {
		if err := see(o.Candidate); err != nil {
			return nil, err
		}
	}
	for _, c := range plan {
		if err := see(c); err != nil {
			return nil, err
		}
	}
	return seen, q.check(len(m.directions))
}
