package export

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/efficientnas/nas/arch"
)

// Every layer with weights is a module under its own name. That the files say
// so too, TestPyTorchRuns finds out in Python.
func TestPyTorchNames(t *testing.T) {
	for _, name := range arch.References() {
		n, err := arch.Reference(name)
		if err != nil {
			t.Fatal(err)
		}
		var g arch.Graph
		if err := n.Lower(&g); err != nil {
			t.Fatal(err)
		}
		p, err := newProgram(n, &g)
		if err != nil {
			t.Fatal(err)
		}
		p.source() // gives the steps their attributes

		var want, got []string
		for i := range g.Layers {
			switch l := &g.Layers[i]; l.Op {
			case arch.OpConv, arch.OpLinear, arch.OpBatchNorm:
				want = append(want, l.Name())
			}
		}
		for i, m := range p.stem {
			m.weightNames(arch.Scope(arch.InStem, int16(i)), &got)
		}
		for s, stage := range p.stages {
			for i, m := range stage {
				m.weightNames(arch.Scope(int16(s), int16(i)), &got)
			}
		}
		p.head.weightNames("head.", &got)
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// weightNames adds the names of the modules with weights, as PyTorch makes them
// of the attributes.
func (m *module) weightNames(scope string, names *[]string) {
	if m == nil || m.layer != nil {
		return
	}
	for _, s := range m.steps {
		attr := s.attr
		if m.isInstance {
			i := slices.IndexFunc(m.class.steps, func(c classStep) bool { return c.key == s.key })
			attr = m.class.steps[i].attr
		}
		switch {
		case s.module == nil:
		case s.module.layer == nil:
			s.module.weightNames(scope+attr+".", names)
		case s.module.layer.weighted():
			if s.owner != "" {
				attr = s.owner + "." + attr
			}
			*names = append(*names, scope+attr)
		}
	}
}
