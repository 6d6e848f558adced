package space

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/internal/strict"
)

// A Space is a set of networks: a template with open values, its genes, and the
// rule that only networks that can be built belong to it. It is safe for
// concurrent use.
type Space struct {
	name string
	plan *arch.Plan

	parts   []int   // stem, stages, head, in the order in which they are lowered
	slots   [][]int // genes of each part
	globals []int   // genes of the whole network
	rests   []rest  // of each part
	trellis *trellis
	states  map[state]int32 // nodes of the trellis after which anything may come

	walkers    sync.Pool    // of *walker
	flags      sync.Pool    // of *[]bool, one a gene
	throughout [][][]allele // by gene and option: the same option of the same parameter in all stages
}

// An allele is an option of a gene.
type allele struct {
	gene   int
	option uint16
}

// A Gene is an open value: what it is and what it may be.
type Gene struct {
	Name    string // path in the file, such as "stages.2.expansion"
	Options []string
	Ordered bool // the options are numbers in order, so that neighbours are alike
}

// A Genome says for every gene which of its options is taken. Genomes from a
// Space are canonical (inactive genes are zero) and can be built; they are not
// changed once made.
type Genome []uint16

// Read reads the space file at path.
func Read(path string) (*Space, error) {
	t, err := arch.ReadTemplate(path)
	if err != nil {
		return nil, err
	}
	return New(t)
}

// Parse returns the space that data, in YAML or JSON, describes. The file name
// is for messages.
func Parse(file string, data []byte) (*Space, error) {
	t, err := arch.ParseTemplate(file, data)
	if err != nil {
		return nil, err
	}
	return New(t)
}

// From returns the space in a node of a larger file.
func From(node *strict.Node) (*Space, error) {
	t, err := arch.TemplateFrom(node)
	if err != nil {
		return nil, err
	}
	return New(t)
}

// New returns the space of a template. It fails if a value is out of its range,
// or if no network of the space can be built; then it says which stage is in
// the way and why.
func New(t *arch.Template) (*Space, error) {
	own := *t
	own.About = arch.About{} // it is of the network that the space was made from
	plan, err := own.Compile()
	if err != nil {
		return nil, err
	}
	s := &Space{name: t.Name, plan: plan}
	s.walkers.New = func() any { return &walker{space: s} }
	s.flags.New = func() any { f := make([]bool, len(plan.Slots)); return &f }
	if err := s.count(); err != nil {
		return nil, err
	}
	s.throughout = throughout(plan)
	return s, nil
}

// throughout returns, by gene and option, the alleles that give all stages this option
// of the gene's parameter, in the stages that have it.
func throughout(plan *arch.Plan) [][][]allele {
	type choice struct{ parameter, option string }
	of := func(i, o int) choice {
		path := plan.Slots[i].Path
		return choice{path[strings.LastIndexByte(path, '.')+1:], plan.Slots[i].Options[o].String()}
	}
	same := make(map[choice][]allele)
	for i := range plan.Slots {
		for o := range plan.Slots[i].Options {
			if plan.Slots[i].Stage >= 0 {
				same[of(i, o)] = append(same[of(i, o)], allele{i, uint16(o)})
			}
		}
	}
	all := make([][][]allele, len(plan.Slots))
	for i := range plan.Slots {
		for o := range plan.Slots[i].Options {
			all[i] = append(all[i], same[of(i, o)])
		}
	}
	return all
}

// Name returns the name in the space's file.
func (s *Space) Name() string { return s.name }

// Template returns what the space was made from. It is the caller's.
func (s *Space) Template() *arch.Template { return s.plan.Template() }

// Genes returns the genes, in the order of a genome.
func (s *Space) Genes() []Gene {
	genes := make([]Gene, len(s.plan.Slots))
	for i, slot := range s.plan.Slots {
		genes[i] = Gene{Name: slot.Path, Ordered: slot.Ordered}
		for _, o := range slot.Options {
			genes[i].Options = append(genes[i].Options, o.String())
		}
	}
	return genes
}

// Size returns the exact number of distinct networks, in the sense of [Space.Key]:
// of canonical genomes that can be built.
func (s *Space) Size() *big.Int { return new(big.Int).Set(s.trellis.nodes[s.trellis.root].paths) }

// Network writes the network of g to n. Decoding again and again into one
// network does not allocate.
func (s *Space) Network(g Genome, n *arch.Network) { s.plan.Build(g, n) }

// Genome is the inverse of Network: the canonical genome of n. It fails if n is
// not of this space.
func (s *Space) Genome(n *arch.Network) (Genome, error) {
	g, err := s.plan.Genes(n)
	if err != nil {
		return nil, fmt.Errorf("the network is not of this space: %w", err)
	}
	return s.canonical(g), nil
}

// Words returns for every gene the option that g takes, and "" for the
// inactive ones.
func (s *Space) Words(g Genome) []string {
	active := make([]bool, len(g))
	s.plan.Active(g, active)
	words := make([]string, len(g))
	for i, slot := range s.plan.Slots {
		if active[i] {
			words[i] = slot.Options[g[i]].String()
		}
	}
	return words
}

// Key returns a string that two genomes share if and only if they are one
// network, which is to say that they differ in nothing but inactive genes and
// stages that do nothing, see the package's comment.
func (s *Space) Key(g Genome) string {
	g = s.canonical(slices.Clone(g))
	key := make([]byte, 2*len(g))
	for i, v := range g {
		key[2*i], key[2*i+1] = byte(v>>8), byte(v)
	}
	return string(key)
}

