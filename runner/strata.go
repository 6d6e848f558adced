package runner

import (
	"errors"
	"math/rand/v2"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
	"github.com/efficientnas/nas/space"
)

// strata is a space that is sampled evenly over MACs, so that cheap and dear
// networks are drawn alike often: of a large space, nearly all networks are of
// middling size.
type strata struct {
	*space.Space
	sampler *space.Sampler
	strata  []space.Interval
}

// maxStrata is into how many steps of equal ratio MACs are divided.
const maxStrata = 20

func newStrata(s *space.Space, within *space.Interval) (*strata, error) {
	sampler := s.Measure(1, func(g *arch.Graph, values []int64) { values[0] = cost.Of(g).MACs }).Sampler(0)
	st := &strata{Space: s, sampler: sampler}
	for _, in := range sampler.Strata(maxStrata) {
		if within != nil {
			in = space.Interval{Lo: max(in.Lo, within.Lo), Hi: min(in.Hi, within.Hi)}
		}
		if _, high := sampler.Share(in); in.Lo <= in.Hi && high > 0 {
			st.strata = append(st.strata, in)
		}
	}
	if len(st.strata) == 0 {
		return nil, errors.New("runner: no network of the space has so many MACs")
	}
	return st, nil
}

// Sample draws a stratum, and then one of its networks. A stratum that the
// sampler cannot hit makes way for another.
func (s *strata) Sample(rng *rand.Rand) (g space.Genome, err error) {
	for range 10 * len(s.strata) {
		if g, _, err = s.sampler.Sample(rng, s.strata[rng.IntN(len(s.strata))]); err == nil {
			return g, nil
		}
	}
	return nil, err
}
