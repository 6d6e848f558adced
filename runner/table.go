package runner

import (
	"math"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/internal/tabular"
	"github.com/efficientnas/nas/search"
	"github.com/efficientnas/nas/space"
)

// openTable reads the table of measured networks, and returns what makes judges of
// it.
func (a *Accuracy) openTable(s *space.Space) (func() judge, error) {
	measured, err := tabular.ReadMeasured(a.Table, a.TableKey, s)
	if err != nil {
		return nil, err
	}
	return func() judge { return &looksUp{table: measured} }, nil
}

// looksUp is a judge that looks accuracies up in a table.
type looksUp struct {
	table *tabular.Measured
	found []Estimate
}

func (l *looksUp) add(c *search.Candidate[space.Genome], _ *arch.Network, _ *arch.Graph) error {
	e := Estimate{math.NaN(), math.NaN()}
	if a, ok := l.table.Accuracy(c.Genome); ok {
		e.Accuracy = a.Mean
		if a.N > 1 {
			e.SD = a.SD
		}
	}
	l.found = append(l.found, e)
	return nil
}

func (l *looksUp) judge(estimates []Estimate) []Estimate {
	estimates = append(estimates, l.found...)
	l.found = l.found[:0]
	return estimates
}
