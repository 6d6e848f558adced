package arch

import (
	"slices"

	"github.com/efficientnas/nas/internal/strict"
)

// Read reads the architecture file at path and returns its network.
func Read(path string) (*Network, error) {
	t, err := ReadTemplate(path)
	if err != nil {
		return nil, err
	}
	return t.Network()
}

// ReadTemplate reads the architecture or space file at path.
func ReadTemplate(path string) (*Template, error) {
	node, err := strict.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return TemplateFrom(node)
}

// Parse returns the network that data, in YAML or JSON, describes. The file
// name is for messages.
func Parse(file string, data []byte) (*Network, error) {
	t, err := ParseTemplate(file, data)
	if err != nil {
		return nil, err
	}
	return t.Network()
}

// ParseTemplate returns the template that data, in YAML or JSON, describes.
// Every mistake is an error with file, line and column.
func ParseTemplate(file string, data []byte) (*Template, error) {
	node, err := strict.Parse(file, data)
	if err != nil {
		return nil, err
	}
	return TemplateFrom(node)
}

// TemplateFrom reads a template that is part of a larger file.
func TemplateFrom(node *strict.Node) (*Template, error) {
	var r reader
	f := node.Fields("an architecture")
	t := &Template{pos: node.Pos}
	t.Name = f.Text("name", "")
	for _, key := range []string{"input", "stem", "stages", "head"} {
		f.Require(key)
	}
	if in := f.Get("input"); in != nil {
		g := in.Fields("input")
		t.Input.pos = in.Pos
		t.Input.Channels = r.choice(g, "channels")
		t.Input.Resolution = r.choice(g, "resolution")
		f.Fail(g.Done())
	}
	t.Norm = r.choice(f, "norm")
	t.Bias = r.choice(f, "bias")
	t.Activation = r.choice(f, "activation")
	if stem := f.Get("stem"); stem != nil {
		t.Stem = r.stage(f, stem, "stem")
	}
	if stages := f.Get("stages"); stages != nil {
		t.stagesPos = stages.Pos
		if stages.Kind != strict.List {
			f.Fail(stages.Errorf("\"stages\" must be a list of stages, found %s", stages.Describe()))
		}
		for _, s := range stages.Items {
			t.Stages = append(t.Stages, r.stage(f, s, "a stage"))
		}
	}
	if head := f.Get("head"); head != nil {
		g := head.Fields("head")
		t.Head = HeadTemplate{
			Pool:       pool(g),
			Width:      r.choice(g, "width"),
			PoolTo:     r.choice(g, "pool_to"),
			Hidden:     r.choice(g, "hidden"),
			Layers:     r.choice(g, "layers"),
			Classes:    r.choice(g, "classes"),
			Bias:       r.choice(g, "bias"),
			Dropout:    r.choice(g, "dropout"),
			Activation: r.choice(g, "activation"),
			Classifier: r.choice(g, "classifier"),
			pos:        head.Pos,
		}
		f.Fail(g.Done())
	}
	if about := f.Get("about"); about != nil {
		g := about.Fields("about")
		t.About = About{
			Year:   g.Int("year", 0, 1950, 2200),
			Paper:  g.Text("paper", ""),
			Top1:   g.Float("top1", 0, 0, 1),
			Source: g.Text("source", ""),
		}
		f.Fail(g.Done())
	}
	if err := f.Done(); err != nil {
		return nil, err
	}
	return t, nil
}

// rangeLimit bounds the ends and the step of a range.
const rangeLimit = 1e9

// A reader is the state of reading a file.
type reader struct {
	expanded int // options that ranges were written out to
}

// maxExpanded bounds the memory that a small file can ask for.
const maxExpanded = 1 << 16

func (r *reader) stage(f *strict.Fields, n *strict.Node, what string) StageTemplate {
	g := n.Fields(what)
	s := StageTemplate{pos: n.Pos}
	s.Block = r.block(g)
	s.Width = r.choice(g, "width")
	s.Depth = r.choice(g, "depth")
	s.Stride = r.choice(g, "stride")
	s.Activation = r.choice(g, "activation")
	s.Pool = pool(g)
	if names := g.Get("per_block"); names != nil {
		if names.Kind != strict.List {
			g.Fail(names.Errorf("\"per_block\" must be a list of parameter names, found %s", names.Describe()))
		}
		for _, name := range names.Items {
			if name.Kind != strict.String {
				g.Fail(name.Errorf("\"per_block\" must list parameter names, found %s", name.Describe()))
			}
			s.PerBlock = append(s.PerBlock, name.Text)
			s.perBlockAt = append(s.perBlockAt, name.Pos)
		}
	}
	keys, values := g.Rest() // the parameters of the block types
	s.Params = make(map[string]Choice, len(keys))
	for i, k := range keys {
		c := r.readChoice(g, k.Name, values[i], true)
		c.key = k.Pos
		s.Params[k.Name] = c
	}
	f.Fail(g.Done())
	return s
}

