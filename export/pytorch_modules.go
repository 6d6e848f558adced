package export

import (
	"fmt"
	"slices"
	"strings"

	"github.com/efficientnas/nas/arch"
)

// A module is what becomes an nn.Module: a layer of PyTorch's own, or steps that
// are a chain (an nn.Sequential) or anything else (a class with a forward).
type module struct {
	layer *vertex // of PyTorch's own
	steps []step

	name       string // block type or part, which a class is named after
	in, out    arch.Shape
	isInstance bool // whether it is one of a class, not PyTorch's own or a chain in place
	class      *class
	index      int // in class.modules
}

// A step is one line of a forward: a module or a function of what earlier steps
// made.
type step struct {
	key    string // unique among the steps, and the same for what blocks of a type have in common
	attr   string // wanted name of the attribute
	owner  string // attribute of the nn.ModuleDict that the module is in, if any
	module *module
	op     *vertex // the function, if there is no module
	in     []int   // indices of steps; -1 is the input
}

// A vertex is a layer of a block.
type vertex struct {
	arch.Layer
	op      string // that of the layer, or "unflatten"
	path    []string
	in      []int // indices of vertices; -1 is the block's input
	readers int
	flat    bool // images x features, not images x channels x height x width
}

func (v *vertex) weighted() bool { return v.op == "conv" || v.op == "linear" || v.op == "bn" }

func (v *vertex) function() bool {
	switch v.op {
	case "add", "mul", "concat", "shuffle", "slice", "flatten", "unflatten":
		return true
	}
	return false
}

// vertices returns the layers of a block: the first is the tensor first of the
// graph, and the block reads the tensor x. PyTorch's linear layers read and make
// vectors, where a Graph has maps of one pixel: so what they read is flattened,
// and what they make unflattened if others read it.
func vertices(layers []arch.Layer, first, x arch.Tensor, head bool) ([]vertex, error) {
	var vs []vertex
	place := make([]int, len(layers)) // of the layers in vs
	add := func(v vertex) int {
		for _, i := range v.in {
			if i >= 0 {
				vs[i].readers++
			}
		}
		if v.Part != "" {
			v.path = strings.Split(v.Part, ".")
		}
		vs = append(vs, v)
		return len(vs) - 1
	}
	reshape := func(op, part string, i int, shape arch.Shape) int {
		v := vertex{op: op, in: []int{i}, flat: op == "flatten"}
		v.Part, v.In, v.Out = part, shape, shape
		return add(v)
	}
	flat := func(i int) bool { return i >= 0 && vs[i].flat }
	for i := range layers {
		v := vertex{Layer: layers[i], op: layers[i].Op.String()}
		for _, t := range v.Inputs {
			switch {
			case t >= first:
				v.in = append(v.in, place[t-first])
			case t == x:
				v.in = append(v.in, -1)
			default:
				return nil, fmt.Errorf("layer %s reads what is not its block's", v.Name())
			}
		}
		allFlat := !slices.ContainsFunc(v.in, func(i int) bool { return !flat(i) })
		v.flat = allFlat
		for k, i := range v.in {
			switch v.op {
			case "linear":
				if v.flat = true; !flat(i) {
					v.in[k] = reshape("flatten", v.Part, i, v.In)
				}
			case "flatten":
				v.flat = true
			case "activation", "dropout", "slice":
			case "add", "mul", "concat":
				if !allFlat && flat(i) {
					v.in[k] = reshape("unflatten", v.Part, i, v.In)
				}
			default:
				if v.flat = false; flat(i) {
					v.in[k] = reshape("unflatten", v.Part, i, v.In)
				}
			}
		}
		place[i] = add(v)
	}
	if n := len(vs) - 1; n >= 0 && vs[n].flat && !head {
		reshape("unflatten", "", n, vs[n].Out)
	}
	for i := range vs[:max(0, len(vs)-1)] {
		if vs[i].readers == 0 {
			return nil, fmt.Errorf("nothing reads layer %s", vs[i].Name())
		}
	}
	// An activation goes with the layer before it, whatever its part is called.
	for i := range vs {
		if v := &vs[i]; v.op == "activation" && v.in[0] >= 0 {
			if before := &vs[v.in[0]]; before.weighted() && before.readers == 1 {
				v.path = before.path
			}
		}
	}
	return vs, nil
}

