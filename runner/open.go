package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/internal/strict"
	"github.com/efficientnas/nas/space"
)

// OpenNetwork returns the network that name stands for: a reference network, an
// architecture file, or DIR#ID for a member of a results folder's front.
func OpenNetwork(name string) (*arch.Network, error) {
	if slices.Contains(arch.References(), name) {
		return arch.Reference(name)
	}
	if dir, id, ok := strings.Cut(name, "#"); ok {
		r, err := ReadResults(dir)
		if err != nil {
			return nil, err
		}
		var ids []string
		for i := range r.Front {
			if r.Front[i].ID == id {
				return r.Front[i].Network, nil
			}
			ids = append(ids, r.Front[i].ID)
		}
		return nil, fmt.Errorf("%s: %s", dir, strict.Unknown("network", id, ids))
	}
	n, err := arch.Read(name)
	if errors.Is(err, fs.ErrNotExist) && !strings.ContainsAny(name, "/.\\") {
		return nil, strict.Pos{}.Errorf("%s, and no file has this name", strict.Unknown("reference network", name, arch.References()))
	}
	if err != nil {
		return nil, err
	}
	if n.Name == "" {
		n.Name = name
	}
	return n, nil
}

// OpenSpace returns the space in the file at path, a space file or a run
// configuration, and the configuration's constraints.
func OpenSpace(path string) (*space.Space, []Constraint, error) {
	node, err := strict.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	if slices.ContainsFunc(node.Keys, func(k strict.Key) bool { return k.Name == "space" }) {
		c, err := LoadConfig(path)
		if err != nil {
			return nil, nil, err
		}
		return c.Space, c.Constraints, nil
	}
	s, err := space.From(node)
	return s, nil, err
}

// A Survey describes a space.
type Survey struct {
	Metrics []MetricRange
	Shares  []BoundShare
	All     BoundShare // all constraints together
	Samples int
}

// MetricRange is the least and the greatest cost in a space, exact.
type MetricRange struct {
	Title           string
	Least, Greatest string
}

// BoundShare is the share of the networks that is within a bound, estimated from
// uniform samples, with its 95 % interval (Wilson 1927).
type BoundShare struct {
	Bound            string
	Share, Low, High float64
}

// SurveySpace finds the range of each additive cost in a space, and estimates
// which share of the networks each constraint leaves.
func SurveySpace(s *space.Space, constraints []Constraint, samples int, seed uint64) (*Survey, error) {
	survey := &Survey{Samples: samples}
	bounds := costBounds(s)
	for i := range metrics {
		m := &metrics[i]
		if b, ok := bounds[m.name]; ok {
			survey.Metrics = append(survey.Metrics, MetricRange{
				m.title, m.unit.format(float64(b.Least)), m.unit.format(float64(b.Greatest)),
			})
		}
	}
	if len(constraints) == 0 {
		return survey, nil
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	within := make([]int, len(constraints))
	all := 0
	var n arch.Network
	var costs meter
	for range samples {
		g, err := s.Sample(rng)
		if err != nil {
			return nil, err
		}
		s.Network(g, &n)
		c, err := costs.costs(&n)
		if err != nil {
			return nil, err
		}
		ok := true
		for i := range constraints {
			m := metricByName(constraints[i].Metric)
			if m.of == nil || excess(float64(m.of(&c)), &constraints[i]) == 0 {
				within[i]++
			} else {
				ok = false
			}
		}
		if ok {
			all++
		}
	}
	for i, k := range constraints {
		m := metricByName(k.Metric)
		if m.of == nil {
			continue
		}
		survey.Shares = append(survey.Shares, wilson(k.describe(m), within[i], samples))
	}
	survey.All = wilson("all together", all, samples)
	return survey, nil
}

func (c *Constraint) describe(m *metric) string {
	switch {
	case math.IsInf(c.Min, -1):
		return fmt.Sprintf("%s <= %s", m.name, m.unit.format(c.Max))
	case math.IsInf(c.Max, 1):
		return fmt.Sprintf("%s >= %s", m.name, m.unit.format(c.Min))
	}
	return fmt.Sprintf("%s from %s to %s", m.name, m.unit.format(c.Min), m.unit.format(c.Max))
}

// wilson returns the share k/n with its 95 % score interval.
func wilson(bound string, k, n int) BoundShare {
	const z = 1.959964
	p, f := float64(k)/float64(n), float64(n)
	center := (p + z*z/(2*f)) / (1 + z*z/f)
	half := z / (1 + z*z/f) * math.Sqrt(p*(1-p)/f+z*z/(4*f*f))
	return BoundShare{bound, p, max(0, center-half), min(1, center+half)}
}
