package predictor

import (
	"math"
	"slices"

	"github.com/efficientnas/nas/arch"
)

// A Neighbor is the measured record that is most like a network, as the model sees it.
type Neighbor struct {
	Name       string  // of the record's network
	Recipe     string  // of the record
	Similarity float64 // from 0 to 1, for equal features
	// Far reports that what is predicted for the network is an extrapolation: it is
	// less like any record than 19 in 20 of the records are like the nearest
	// other network's, or it mixes block types more than any of them.
	Far bool
}

// Nearest returns the record that is most like n, of any recipe; of several
// the first. It fails if n cannot be built.
func (p *Predictor) Nearest(n *arch.Network) (Neighbor, error) {
	var g arch.Graph
	if err := n.Lower(&g); err != nil {
		return Neighbor{}, err
	}
	x := make([]float64, len(p.layout.columns))
	if err := p.layout.newEncoder().encode(x, n, &g, p.usual); err != nil {
		return Neighbor{}, err
	}
	at, similarity := p.nearest(x, nil)
	r := &p.rows[at]
	return Neighbor{r.Name, p.recipes[r.Task], similarity, similarity < p.near() || p.mixesMore(x)}, nil
}

// mixesMore reports whether the network with the inputs x mixes block types
// more than that of any measured record.
func (p *Predictor) mixesMore(x []float64) bool {
	at := slices.IndexFunc(p.layout.columns, func(c column) bool { return c.mixed })
	return at >= 0 && !slices.ContainsFunc(p.rows, func(r rowOfFile) bool {
		return !r.Derived && r.Inputs[at] >= rounded(x[at])
	})
}

// nearest returns the row most like x that is not equal to the row except.
func (p *Predictor) nearest(x, except []float64) (at int, similarity float64) {
	p.near()
	return p.search(x, except)
}

func (p *Predictor) search(x, except []float64) (at int, similarity float64) {
	least := math.Inf(1)
	for i := range p.rows {
		if p.rows[i].Derived || except != nil && slices.Equal(p.rows[i].Inputs, except) {
			continue
		}
		sum := 0.
		for c, v := range p.rows[i].Inputs {
			d := (x[c] - v) / p.lengths[c]
			sum += d * d
		}
		if sum < least {
			at, least = i, sum
		}
	}
	if math.IsInf(least, 1) { // no other
		return at, 0
	}
	m, _ := matern(math.Sqrt(5 * least))
	return at, m
}

// near returns the similarity to the nearest other network that 19 in 20
// records have. Of many records, some tell.
func (p *Predictor) near() float64 {
	p.nearOnce.Do(func() {
		if m, ok := p.model.(metric); ok {
			p.lengths = m.lengths()
		}
		if p.lengths == nil {
			s := p.sample(nil)
			p.lengths = defaultLengths(&s)
		}
		var measured [][]float64
		for i := range p.rows {
			if !p.rows[i].Derived {
				measured = append(measured, p.rows[i].Inputs)
			}
		}
		all := make([]float64, min(len(measured), maxLandmarks))
		for i := range all {
			x := measured[i*len(measured)/len(all)]
			_, all[i] = p.search(x, x)
		}
		slices.Sort(all)
		p.nearValue = all[len(all)/20]
	})
	return p.nearValue
}