// newModule returns the module of the vertices ids, which share a path of the
// length depth and read input, a vertex of another module or -1.
func newModule(vs []vertex, ids []int, depth, input int, name string) (*module, error) {
	// What the steps are made of: lone vertices, and parts with weights.
	type element struct {
		ids  []int
		name string // of a part
		own  bool   // a part that is a module
	}
	var elements []element
	for _, id := range ids {
		path := vs[id].path
		if len(path) <= depth {
			elements = append(elements, element{ids: []int{id}})
			continue
		}
		part := path[depth]
		if i := slices.IndexFunc(elements, func(e element) bool { return e.name == part }); i >= 0 {
			elements[i].ids = append(elements[i].ids, id)
		} else {
			elements = append(elements, element{ids: []int{id}, name: part})
		}
	}
	var parts []element
	for _, e := range elements {
		weighted := slices.ContainsFunc(e.ids, func(id int) bool { return vs[id].weighted() })
		if e.own = e.name != "" && weighted && closed(vs, e.ids); e.own || e.name == "" {
			parts = append(parts, e)
			continue
		}
		for _, id := range e.ids {
			if len(vs[id].path) > depth+1 && vs[id].weighted() {
				return nil, fmt.Errorf("part %s has several inputs or outputs", strings.Join(vs[id].path[:depth+1], "."))
			}
			parts = append(parts, element{ids: []int{id}, name: e.name})
		}
	}
	last := func(e element) int { return e.ids[len(e.ids)-1] }
	// A part stands where its output does.
	slices.SortStableFunc(parts, func(a, b element) int { return last(a) - last(b) })

	first, end := &vs[ids[0]], &vs[ids[len(ids)-1]]
	m := &module{name: name, in: first.In, out: end.Out}
	place := map[int]int{input: -1}
	for i, e := range parts {
		place[last(e)] = i
	}
	for _, e := range parts {
		v := &vs[last(e)]
		s := step{}
		reads := v.in
		switch {
		case e.own:
			outside := inputs(vs, e.ids)
			child, err := newModule(vs, e.ids, depth+1, outside[0], e.name)
			if err != nil {
				return nil, err
			}
			s.key, s.attr, s.module, reads = e.name, e.name, child, outside
		case v.function():
			s.key, s.op = e.name+"."+v.op, v
		default:
			s.module = &module{layer: v, in: v.In, out: v.Out}
			s.attr = v.op
			switch {
			case v.op == "activation":
				s.attr = strings.ToLower(pyActivations[v.Activation])
			case v.weighted():
				s.owner = e.name
			case e.name != "":
				s.attr = e.name
			case strings.HasSuffix(v.op, "pool"):
				s.attr = "pool"
			}
			s.key = e.name + "." + v.op
		}
		for _, id := range reads {
			s.in = append(s.in, place[id])
		}
		m.steps = append(m.steps, s)
	}
	return m, nil
}

// inputs returns the vertices outside ids that those inside read.
func inputs(vs []vertex, ids []int) []int {
	var outside []int
	for _, id := range ids {
		for _, in := range vs[id].in {
			if !slices.Contains(ids, in) && !slices.Contains(outside, in) {
				outside = append(outside, in)
			}
		}
	}
	return outside
}

// closed reports whether the vertices read one tensor from outside, and only
// the last of them is read there.
func closed(vs []vertex, ids []int) bool {
	if len(inputs(vs, ids)) != 1 {
		return false
	}
	for id := range vs {
		if slices.Contains(ids, id) {
			continue
		}
		for _, in := range vs[id].in {
			if slices.Contains(ids, in) && in != ids[len(ids)-1] {
				return false
			}
		}
	}
	end := len(vs) - 1
	return !slices.Contains(ids, end) || ids[len(ids)-1] == end
}

// chain reports whether every step is a module that reads the one before it.
func (m *module) chain() bool {
	for i, s := range m.steps {
		if s.module == nil || s.owner != "" || s.in[0] != i-1 {
			return false
		}
	}
	return m.layer == nil
}

// sequence reports whether the module can be written as an nn.Sequential where
// it stands: a chain, where flattening is a module too.
func (m *module) sequence() bool {
	for i, s := range m.steps {
		reshape := s.op != nil && (s.op.op == "flatten" || s.op.op == "unflatten")
		if s.module == nil && !reshape || s.owner != "" || s.in[0] != i-1 {
			return false
		}
	}
	return m.layer == nil
}

// unit returns what the module is made of if it is a convolution with
// normalisation or activation, else "".
func (m *module) unit() string {
	if !m.chain() || len(m.steps) < 2 {
		return ""
	}
	var ops []string
	for _, s := range m.steps {
		if s.module.layer == nil {
			return ""
		}
		ops = append(ops, s.module.layer.op)
	}
	switch unit := strings.Join(ops, "+"); unit {
	case "conv+bn", "conv+activation", "conv+bn+activation":
		return unit
	}
	return ""
}

// instances calls visit for the modules below m that are instances of classes,
// the inner ones first, and decides which are.
func (m *module) instances(root bool, visit func(*module, bool)) {
	if m.layer != nil {
		return
	}
	for _, s := range m.steps {
		if s.module != nil {
			s.module.instances(false, visit)
		}
	}
	switch {
	case m.unit() != "":
		m.isInstance = true
	case root:
		m.isInstance = len(m.steps) > 1 || m.steps[0].module == nil || m.steps[0].module.layer == nil
	default:
		m.isInstance = !m.sequence()
	}
	if m.isInstance {
		visit(m, root)
	}
}

// depth is how deep classes are nested in the module.
func (m *module) depth() int {
	d := 0
	for _, s := range m.steps {
		if s.module != nil {
			d = max(d, s.module.depth())
		}
	}
	if m.isInstance {
		d++
	}
	return d
}

// signature tells modules that can be instances of one class from others: what it is
// made of, without any number.
func (m *module) signature() string {
	switch {
	case m.layer != nil:
		return m.layer.op
	case m.isInstance:
		return fmt.Sprint("#", m.class.id)
	}
	var b strings.Builder
	b.WriteByte('(')
	for _, s := range m.steps {
		b.WriteString(s.key + ":" + s.signature() + ";")
	}
	return b.String() + ")"
}

func (s *step) signature() string {
	if s.module != nil {
		return s.owner + ":" + s.module.signature()
	}
	return s.op.op
}
