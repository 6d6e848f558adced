package export

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/efficientnas/nas/arch"
)

// makeSlots returns the slots of a step.
func (s *classStep) makeSlots() []*slot {
	if s.ops[firstOp(s.ops)] == nil {
		return moduleSlots(s.modules)
	}
	ops := func(kind slotKind, value func(v *vertex) string) *slot {
		t := &slot{kind: kind}
		for _, v := range s.ops {
			if v == nil {
				t.vals = append(t.vals, "")
			} else {
				t.vals = append(t.vals, value(v))
			}
		}
		return t
	}
	switch {
	case s.signature == "shuffle":
		t := ops(groups, func(v *vertex) string { return pyInt(v.Groups) })
		for i := range t.vals {
			if t.vals[i] == "" {
				t.vals[i] = "1" // does nothing
			}
		}
		return []*slot{t}
	case s.signature == "slice" && s.chunks == 0:
		return []*slot{
			ops(start, func(v *vertex) string { return pyInt(v.From) }),
			ops(stop, func(v *vertex) string { return pyInt(v.From + v.Out.C) }),
		}
	}
	return nil
}

func firstOp(ops []*vertex) int {
	return max(0, slices.IndexFunc(ops, func(v *vertex) bool { return v != nil }))
}

// moduleSlots returns the slots of modules with one signature; some may be nil.
func moduleSlots(modules []*module) []*slot {
	var one *module
	for _, m := range modules {
		if m != nil {
			one = m
			break
		}
	}
	of := func(kind slotKind, value func(m *module) string) *slot {
		t := &slot{kind: kind}
		for _, m := range modules {
			if m == nil {
				t.vals = append(t.vals, "")
			} else {
				t.vals = append(t.vals, value(m))
			}
		}
		return t
	}
	switch {
	case one.isInstance:
		return one.class.argSlots(of)
	case one.layer != nil:
		return layerSlots(one.layer.op, func(kind slotKind, value func(l *arch.Layer) string) *slot {
			return of(kind, func(m *module) string { return value(&m.layer.Layer) })
		})
	}
	var slots []*slot
	for i, s := range one.steps {
		if s.module == nil {
			continue
		}
		children := slices.Clone(modules)
		for k, m := range children {
			if m != nil {
				children[k] = m.steps[i].module
			}
		}
		slots = append(slots, moduleSlots(children)...)
	}
	return slots
}

// argSlots returns the slots of a call of the class.
func (c *class) argSlots(of func(slotKind, func(*module) string) *slot) []*slot {
	var slots []*slot
	var in, k *slot
	for _, p := range c.shown() {
		t := of(p.kind, func(m *module) string { return p.vals[m.index] })
		t.reads, t.def = p.in, p.def
		if p.kind != channels || p.def != "" || p.inner {
			t.name = p.name
		}
		t.inner = c.unit == "" && !p.in && !p.out
		switch {
		case p.in:
			in = t
		case p.out && c.depthwise:
			t.same = in
		case p.kind == kernel:
			k = t
		case p.kind == groups:
			t.of = in
		case p.kind == padding:
			t.of = k
		}
		slots = append(slots, t)
	}
	return slots
}

// layerSlots returns the slots of a call of PyTorch's own module.
func layerSlots(op string, of func(slotKind, func(*arch.Layer) string) *slot) []*slot {
	named := func(kind slotKind, name, def string, value func(l *arch.Layer) string) *slot {
		t := of(kind, value)
		t.name, t.def = name, def
		return t
	}
	in := of(channels, func(l *arch.Layer) string { return pyInt(l.In.C) })
	in.reads = true
	out := func() *slot { return of(channels, func(l *arch.Layer) string { return pyInt(l.Out.C) }) }
	switch op {
	case "conv":
		k := named(kernel, "kernel_size", "", func(l *arch.Layer) string { return pyPair(l.KernelH, l.KernelW) })
		pad := named(padding, "padding", "0", func(l *arch.Layer) string { return pyPair(l.PadH, l.PadW) })
		g := named(groups, "groups", "1", func(l *arch.Layer) string { return pyInt(l.Groups) })
		pad.of, g.of = k, in
		return []*slot{
			in, out(), k, named(stride, "stride", "1", func(l *arch.Layer) string { return pyInt(l.Stride) }), pad,
			named(dilation, "dilation", "1", func(l *arch.Layer) string { return pyInt(l.Dilation) }), g,
			named(bias, "bias", "True", func(l *arch.Layer) string { return pyBool(l.Bias) }),
		}
	case "linear":
		return []*slot{in, out(), named(bias, "bias", "True", func(l *arch.Layer) string { return pyBool(l.Bias) })}
	case "bn":
		return []*slot{in}
	case "activation":
		return []*slot{of(activation, func(l *arch.Layer) string { return "nn." + pyActivations[l.Activation] })}
	case "max_pool", "avg_pool":
		k := of(kernel, func(l *arch.Layer) string { return pyInt(l.KernelH) })
		pad := named(padding, "padding", "0", func(l *arch.Layer) string { return pyInt(l.PadH) })
		pad.of = k
		return []*slot{
			k, named(stride, "stride", "", func(l *arch.Layer) string { return pyInt(l.Stride) }), pad,
			named(ceil, "ceil_mode", "False", func(l *arch.Layer) string { return pyBool(l.CeilMode) }),
		}
	case "adaptive_avg_pool":
		return []*slot{of(size, func(l *arch.Layer) string { return pyPair(l.Out.H, l.Out.W) })}
	case "dropout":
		return []*slot{of(rate, func(l *arch.Layer) string { return strconv.FormatFloat(float64(l.Rate), 'g', -1, 32) })}
	}
	return nil
}

