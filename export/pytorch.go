package export

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
)

// PyTorch writes the network as a Python file that needs nothing but torch, the
// way a person would write it: a class for each kind of block, the stages as
// nn.Sequential, and a main that counts the parameters. Blocks of one type share
// a class if they differ in numbers, or if some have steps more, such as a sum.
// The file is formatted as black formats it.
//
// The names in the state_dict are those of the layers, as in the ONNX file that
// [ONNX] writes. A part that is no name in Python, or has a meaning for
// PyTorch's modules, gets an underscore.
func PyTorch(w io.Writer, n *arch.Network) error {
	var g arch.Graph
	if err := n.Lower(&g); err != nil {
		return err
	}
	p, err := newProgram(n, &g)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, p.source())
	return err
}

// A program is a network as modules and classes.
type program struct {
	network *arch.Network
	graph   *arch.Graph
	stem    []*module   // nil where a block does nothing
	stages  [][]*module // with the pool before the next stage
	head    *module
	classes []*class
}

// newProgram sorts the layers into modules and finds the classes.
func newProgram(n *arch.Network, g *arch.Graph) (*program, error) {
	names := map[string]bool{}
	for i := range g.Layers {
		if name := g.Layers[i].Name(); names[name] {
			return nil, fmt.Errorf("two layers are called %s: a block's parts need names of their own", name)
		} else {
			names[name] = true
		}
	}
	p := &program{network: n, graph: g, stem: make([]*module, n.Stem.Depth)}
	for i := range n.Stages {
		p.stages = append(p.stages, make([]*module, n.Stages[i].Depth))
	}
	var blocks []*module
	end := 0
	for i := 1; i < len(g.Layers); i = end {
		l := &g.Layers[i]
		for end = i; end < len(g.Layers) && g.Layers[end].Stage == l.Stage && g.Layers[end].Block == l.Block; end++ {
		}
		vs, err := vertices(g.Layers[i:end], arch.Tensor(i), arch.Tensor(i-1), l.Stage == arch.InHead)
		if err != nil {
			return nil, err
		}
		ids := make([]int, len(vs))
		for k := range ids {
			ids[k] = k
		}
		m, err := newModule(vs, ids, 0, -1, p.blockType(l))
		if err != nil {
			return nil, err
		}
		switch {
		case l.Stage == arch.InHead:
			p.head = m
		case l.Block < 0: // a pool after the stem, or before the stage, that is after the one before
			m = m.steps[0].module
			if l.Stage > 0 {
				p.stages[l.Stage-1] = append(p.stages[l.Stage-1], m)
			} else {
				p.stem = append(p.stem, m)
			}
			continue
		case l.Stage == arch.InStem:
			p.stem[l.Block] = m
		default:
			p.stages[l.Stage][l.Block] = m
		}
		blocks = append(blocks, m)
	}
	p.classify(blocks)
	return p, nil
}

func (p *program) blockType(l *arch.Layer) string {
	switch l.Stage {
	case arch.InHead:
		return "head"
	case arch.InStem:
		return p.network.Stem.Block.Name()
	}
	return p.network.Stages[l.Stage].Block.Name()
}

// classify makes the classes, those that others are built of first.
func (p *program) classify(blocks []*module) {
	type group struct {
		order   int // units, then parts by how deep they are, then blocks
		name    string
		modules []*module
	}
	var all []group
	for _, b := range blocks {
		b.instances(b != p.head, func(m *module, root bool) {
			g := group{order: m.depth(), name: m.name}
			if unit := m.unit(); unit != "" {
				g.order, g.name = 0, unit
			} else if root {
				g.order = arch.MaxLayers
			}
			if i := slices.IndexFunc(all, func(h group) bool { return h.order == g.order && h.name == g.name }); i >= 0 {
				all[i].modules = append(all[i].modules, m)
			} else {
				g.modules = []*module{m}
				all = append(all, g)
			}
		})
	}
	slices.SortStableFunc(all, func(a, b group) int { return cmp.Compare(a.order, b.order) })
	taken := map[string]bool{p.className(): true}
	for _, g := range all {
		sorted := classes(g.modules)
		for _, modules := range sorted {
			c := newClass(len(p.classes), modules, mergedForm(modules))
			c.parametrise()
			// Of several, those that always downsample are called so.
			c.describe(g.name, len(sorted) > 1 && downsample(modules) && !downsample(g.modules), taken)
			p.classes = append(p.classes, c)
		}
	}
}

