package predictor

import (
	"slices"

	"github.com/efficientnas/nas/arch"
)

// A Neighbor is the record that is most like a network, as the model sees it.
type Neighbor struct {
	Name       string  // of the record's network
	Recipe     string  // of the record
	Similarity float64 // from 0 to 1, for equal features
	// Far reports that the network is less like any record than 19 in 20 of the
	// records are like the nearest other network's: what is predicted for it is
	// an extrapolation.
	Far bool
}

// Nearest returns the record that is most like n, of any recipe; of several
// the first. It fails if n cannot be built.
func (p *Predictor) Nearest(n *arch.Network) (Neighbor, error) {
	var g arch.Graph
	if err := n.Lower(&g); err != nil {
		return Neighbor{}, err
	}
	var extractor Extractor
	x := make([]float64, NumFeatures)
	extractor.Features(x, &g)
	at, similarity := p.nearest(x, nil)
	r := &p.rows[at]
	return Neighbor{r.Name, p.recipes[r.Task], similarity, similarity < p.usual()}, nil
}

// nearest returns the row most like x that is not equal to the row except.
func (p *Predictor) nearest(x, except []float64) (at int, similarity float64) {
	similarity = -1
	for i := range p.rows {
		if except != nil && slices.Equal(p.rows[i].Inputs, except) {
			continue
		}
		if s := p.model.similarity(x, p.rows[i].Inputs); s > similarity {
			at, similarity = i, s
		}
	}
	return at, similarity
}

// usual returns the similarity to the nearest other network that 19 in 20
// records have.
func (p *Predictor) usual() float64 {
	p.usualOnce.Do(func() {
		all := make([]float64, len(p.rows))
		for i := range p.rows {
			_, all[i] = p.nearest(p.rows[i].Inputs, p.rows[i].Inputs)
		}
		slices.Sort(all)
		p.usualValue = all[len(all)/20]
	})
	return p.usualValue
}