// The activations in torch.nn.
var pyActivations = map[arch.Activation]string{
	arch.ReLU: "ReLU", arch.ReLU6: "ReLU6", arch.HardSwish: "Hardswish", arch.Swish: "SiLU",
	arch.Sigmoid: "Sigmoid", arch.HardSigmoid: "Hardsigmoid",
}

var pyModules = map[string]string{
	"conv": "nn.Conv2d", "linear": "nn.Linear", "bn": "nn.BatchNorm2d", "max_pool": "nn.MaxPool2d", "avg_pool": "nn.AvgPool2d",
	"adaptive_avg_pool": "nn.AdaptiveAvgPool2d", "dropout": "nn.Dropout",
}

func pyInt(i int32) string { return strconv.Itoa(int(i)) }

func pyPair(h, w int32) string {
	if h == w {
		return pyInt(h)
	}
	return fmt.Sprintf("(%d, %d)", h, w)
}

// call returns the expression that makes a module whose slots have expressions,
// and takes these off.
func (m *module) call(slots *[]*slot, text func(expr string) string) pyExpr {
	take := func(n int) []*slot {
		taken := (*slots)[:n]
		*slots = (*slots)[n:]
		return taken
	}
	arguments := func(function string, taken []*slot) pyExpr {
		var args []pyExpr
		for _, t := range taken {
			if t.def != "" && t.expr == t.def {
				continue
			}
			e := pyText(text(t.expr))
			if t.name != "" {
				e = e.named(t.name)
			}
			args = append(args, e)
		}
		return pyCall(function, args...)
	}
	none := func(slotKind, func(*module) string) *slot { return &slot{} }
	switch {
	case m.isInstance:
		return arguments(m.class.name, take(len(m.class.argSlots(none))))
	case m.layer == nil:
		var items []pyExpr
		names := pyNames{}
		for _, s := range m.steps {
			switch {
			case s.module != nil:
				items = append(items, s.module.call(slots, text).named(names.attr(s.attr, s.key)))
			case s.op.op == "flatten":
				items = append(items, pyText(names.attr("flatten", s.key)+"=nn.Flatten()"))
			default:
				items = append(items, pyText(names.attr("unflatten", s.key)+"=nn.Unflatten(1, (-1, 1, 1))"))
			}
		}
		return pyCall("nn.Sequential", pyCall("OrderedDict", items...))
	}
	op := m.layer.op
	taken := take(len(layerSlots(op, func(slotKind, func(*arch.Layer) string) *slot { return &slot{} })))
	if op == "activation" {
		return pyText(text(taken[0].expr) + "()")
	}
	return arguments(pyModules[op], taken)
}

// pyNames are names in use.
type pyNames map[string]bool

// attr returns a free name for an attribute: the wanted one, or one made of the
// step's key, which differs from all others'.
func (used pyNames) attr(wanted, key string) string {
	name := pyName(wanted)
	if used[name] {
		name = pyName(key)
	}
	for base, i := name, 2; used[name]; i++ {
		name = base + strconv.Itoa(i)
	}
	used[name] = true
	return name
}

// findChunks finds slices that divide the channels of a tensor evenly.
func (c *class) findChunks() {
	for i := range c.steps {
		s := &c.steps[i]
		if s.signature != "slice" || s.chunks > 0 {
			continue
		}
		var same []int // slices of the same tensor
		for j := range c.steps {
			if t := &c.steps[j]; t.signature == "slice" && t.in[0] == s.in[0] {
				same = append(same, j)
			}
		}
		even := len(same) > 1
		for _, j := range same {
			for _, v := range c.steps[j].ops {
				even = even && v != nil && int(v.Out.C)*len(same) == int(v.In.C)
			}
		}
		seen := make([]bool, len(same)) // each chunk once, in every module
		for _, j := range same {
			for m, v := range c.steps[j].ops {
				if even = even && v.From%v.Out.C == 0 && v.From/v.Out.C == c.steps[j].ops[0].From/c.steps[j].ops[0].Out.C; !even {
					break
				}
				k := v.From / v.Out.C
				even = even && (m > 0 || !seen[k])
				seen[k] = true
			}
		}
		if even {
			for _, j := range same {
				v := c.steps[j].ops[0]
				c.steps[j].chunks, c.steps[j].chunk = len(same), int(v.From/v.Out.C)
			}
		}
	}
}
