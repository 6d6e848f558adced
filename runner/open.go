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
	"github.com/efficientnas/nas/cost"
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
		if near := strict.Nearest(id, ids); near != "" {
			return nil, strict.Pos{File: dir}.Errorf("no network %q on the front; did you mean %q?", id, near)
		}
		return nil, strict.Pos{File: dir}.Errorf("no network %q on the front; `nas show %s` lists them", id, dir)
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

// OpenSpace returns the configuration in the file at path, or, if it is a space
// file, one of which only the space is set.
func OpenSpace(path string) (*Config, error) {
	node, err := strict.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(node.Keys, func(k strict.Key) bool { return k.Name == "space" }) {
		return LoadConfig(path)
	}
	s, err := space.From(node)
	if err != nil {
		return nil, err
	}
	return &Config{Name: s.Name(), Space: s, Precision: cost.FP32, bounds: costBounds(s, cost.FP32)}, nil
}

// A Survey describes a space.
type Survey struct {
	Metrics   []MetricRange
	Shares    []BoundShare
	Uncounted []string   // bounds of the accuracy, which only a predictor can tell
	All       BoundShare // all constraints together
	Samples   int
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

// Survey finds the range of each additive cost in the space, and estimates which
// share of the networks each constraint leaves.
func (c *Config) Survey(samples int, seed uint64) (*Survey, error) {
	survey := &Survey{Samples: samples}
	for i := range metrics {
		m := &metrics[i]
		if b, ok := c.bounds[m.name]; ok {
			survey.Metrics = append(survey.Metrics, MetricRange{
				m.title, m.unit.format(float64(b.Least)), m.unit.format(float64(b.Greatest)),
			})
		}
	}
	if len(c.Constraints) == 0 {
		return survey, nil
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	within := make([]int, len(c.Constraints))
	all := 0
	var n arch.Network
	costs := meter{precision: c.Precision}
	for range samples {
		g, err := c.Space.Sample(rng)
		if err != nil {
			return nil, err
		}
		c.Space.Network(g, &n)
		measured, err := costs.costs(&n)
		if err != nil {
			return nil, err
		}
		ok := true
		for i := range c.Constraints {
			m := metricByName(c.Constraints[i].Metric)
			if m.of == nil || excess(float64(m.of(&measured)), &c.Constraints[i]) == 0 {
				within[i]++
			} else {
				ok = false
			}
		}
		if ok {
			all++
		}
	}
	for i, k := range c.Constraints {
		m := metricByName(k.Metric)
		if m.of == nil {
			survey.Uncounted = append(survey.Uncounted, k.describe(m))
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