// block reads the choice of a stage's block, whose options may be maps: block
// types with parameters of their own.
func (r *reader) block(f *strict.Fields) Choice {
	n := f.Get("block")
	if n == nil || n.Kind != strict.List || !slices.ContainsFunc(n.Items, func(i *strict.Node) bool { return i.Kind == strict.Map }) {
		return r.choice(f, "block")
	}
	variants := make([]Variant, 0, len(n.Items))
	at := make([]strict.Pos, 0, len(n.Items))
	for _, item := range n.Items {
		v, pos := Variant{Block: item.Text}, item.Pos
		switch item.Kind {
		case strict.String:
		case strict.Map:
			g := item.Fields("a block type")
			g.Require("block")
			if name := g.Get("block"); name != nil {
				pos = name.Pos
			}
			v.Block = g.Text("block", "")
			v.Params = make(map[string]Choice)
			keys, values := g.Rest()
			for i, k := range keys {
				s, ok := scalar(values[i])
				if !ok {
					g.Fail(values[i].Errorf("%q of a block type must be a single value, found %s", k.Name, values[i].Describe()))
				}
				v.Params[k.Name] = Choice{options: []Scalar{s}, pos: values[i].Pos, key: k.Pos}
			}
			f.Fail(g.Done())
		default:
			f.Fail(item.Errorf("\"block\" must list block types, found %s", item.Describe()))
		}
		variants, at = append(variants, v), append(at, pos)
	}
	c := OneOfVariants(variants...)
	c.pos, c.at = n.Pos, at
	return c
}

func pool(f *strict.Fields) Pool {
	n := f.Get("pool")
	if n == nil {
		return Pool{}
	}
	g := n.Fields("a pool")
	g.Require("kernel")
	p := Pool{
		Kernel:   g.Int("kernel", 0, 1, 31),
		Stride:   g.Int("stride", 0, 1, 31),
		Padding:  g.Int("padding", 0, 0, 15),
		CeilMode: g.Bool("ceil_mode", false),
	}
	if 2*p.Padding > p.Kernel {
		g.Fail(g.Get("padding").Errorf("\"padding\" of a pool must be at most half its kernel of %d, found %d", p.Kernel, p.Padding))
	}
	switch kind := g.Text("kind", "max"); kind {
	case "max":
	case "average":
		p.Average = true
	default:
		g.Fail(g.Get("kind").Errorf("a pool: %s", strict.Unknown("kind", kind, []string{"max", "average"})))
	}
	f.Fail(g.Done())
	return p
}

func (r *reader) choice(f *strict.Fields, key string) Choice {
	n := f.Get(key)
	if n == nil {
		return Choice{}
	}
	return r.readChoice(f, key, n, true)
}

// readChoice reads a scalar, a list of scalars, a range {from, to, step}, or
// values for each block {blocks: [...]}.
func (r *reader) readChoice(f *strict.Fields, key string, n *strict.Node, blocks bool) Choice {
	c := Choice{pos: n.Pos, options: []Scalar{}}
	switch n.Kind {
	case strict.List:
		for _, item := range n.Items {
			s, ok := scalar(item)
			if !ok {
				f.Fail(item.Errorf("%q: a choice must be a single value, found %s", key, item.Describe()))
			}
			c.options = append(c.options, s)
			c.at = append(c.at, item.Pos)
		}
		if len(n.Items) == 0 {
			f.Fail(n.Errorf("%q: the list of choices is empty", key))
		}
	case strict.Map:
		if list := n.Fields("").Get("blocks"); blocks && list != nil {
			g := n.Fields("values for each block")
			g.Get("blocks")
			if list.Kind != strict.List || len(list.Items) == 0 {
				g.Fail(list.Errorf("%q: \"blocks\" must be a list with a value for each block, found %s", key, list.Describe()))
			}
			c.options = nil
			for _, item := range list.Items {
				c.each = append(c.each, r.readChoice(g, key, item, false))
			}
			f.Fail(g.Done())
			return c
		}
		g := n.Fields("a range {from, to, step}")
		if blocks && g.Get("from") == nil && g.Get("to") == nil {
			g = n.Fields("a range {from, to, step} or values for each block {blocks: [...]}")
			g.Get("blocks")
		}
		g.Require("from")
		g.Require("to")
		from := g.Float("from", 0, -rangeLimit, rangeLimit)
		to := g.Float("to", 0, -rangeLimit, rangeLimit)
		step := g.Float("step", 1, -rangeLimit, rangeLimit)
		if err := g.Done(); err != nil {
			f.Fail(err)
			break
		}
		if r.expanded < maxExpanded {
			c.options = Range(from, to, step).options
		}
		r.expanded += len(c.options)
		switch {
		case r.expanded >= maxExpanded:
			f.Fail(n.Errorf("%q: the ranges of this file have more than %d values together", key, maxExpanded))
		case step <= 0:
			f.Fail(n.Errorf("%q: the step of a range must be more than 0, found %v", key, step))
		case len(c.options) == 0:
			f.Fail(n.Errorf("%q: the range from %v to %v in steps of %v is empty", key, from, to, step))
		}
	default:
		s, ok := scalar(n)
		if !ok {
			f.Fail(n.Errorf("%q must be a value, a list of choices, a range {from, to, step} or {blocks: [...]}, found %s", key, n.Describe()))
		}
		c.options = append(c.options, s)
	}
	return c
}

func scalar(n *strict.Node) (Scalar, bool) {
	switch n.Kind {
	case strict.Int, strict.Float:
		return Scalar{n.Float}, true
	case strict.String:
		return Scalar{n.Text}, true
	case strict.Bool:
		return Scalar{n.Bool}, true
	}
	return Scalar{}, false
}
