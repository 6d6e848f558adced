package predictor

import (
	"fmt"
	"math"

	"github.com/efficientnas/nas/arch"
)

// merged are records of one network, trained alike.
type merged struct {
	records  []int
	accuracy float64 // their mean
}

// sameTraining returns a key that records of the same network, dataset, recipe
// and epochs share.
func sameTraining(r *Record) (string, error) {
	n, err := NetworkKey(r.Network)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s\x00%s\x00%v\x00%v\x00%s", r.Dataset, r.Recipe, r.Epochs, r.Derived, n), nil
}

// NetworkKey returns a string that two networks share if and only if they
// are the same, whatever their names.
func NetworkKey(n *arch.Network) (string, error) {
	bare := *n
	bare.Name, bare.About = "", arch.About{}
	bare.Stages = nil // those left out have a block type all the same
	for i := range n.Stages {
		if n.Stages[i].Depth > 0 {
			bare.Stages = append(bare.Stages, n.Stages[i])
		}
	}
	b, err := bare.MarshalJSON()
	return string(b), err
}

// merge returns the row of each record, and the records of each row.
func merge(records []Record) (rowOf []int, rows []merged, err error) {
	index := make(map[string]int)
	for i := range records {
		key, err := sameTraining(&records[i])
		if err != nil {
			return nil, nil, records[i].errorf("network %q: %w", records[i].Network.Name, err)
		}
		at, ok := index[key]
		if !ok {
			at = len(rows)
			index[key] = at
			rows = append(rows, merged{})
		}
		rows[at].records = append(rows[at].records, i)
		rowOf = append(rowOf, at)
	}
	for i := range rows {
		for _, r := range rows[i].records {
			rows[i].accuracy += records[r].Accuracy / float64(len(rows[i].records))
		}
	}
	return rowOf, rows, nil
}

// derivedNoise is the standard deviation of a derived record's target that it
// has beside a measured one's: another model's errors, and what other training
// does to the order of networks. They are not measured, so this is no more than a
// belief: 10 % of the error.
const derivedNoise = 0.1

// spread learns the noise of one measurement from those that were repeated,
// pooled over the networks, since a few repeats say little about each.
func (p *Predictor) spread(records []Record, rows []merged) {
	squares, freedom := 0., 0
	for i, m := range rows {
		if len(m.records) < 2 || records[m.records[0]].Derived {
			continue
		}
		lowest, highest := m.records[0], m.records[0]
		for _, r := range m.records {
			d := logError(records[r].Accuracy) - p.rows[i].Target
			squares += d * d
			if records[r].Accuracy < records[lowest].Accuracy {
				lowest = r
			}
			if records[r].Accuracy > records[highest].Accuracy {
				highest = r
			}
		}
		freedom += len(m.records) - 1
		p.summary.Repeated = append(p.summary.Repeated, Repeated{
			Name: records[m.records[0]].String(), Records: len(m.records),
			Low: records[lowest].Accuracy, High: records[highest].Accuracy, Mean: m.accuracy,
		})
	}
	if freedom > 0 {
		p.single = rounded(squares / float64(freedom))
		p.summary.Noise = rounded(math.Sqrt(p.single))
	}
	for i, m := range rows {
		noise := p.single / float64(len(m.records))
		if p.rows[i].Derived {
			noise += derivedNoise * derivedNoise
		}
		p.rows[i].Noise = rounded(noise)
	}
}