// downsample reports whether all of the modules do.
func downsample(modules []*module) bool {
	return !slices.ContainsFunc(modules, func(m *module) bool { return m.out.H >= m.in.H })
}

// className returns the name of the network's class.
func (p *program) className() string {
	name := pyClass(p.network.Name)
	if p.network.Name == "" {
		name = "Network"
	}
	if _, ok := blockNames[strings.ToLower(name)]; ok {
		name += "Network"
	}
	return name
}

// blockNames are the papers' names and first descriptions of the block types and
// parts of this project. All others are called after their type.
var blockNames = map[string]struct{ class, doc string }{
	"basic":      {"BasicBlock", "Two convolutions and a shortcut (ResNet, He et al. 2015)."},
	"bottleneck": {"Bottleneck", "A bottleneck of three convolutions, with a shortcut (ResNet, He et al. 2015)."},
	"grouped":    {"GroupedBottleneck", "A bottleneck with a grouped convolution (ResNeXt, Xie et al. 2016)."},
	"fire":       {"Fire", "Squeezes the channels, then expands them (SqueezeNet, Iandola et al. 2016)."},
	"separable":  {"DepthwiseSeparable", "A depthwise and a pointwise convolution (MobileNet, Howard et al. 2017)."},
	"inverted":   {"InvertedResidual", "An inverted residual (MobileNetV2, Sandler et al. 2018)."},
	"shuffle":    {"ShuffleUnit", "Grouped convolutions with a channel shuffle (ShuffleNet, Zhang et al. 2017)."},
	"shuffle_v2": {"ShuffleV2Unit", "Two branches whose channels are shuffled (ShuffleNet V2, Ma et al. 2018)."},
	"identity":   {"Projection", "The shortcut of a residual block, alone (ResNet, He et al. 2015)."},
	"se":         {"SqueezeExcite", "Squeeze-and-excitation: gates channels by their averages (Hu et al. 2017)."},
	"head":       {"Head", "The classifier."},
}

// describe gives the class its name and docstring.
func (c *class) describe(name string, strided bool, taken map[string]bool) {
	defer func() {
		for base, i := c.name, 2; taken[c.name]; i++ {
			c.name = base + strconv.Itoa(i)
		}
		taken[c.name] = true
	}()
	if c.unit != "" {
		c.name, c.doc = "Conv", "A convolution"
		function := ""
		for i := range c.steps {
			if s := &c.steps[i]; s.signature == ":activation" {
				function = strings.TrimPrefix(s.slots[0].expr, "nn.")
			}
		}
		norm := strings.Contains(c.unit, "bn")
		if norm {
			c.name += "BN"
		}
		what := function
		if strings.HasPrefix(function, "$") {
			function, what = "Act", "an activation"
		}
		c.name += function
		switch {
		case norm && what != "":
			c.doc += ", batch normalization and " + what + "."
		case norm:
			c.doc += " and batch normalization."
		default:
			c.doc += " and " + what + "."
		}
		return
	}
	known, ok := blockNames[name]
	if c.name, c.doc = known.class, known.doc; !ok {
		c.name, c.doc = pyClass(name), "A part called "+name+"."
		if arch.BlockByName(name) != nil {
			c.doc = "A block of type " + name + "."
		}
	}
	if strided {
		c.name = "Strided" + c.name
	}
}

// source returns the file.
func (p *program) source() string {
	var body pyWriter
	for _, c := range p.classes {
		c.write(&body)
	}
	p.write(&body)

	var w pyWriter
	w.docstring(0, p.header())
	w.put(0, "")
	w.put(0, "from __future__ import annotations")
	w.put(0, "")
	if strings.Contains(body.String(), "OrderedDict(") {
		w.put(0, "from collections import OrderedDict")
		w.put(0, "")
	}
	w.put(0, "import torch")
	w.put(0, "from torch import Tensor, nn")
	if strings.Contains(body.String(), "channel_shuffle(") {
		w.WriteString(`

def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Deals the channels of each group out to all groups."""
    n, c, h, w = x.shape
    return x.view(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)
`)
	}
	w.WriteString(body.String())
	return w.String()
}