// canonical makes g, which it changes, canonical.
func (s *Space) canonical(g Genome) Genome {
	flags := s.flags.Get().(*[]bool)
	s.plan.Canonical(g, *flags)
	s.flags.Put(flags)
	return g
}

// Sample returns a genome drawn uniformly from the space's distinct networks, as
// far as the 53 bits of a float64 can tell their shares apart. It does not fail;
// the error is for [search.Space], of which other implementations may.
func (s *Space) Sample(rng *rand.Rand) (Genome, error) {
	g := make(Genome, len(s.plan.Slots))
	s.trellis.draw(rng, s.trellis.root, g, func(id int32) bool { return id == end })
	return g, nil
}

// Mutate returns a changed copy of parent: one active gene changes, and one time
// in sixteen each other with probability one in their number too. A gene with ordered
// options goes to a neighbouring option every second time, else to any other.
// One time in twenty, all stages take the option that one gene has: networks that
// do the same everywhere are far from each other, gene by gene.
// Genes that become active with it are drawn.
// What cannot be built is repaired, see [Space.Repair].
func (s *Space) Mutate(rng *rand.Rand, parent Genome) (Genome, error) {
	active := make([]bool, len(parent))
	s.plan.Active(parent, active)
	var genes []int
	for i, on := range active {
		if on {
			genes = append(genes, i)
		}
	}
	child := slices.Clone(parent)
	if len(genes) == 0 {
		return child, nil // a space of one network
	}
	const tries = 8 // a repair can undo a mutation
	for range tries {
		copy(child, parent)
		certain, further := genes[rng.IntN(len(genes))], rng.IntN(16) == 0
		if rng.IntN(20) == 0 {
			for _, a := range s.throughout[certain][child[certain]] {
				child[a.gene] = a.option
			}
			further = false
		}
		for _, i := range genes {
			if i == certain && slices.Equal(child, parent) || further && rng.IntN(len(genes)) == 0 {
				child[i] = s.other(rng, i, child[i])
			}
		}
		s.draft(rng, child, active)
		if err := s.Repair(rng, child); err != nil {
			return nil, err
		}
		if !slices.Equal(child, parent) {
			break
		}
	}
	return child, nil
}

// draft draws the genes of child that were not active before and are now, as
// after a change of block type or depth: their zero means nothing. It reports
// whether there are any.
func (s *Space) draft(rng *rand.Rand, child Genome, before []bool) (drawn bool) {
	now := make([]bool, len(child))
	s.plan.Active(child, now)
	for i, on := range now {
		if on && !before[i] {
			child[i] = uint16(rng.IntN(len(s.plan.Slots[i].Options)))
			drawn = true
		}
	}
	return drawn
}

// other draws another option of gene i.
func (s *Space) other(rng *rand.Rand, i int, now uint16) uint16 {
	slot := &s.plan.Slots[i]
	n := len(slot.Options)
	if slot.Ordered && rng.IntN(2) == 0 {
		switch {
		case now == 0:
			return 1
		case int(now) == n-1:
			return now - 1
		case rng.IntN(2) == 0:
			return now - 1
		}
		return now + 1
	}
	v := uint16(rng.IntN(n - 1))
	if v >= now {
		v++
	}
	return v
}

// Crossover returns a child of a and b: stage by stage, and every second time
// gene by gene, from either with equal probability. What cannot be built is
// repaired, see [Space.Repair].
func (s *Space) Crossover(rng *rand.Rand, a, b Genome) (Genome, error) {
	child := slices.Clone(a)
	byStage := rng.IntN(2) == 0
	stage, take := 0, false
	for i := range child {
		if at := s.plan.Slots[i].Stage; i == 0 || !byStage || at != stage {
			stage, take = at, rng.IntN(2) == 0
		}
		if take {
			child[i] = b[i]
		}
	}
	return child, s.Repair(rng, child)
}

// Repair makes g, which it changes, canonical and one that can be built. From
// the stem to the head, a part that does not fit what comes before it, or after
// which nothing fits, has one of its active genes changed: the last that can
// help in the order of the genome, to the nearest option that does (the lower
// of two). If no single gene helps, all genes of the part are drawn anew. It does
// not fail; the error is for interfaces.
func (s *Space) Repair(rng *rand.Rand, g Genome) error {
	s.canonical(g)
	w := s.walkers.Get().(*walker)
	defer s.walkers.Put(w)
	s.plan.Build(g, &w.net)
	shape := input(&w.net)
	if _, ok := s.states[state{0, shape}]; !ok {
		// Nothing fits this input: take the first that something fits.
		s.trellis.nodes[s.trellis.root].take(0, g)
		s.plan.Build(g, &w.net)
		shape = input(&w.net)
	}
	for i := range s.parts {
		out, ok := w.lower(i, g, shape)
		if !ok {
			if out, ok = w.nearest(i, g, shape); !ok {
				out = w.draw(rng, i, g, shape)
			}
		}
		shape = out
	}
	s.canonical(g)
	return nil
}

func input(n *arch.Network) arch.Shape {
	return arch.Shape{C: int32(n.Input.Channels), H: int32(n.Input.Resolution), W: int32(n.Input.Resolution)}
}
