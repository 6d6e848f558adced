package runner

import (
	"errors"
	"fmt"
	"slices"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/internal/strict"
	"github.com/efficientnas/nas/pareto"
	"github.com/efficientnas/nas/search"
	"github.com/efficientnas/nas/space"
)

// SearchOptions are the settings of search algorithms. The zero value has the
// defaults of each.
type SearchOptions struct {
	Seed       uint64
	Population int // of nsga2, of each of the islands and of evolution; 0 for the default
	Offspring  int // of nsga2, evolution, local and guided; 0 for the default

	// MACs confines stratified; nil for all there are.
	MACs *space.Interval

	// WarmStart is what guided begins with; nil for nothing.
	WarmStart *WarmStart

	// Known says of each objective how it comes to be known; only guided
	// asks.
	Known []Known
	// Violation returns by how much a network n that was lowered to g exceeds
	// constraints on its costs, 0 if by nothing. It may be nil; only guided asks.
	Violation func(n *arch.Network, g *arch.Graph) float64
}

// An algorithm makes methods. It is found by its name.
type algorithm struct {
	name string
	new  func(s *space.Space, directions []pareto.Direction, o SearchOptions) (search.Method[space.Genome], error)
}

// algorithms are all that a study and a benchmark can name, in the order in which
// people are told of them. The first is the yardstick of the others.
var algorithms = []algorithm{
	{"random", func(s *space.Space, directions []pareto.Direction, o SearchOptions) (search.Method[space.Genome], error) {
		return search.NewRandom[space.Genome](s, directions, o.Seed)
	}},
	{"nsga2", func(s *space.Space, directions []pareto.Direction, o SearchOptions) (search.Method[space.Genome], error) {
		return search.NewNSGA2[space.Genome](s, directions, search.NSGA2Settings{Seed: o.Seed, Population: o.Population, Offspring: o.Offspring})
	}},
	{"stratified", func(s *space.Space, directions []pareto.Direction, o SearchOptions) (search.Method[space.Genome], error) {
		strata, err := newStrata(s, o.MACs)
		if err != nil {
			return nil, err
		}
		return search.NewRandom[space.Genome](strata, directions, o.Seed)
	}},
	{"islands", func(s *space.Space, directions []pareto.Direction, o SearchOptions) (search.Method[space.Genome], error) {
		return search.NewIslands[space.Genome](s, directions, search.IslandsSettings{Seed: o.Seed, Population: o.Population})
	}},
	{"evolution", func(s *space.Space, directions []pareto.Direction, o SearchOptions) (search.Method[space.Genome], error) {
		return search.NewEvolution[space.Genome](s, directions, search.EvolutionSettings{Seed: o.Seed, Population: o.Population, Concurrency: o.Offspring})
	}},
	{"local", func(s *space.Space, directions []pareto.Direction, o SearchOptions) (search.Method[space.Genome], error) {
		return search.NewLocal[space.Genome](s, directions, search.LocalSettings{Seed: o.Seed, Concurrency: o.Offspring})
	}},
	{"guided", func(s *space.Space, directions []pareto.Direction, o SearchOptions) (search.Method[space.Genome], error) {
		return newGuided(s, directions, o, false)
	}},
	{"guided_blind", func(s *space.Space, directions []pareto.Direction, o SearchOptions) (search.Method[space.Genome], error) {
		return newGuided(s, directions, o, true)
	}},
}

func newGuided(s *space.Space, directions []pareto.Direction, o SearchOptions, blind bool) (search.Method[space.Genome], error) {
	if len(o.Known) != len(directions) {
		return nil, fmt.Errorf("runner: guided search of %d objectives is told of %d", len(directions), len(o.Known))
	}
	g, err := newGuide(s, o, blind)
	if err != nil {
		return nil, err
	}
	settings := search.GuidedSettings[space.Genome]{Seed: o.Seed, Batch: o.Offspring}
	if n := s.Size(); n.IsInt64() && n.Int64() <= maxEnumerated {
		all, err := s.All()
		if err != nil {
			return nil, err
		}
		settings.All = slices.Collect(all)
	}
	method, err := search.NewGuided(s, directions, g, settings)
	if err != nil {
		return nil, err
	}
	return &guided{method, g}, nil
}

// guided is a guided search with what it believes.
type guided struct {
	*search.Guided[space.Genome]
	guide *guide
}

// maxEnumerated is how many networks a guided search predicts for every batch.
const maxEnumerated = 20_000

// Algorithms returns the names of the search algorithms, the yardstick first.
func Algorithms() []string {
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		names[i] = a.name
	}
	return names
}

// NewMethod returns a search of s by the named algorithm, one of [Algorithms].
func NewMethod(algorithm string, s *space.Space, directions []pareto.Direction, o SearchOptions) (search.Method[space.Genome], error) {
	for _, a := range algorithms {
		if a.name == algorithm {
			return a.new(s, directions, o)
		}
	}
	return nil, errors.New("runner: " + strict.Unknown("algorithm", algorithm, Algorithms()))
}