func (p *program) header() string {
	n := p.network
	name := n.Name
	if name == "" {
		name = "A network without a name"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, exported by nas.\n\n", pyDocText(name))
	c, in := cost.Of(p.graph), p.graph.Layers[0].Out
	fmt.Fprintf(&b, "%s MACs and %s parameters for an image of %d x %d x %d.\n\n", thousands(c.MACs), thousands(c.Params), in.C, in.H, in.W)
	if n.About.Paper != "" {
		fmt.Fprintf(&b, "%s\n\n", pyDocText(n.About.Paper))
	}
	b.WriteString(`The names in the state_dict are those of the tensors in the ONNX file that nas exports, so that its weights fit:

    tensors = onnx.load("network.onnx").graph.initializer
    weights = {t.name: torch.tensor(onnx.numpy_helper.to_array(t)) for t in tensors}
    network.load_state_dict(weights, strict=False)  # without num_batches_tracked`)
	return b.String()
}

// write writes the class.
func (c *class) write(w *pyWriter) {
	used := pyNames{}
	for i := range c.steps { // what has weights keeps its name
		if s := &c.steps[i]; s.owner == "" && s.weighted() {
			s.attr = used.attr(s.attr, s.key)
		} else if s.owner != "" {
			s.owner = pyName(s.owner)
			used[s.owner] = true
		}
	}
	for i := range c.steps {
		s := &c.steps[i]
		switch {
		case s.owner != "" || s.weighted():
		case s.sometimes():
			s.attr = used.attr(cmp.Or(map[string]string{"add": "residual"}[s.signature], strings.Trim(s.key, ".")), s.key)
		case !s.isFunction():
			if s.signature == ":activation" && strings.HasPrefix(s.slots[0].expr, "$") {
				s.attr = "activation"
			}
			s.attr = used.attr(s.attr, s.key)
		}
	}

	w.WriteString("\n\n")
	w.putf(0, "class %s(nn.Module):", c.name)
	w.docstring(1, c.doc)
	w.put(0, "")
	parameters := []pyExpr{pyText("self")}
	for _, p := range c.shown() {
		e := pyText(p.name + ": " + p.annotation())
		if p.def != "" {
			e.text += " = " + p.def
		}
		parameters = append(parameters, e)
	}
	w.statement(1, "def ", pyExpr{text: "__init__(", items: parameters, close: ")"}, " -> None:")
	w.put(2, "super().__init__()")

	// An expression that is needed often gets a name.
	text := func(expr string) string { return c.text(expr, "") }
	counts := map[string]int{}
	for i := range c.steps {
		for _, t := range c.steps[i].slots {
			if t.kind == channels && strings.Contains(t.expr, " ") {
				counts[t.expr]++
				if counts[t.expr] == 3 && !used["branch_channels"] {
					used["branch_channels"] = true
					w.putf(2, "branch_channels = %s", text(t.expr))
					plain := text
					often := t.expr
					text = func(expr string) string {
						if expr == often {
							return "branch_channels"
						}
						return plain(expr)
					}
				}
			}
		}
	}
	var tail pyWriter
	c.forward(&tail) // finds what it needs of the parameters
	for _, p := range c.params {
		if p.stored {
			w.putf(2, "self.%s = %s", p.name, p.name)
		}
	}
	for i := range c.steps {
		s := &c.steps[i]
		switch {
		case s.sometimes():
			w.putf(2, "self.%s = %s", s.attr, c.text(s.condition, ""))
		case s.isFunction():
		case s.owner != "":
			c.dict(w, i, text)
		case s.condition != "":
			w.putf(2, "self.%s: nn.Module = nn.Identity()", s.attr)
			w.putf(2, "if %s:", c.text(s.condition, ""))
			w.statement(3, "self."+s.attr+" = ", s.call(text), "")
		default:
			w.statement(2, "self."+s.attr+" = ", s.call(text), "")
		}
	}
	w.put(0, "")
	w.WriteString(tail.String())
}

// dict writes, at the first of them, all modules that an nn.ModuleDict holds.
func (c *class) dict(w *pyWriter, first int, text func(string) string) {
	owner := c.steps[first].owner
	var items []pyExpr
	for i := range c.steps {
		s := &c.steps[i]
		if s.owner != owner {
			continue
		}
		if i < first {
			return
		}
		e := s.call(text)
		e.text = strconv.Quote(s.attr) + ": " + e.text
		items = append(items, e)
	}
	e := pyCall("nn.ModuleDict", pyExpr{text: "{", items: items, close: "}"})
	w.statement(2, "self."+owner+" = ", e, "")
}

func (p *param) annotation() string {
	if (p.kind == kernel || p.kind == padding || p.kind == size) && slices.ContainsFunc(p.vals, func(v string) bool { return strings.HasPrefix(v, "(") }) {
		return "int | tuple[int, int]"
	}
	return slotTypes[p.kind]
}

// weighted reports whether the step is a module with weights.
func (s *classStep) weighted() bool {
	for _, m := range s.modules {
		if m != nil {
			return m.layer == nil || m.layer.weighted()
		}
	}
	return false
}

// call returns the expression that makes the step's module.
func (s *classStep) call(text func(string) string) pyExpr {
	slots := s.slots
	for _, m := range s.modules {
		if m != nil {
			return m.call(&slots, text)
		}
	}
	return pyText("")
}

// literal returns the expression that makes a module with its own numbers, and
// its slots.
func literal(m *module) (pyExpr, []*slot) {
	if m == nil {
		return pyText("nn.Identity()"), nil
	}
	slots := moduleSlots([]*module{m})
	for _, t := range slots {
		t.expr = t.vals[0]
	}
	rest := slots
	return m.call(&rest, func(expr string) string { return expr }), slots
}

// write writes the network's class and main.
func (p *program) write(w *pyWriter) {
	n, name := p.network, p.className()
	w.WriteString("\n\n")
	w.putf(0, "class %s(nn.Module):", name)
	w.docstring(1, "The network: from images to the scores of their classes.")
	w.put(0, "")

	// The classifier is the last module with output channels.
	_, slots := literal(p.head)
	classes := strconv.Itoa(n.Head.Classes)
	for i := len(slots) - 1; i >= 0; i-- {
		if t := slots[i]; t.kind == channels && !t.reads {
			if t.expr == classes {
				t.expr = "num_classes"
			}
			break
		}
	}
	rest := slots
	head := p.head.call(&rest, func(expr string) string { return expr })

	w.putf(1, "def __init__(self, num_classes: int = %s) -> None:", classes)
	w.put(2, "super().__init__()")
	if len(p.stem) > 0 {
		w.statement(2, "self.stem = ", sequential(p.stem), "")
	}
	if len(p.stages) > 0 {
		stages := pyCall("nn.Sequential")
		for _, blocks := range p.stages {
			stage := sequential(blocks)
			if out := shapeAfter(blocks); out.C > 0 {
				stage.comment = fmt.Sprintf("%d channels, %d x %d", out.C, out.H, out.W)
			}
			stages.items = append(stages.items, stage)
		}
		w.statement(2, "self.stages = ", stages, "")
	}
	w.statement(2, "self.head = ", head, "")
	w.put(0, "")
	w.put(1, "def forward(self, x: Tensor) -> Tensor:")
	if len(p.stem) > 0 {
		w.put(2, "x = self.stem(x)")
	}
	if len(p.stages) > 0 {
		w.put(2, "x = self.stages(x)")
	}
	w.put(2, "return self.head(x)")

	in := p.graph.Layers[0].Out
	w.WriteString("\n\n")
	w.put(0, "def main() -> None:")
	w.putf(1, "network = %s().eval()", name)
	w.put(1, "parameters = sum(p.numel() for p in network.parameters())")
	w.put(1, "with torch.no_grad():")
	w.putf(2, "scores = network(torch.rand(1, %d, %d, %d))", in.C, in.H, in.W)
	w.putf(1, `print(f"%s: {parameters:,} parameters, output {tuple(scores.shape)}")`, name)
	w.WriteString("\n\n")
	w.put(0, `if __name__ == "__main__":`)
	w.put(1, "main()")
}

// shapeAfter returns the shape after the last block that does something, pools
// after it apart.
func shapeAfter(blocks []*module) (out arch.Shape) {
	for _, m := range blocks {
		if m != nil && m.layer == nil {
			out = m.out
		}
	}
	return out
}

// sequential returns an nn.Sequential of blocks: each in a line, many that are
// alike in one.
func sequential(blocks []*module) pyExpr {
	e := pyCall("nn.Sequential")
	for i := 0; i < len(blocks); {
		block, _ := literal(blocks[i])
		same := 1
		for ; i+same < len(blocks); same++ {
			if next, _ := literal(blocks[i+same]); next.line() != block.line() {
				break
			}
		}
		if same >= 4 {
			e.items = append(e.items, pyExpr{text: "*[", items: []pyExpr{block}, loop: fmt.Sprintf(" for _ in range(%d)", same), close: "]"})
		} else {
			for range same {
				e.items = append(e.items, block)
			}
		}
		i += same
	}
	return e
}
