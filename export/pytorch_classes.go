package export

import (
	"slices"
	"strconv"
	"strings"
)

// A class is what modules are instances of that have the same steps, or steps
// that all of one of them include, and other numbers.
type class struct {
	id      int
	name    string
	doc     string
	unit    string // see module.unit
	modules []*module
	params  []*param
	steps   []classStep
	outExpr string // channels of the output, if they are one of the parameters
	// depthwise tells a unit whose output always has the channels of its input.
	depthwise bool
}

// A classStep is a step with what it is in each of the class's modules.
type classStep struct {
	key, signature string
	in             []int  // indices of steps; -1 is the input
	pass           int    // which of its inputs its output is where it is missing; -1: it never is
	chunks         int    // into how many like this the channels are sliced; 0: this is no such slice
	chunk          int    // which of them
	attr           string // of a module
	owner          string
	modules        []*module
	ops            []*vertex
	slots          []*slot
	outExpr        string // channels of its output, if known
	condition      string // when it is there; empty: always
}

// A slotKind says what a number in the call of a module is.
type slotKind uint8

// The kinds, in the order of parameters.
const (
	channels slotKind = iota
	kernel
	stride
	padding
	dilation
	groups
	bias
	activation
	rate
	size
	start
	stop
	ceil
	flag
)

var slotNames = [...]string{
	"channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias", "activation", "dropout", "size", "start", "stop", "ceil_mode", "",
}

var slotTypes = [...]string{
	"int", "int", "int", "int", "int", "int", "bool", "type[nn.Module]", "float", "int", "int", "int", "bool", "bool",
}

// A slot is a number, or a word, that a step needs: for each of the class's
// modules its value as it stands in Python, or "" where the step is missing.
type slot struct {
	kind  slotKind
	reads bool // channels that come in
	vals  []string
	of    *slot  // of groups and padding: the input channels, the kernel
	same  *slot  // of output channels: the input channels, which they must equal
	inner bool   // channels inside of an instance of a class
	name  string // keyword
	def   string // what the value is where the call says nothing
	expr  string // in terms of the class's parameters: "$2;" is that with index 2
}

// A param is a parameter of __init__.
type param struct {
	kind   slotKind
	name   string
	vals   []string // for each module
	def    string   // default; empty: none
	in     bool     // the channels of the input
	out    bool     // the channels of the output
	used   bool
	makers []string // attributes of the steps whose output has so many channels, or that need it
	inner  bool     // channels that no step of this class makes, but one inside of a step
	stored bool     // needed in forward
}

func ref(i int) string { return "$" + strconv.Itoa(i) + ";" }

// compatible reports whether the values are those of the slot where both have
// one, and whether they are where the slot has one.
func (p *param) compatible(vals []string) (ok, exact bool) {
	ok, exact = true, true
	for i, v := range vals {
		if v != "" && p.vals[i] == "" {
			exact = false
		} else if v != "" && v != p.vals[i] {
			return false, false
		}
	}
	return ok, ok && exact
}

func (p *param) fill(vals []string) {
	p.used = true
	for i, v := range vals {
		if p.vals[i] == "" {
			p.vals[i] = v
		}
	}
}

// distinct returns the values that are there, each once, the most frequent first.
func distinct(vals []string) []string {
	count := map[string]int{}
	var all []string
	for _, v := range vals {
		if v != "" {
			if count[v]++; count[v] == 1 {
				all = append(all, v)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b string) int { return count[b] - count[a] })
	return all
}

// constant reports whether all values that are there are v.
func constant(vals []string, v string) bool {
	return !slices.ContainsFunc(vals, func(other string) bool { return other != "" && other != v })
}

// newClass returns the class of modules whose forms merge to the given one.
func newClass(id int, modules []*module, form []formStep) *class {
	c := &class{id: id, modules: modules, unit: modules[0].unit()}
	for i, m := range modules {
		m.class, m.index = c, i
	}
	for _, f := range form {
		s := classStep{
			key: f.key, signature: f.signature, in: f.in, pass: -1,
			modules: make([]*module, len(modules)), ops: make([]*vertex, len(modules)),
		}
		for i, m := range modules {
			j := slices.IndexFunc(m.steps, func(s step) bool { return s.key == f.key })
			if j < 0 {
				s.pass = f.pass
				continue
			}
			s.modules[i], s.ops[i] = m.steps[j].module, m.steps[j].op
			s.attr, s.owner = m.steps[j].attr, m.steps[j].owner
		}
		c.steps = append(c.steps, s)
	}
	return c
}

// parametrise finds the parameters of the class, and what each step's numbers
// are in terms of them.
func (c *class) parametrise() {
	n := len(c.modules)
	in := &param{vals: make([]string, n), in: true, used: true}
	out := &param{vals: make([]string, n), out: true, used: c.unit != ""}
	for i, m := range c.modules {
		in.vals[i], out.vals[i] = strconv.Itoa(int(m.in.C)), strconv.Itoa(int(m.out.C))
	}
	c.params = []*param{in, out}
	halves, rest := c.joins()

	c.findChunks()
	for i := range c.steps {
		c.steps[i].slots = c.steps[i].makeSlots()
	}
	// What varies is a parameter. Channels follow from step to step.
	for i := range c.steps {
		s := &c.steps[i]
		before := c.exprOf(s.in[0])
		for _, t := range s.slots {
			switch {
			case t.kind == channels && t.reads:
				c.readChannels(t, before)
			case t.kind == channels:
				c.makeChannels(s, t, before, halves, rest)
			case t.of != nil && t.kind == groups && slices.Equal(t.vals, t.of.vals) && !constant(t.vals, "1"):
				t.expr = t.of.expr
				c.depthwise = c.unit != "" && slices.Equal(c.params[0].vals, c.params[1].vals)
			case t.of != nil && t.kind == padding && strings.HasPrefix(t.of.expr, "$") && half(t.vals, t.of.vals):
				t.expr = t.of.expr + " // 2"
			case len(distinct(t.vals)) > 1:
				c.vary(s, t)
			}
			if t.kind == channels {
				before = t.expr
			}
		}
		s.outExpr = c.outputOf(s, before)
	}
	// What is always the same is written where it stands, unless a step that is
	// not always there can have the others' stride.
	for i := range c.steps {
		for _, t := range c.steps[i].slots {
			if t.expr != "" {
				continue
			}
			t.expr = distinct(t.vals)[0]
			if t.kind != stride || !slices.Contains(t.vals, "") {
				continue
			}
			for j, p := range c.params {
				if _, exact := p.compatible(t.vals); exact && p.kind == t.kind {
					t.expr = ref(j)
				}
			}
		}
	}
	c.outExpr = c.exprOf(len(c.steps) - 1)
	c.decide()
	c.nameParams()
}

// outputOf returns the channels of a step's output, or "" if they are no
// expression; last are the last that its slots have.
func (c *class) outputOf(s *classStep, last string) string {
	switch s.signature {
	case "concat":
		return ""
	case "mul":
		return c.exprOf(s.in[1])
	case "slice":
		if s.chunks == 0 {
			return ""
		}
		return last + " // " + strconv.Itoa(s.chunks)
	}
	callee := s.instance()
	if callee == nil {
		return last
	}
	for j, p := range callee.shown() {
		if ref(slices.Index(callee.params, p)) == callee.outExpr {
			return s.slots[j].expr
		}
	}
	return ""
}

// instance returns the class that the step's modules are of, or nil.
func (s *classStep) instance() *class {
	for _, m := range s.modules {
		if m != nil {
			return m.class
		}
	}
	return nil
}

// exprOf returns the channels of a step's output, or "".
func (c *class) exprOf(step int) string {
	if step < 0 {
		return ref(0)
	}
	return c.steps[step].outExpr
}

// index returns the parameter that an expression is, or -1.
func (c *class) index(expr string) int {
	if !strings.HasPrefix(expr, "$") || strings.Index(expr, ";") != len(expr)-1 {
		return -1
	}
	i, _ := strconv.Atoi(expr[1 : len(expr)-1])
	return i
}

// readChannels finds an expression for input channels: those of the step before,
// whose expression is before.
func (c *class) readChannels(t *slot, before string) {
	if i := c.index(before); i >= 0 {
		if ok, _ := c.params[i].compatible(t.vals); ok {
			c.params[i].fill(t.vals)
			t.expr = before
			return
		}
	} else if before != "" && c.equal(before, t.vals) {
		t.expr = before
		return
	}
	for i, p := range c.params {
		if _, exact := p.compatible(t.vals); p.kind == channels && exact {
			p.used = true
			t.expr = ref(i)
			return
		}
	}
	t.expr = c.add(&param{kind: channels, vals: slices.Clone(t.vals), used: true})
}

// makeChannels finds an expression for output channels: those of the whole, of
// another step, or a half or the rest of the whole where outputs are joined.
func (c *class) makeChannels(s *classStep, t *slot, before string, halves, rest bool) {
	if c.index(before) >= 0 && c.unit == "" && s.depthwise(t) {
		t.expr = before
		return
	}
	order := []int{1}
	if c.unit == "" {
		for i := 2; i < len(c.params); i++ {
			order = append(order, i)
		}
		if slices.Equal(c.params[0].vals, c.params[1].vals) {
			order[0] = 0
		}
	}
	for _, i := range order {
		p := c.params[i]
		if _, exact := p.compatible(t.vals); exact && p.kind == channels {
			p.used = true
			p.makers = append(p.makers, s.attr)
			p.inner = p.inner && t.inner
			t.expr = ref(i)
			return
		}
	}
	whole := ref(order[0])
	if expr := whole + " // 2"; halves && c.equal(expr, t.vals) {
		c.params[order[0]].used = true
		t.expr = expr
		return
	}
	if expr := whole + " - " + ref(0); rest && c.equal(expr, t.vals) {
		c.params[order[0]].used = true
		t.expr = expr
		return
	}
	t.expr = c.add(&param{kind: channels, vals: slices.Clone(t.vals), makers: []string{s.attr}, inner: t.inner, used: true})
}

// joins reports whether the output is two halves that are joined, and whether it
// is as many channels as the input has and the rest.
func (c *class) joins() (halves, rest bool) {
	for i := range c.steps {
		s := &c.steps[i]
		if s.signature != "concat" || len(s.in) != 2 {
			continue
		}
		halves, rest = true, true
		for k, m := range c.modules {
			a, b := c.channelsOf(s.in[0], k), c.channelsOf(s.in[1], k)
			halves = halves && a == b && a+b == m.out.C
			rest = rest && (a == m.in.C || b == m.in.C) && a+b == m.out.C
		}
		return halves, rest
	}
	return false, false
}

// channelsOf returns the channels of a step's output in one of the modules, or
// 0 if it has no such step.
func (c *class) channelsOf(step, module int) int32 {
	if step < 0 {
		return c.modules[module].in.C
	}
	s := &c.steps[step]
	switch {
	case s.modules[module] != nil:
		return s.modules[module].out.C
	case s.ops[module] != nil:
		return s.ops[module].Out.C
	}
	return 0
}

// depthwise reports whether the channels that a convolution makes are, in every
// module, those that it reads, each a group.
func (s *classStep) depthwise(out *slot) bool {
	if out.same != nil {
		return true
	}
	i := slices.Index(s.slots, out)
	if i < 1 || !slices.Equal(s.slots[i-1].vals, out.vals) {
		return false
	}
	for _, t := range s.slots[i:] {
		if t.kind == groups && t.of == s.slots[i-1] {
			return slices.Equal(t.vals, out.vals)
		}
	}
	return false
}

// equal reports whether "$i; // 2" or "$i; - $j;" has the values.
func (c *class) equal(expr string, vals []string) bool {
	for m, v := range vals {
		if v == "" {
			continue
		}
		value := func(ref string) int {
			i := c.index(ref)
			if i < 0 {
				return 0
			}
			n, _ := strconv.Atoi(c.params[i].vals[m])
			return n
		}
		n := 0
		if a, b, ok := strings.Cut(expr, " - "); ok {
			n = value(a) - value(b)
		} else if a, by, ok := strings.Cut(expr, " // "); ok {
			k, _ := strconv.Atoi(by)
			if n = value(a); n%k != 0 {
				return false
			}
			n /= k
		}
		if v != strconv.Itoa(n) {
			return false
		}
	}
	return true
}

func half(padding, kernel []string) bool {
	for i, p := range padding {
		k, err := strconv.Atoi(kernel[i])
		if p != "" && (err != nil || p != strconv.Itoa(k/2)) {
			return false
		}
	}
	return true
}

// vary makes what varies a parameter, or finds one that varies alike.
func (c *class) vary(s *classStep, t *slot) {
	for i, p := range c.params {
		if ok, _ := p.compatible(t.vals); ok && p.kind == t.kind {
			p.fill(t.vals)
			p.makers = append(p.makers, s.attr)
			t.expr = ref(i)
			return
		}
	}
	t.expr = c.add(&param{kind: t.kind, vals: slices.Clone(t.vals), makers: []string{s.attr}, used: true})
}

// add adds a parameter and returns its expression.
func (c *class) add(p *param) string {
	c.params = append(c.params, p)
	return ref(len(c.params) - 1)
}

// decide finds when the steps are there that not all modules have: a condition
// on the other parameters, if one tells, or a parameter of its own.
func (c *class) decide() {
	flags := map[string]string{} // by who has the step
	for i := range c.steps {
		s := &c.steps[i]
		there := make([]bool, len(c.modules))
		who := ""
		for m := range c.modules {
			there[m] = s.modules[m] != nil || s.ops[m] != nil
			who += strconv.FormatBool(there[m])
		}
		if !slices.Contains(there, false) || s.signature == "shuffle" { // of one group: nothing
			continue
		}
		if flags[who] == "" {
			flags[who] = c.condition(s, there)
		}
		s.condition = flags[who]
	}
	// Where nothing reads a parameter, it has its usual value.
	for _, p := range c.params {
		for i, v := range p.vals {
			if v == "" {
				p.vals[i] = usual(p)
			}
		}
	}
}

// usual returns the value that a parameter has where nothing says another.
func usual(p *param) string {
	all := distinct(p.vals)
	common := ""
	switch p.kind {
	case stride, groups, dilation:
		common = "1"
	case kernel:
		common = "3"
	case flag:
		return "False"
	}
	if slices.Contains(all, common) {
		return common
	}
	return all[0]
}

// condition returns the condition for a step that is there in some modules.
func (c *class) condition(s *classStep, there []bool) string {
	// A parameter that only this step needs can say 0.
	for i, p := range c.params {
		only := p.kind == channels && p.used && !p.in && !p.out
		for m := range there {
			only = only && (p.vals[m] != "") == there[m]
		}
		if only {
			for m := range there {
				if !there[m] {
					p.vals[m] = "0"
				}
			}
			p.def = "0"
			return ref(i) + " > 0"
		}
	}
	holds := func(test func(m int) bool) (all, none bool) {
		all, none = true, true
		for m := range there {
			if test(m) == there[m] {
				none = false
			} else {
				all = false
			}
		}
		return all, none
	}
	strides := -1
	for i, p := range c.params {
		if p.kind == stride && !slices.Contains(p.vals, "") && slices.Contains(p.vals, "1") {
			strides = i
		}
	}
	in, out := c.params[0].vals, c.params[1].vals
	two := !slices.Equal(in, out) && c.params[1].used
	one := func(m int) bool { return c.params[strides].vals[m] == "1" }
	same := func(m int) bool { return in[m] == out[m] }
	if two && strides >= 0 {
		if all, none := holds(func(m int) bool { return one(m) && same(m) }); all {
			return ref(strides) + " == 1 and " + ref(0) + " == " + ref(1)
		} else if none {
			return ref(strides) + " > 1 or " + ref(0) + " != " + ref(1)
		}
	}
	if two {
		if all, none := holds(same); all {
			return ref(0) + " == " + ref(1)
		} else if none {
			return ref(0) + " != " + ref(1)
		}
	}
	if strides >= 0 {
		if all, none := holds(one); all {
			return ref(strides) + " == 1"
		} else if none {
			return ref(strides) + " > 1"
		}
	}
	for i, p := range c.params {
		if p.kind != channels || p.in || p.out || slices.Contains(p.vals, "") || s.pass < 0 {
			continue
		}
		if all, _ := holds(func(m int) bool { return p.vals[m] != in[m] }); all {
			return ref(i) + " != " + ref(0)
		}
	}
	p := &param{kind: flag, used: true, name: s.attr, def: "False"}
	if s.signature == "add" {
		p.name = "residual"
	}
	for m := range there {
		p.vals = append(p.vals, pyBool(there[m]))
	}
	return c.add(p)
}

func pyBool(b bool) string {
	if b {
		return "True"
	}
	return "False"
}

// shown returns the parameters in their order: channels first, and what has a
// default last.
func (c *class) shown() []*param {
	var shown []*param
	for _, p := range c.params {
		if p.used {
			shown = append(shown, p)
		}
	}
	rank := func(p *param) int {
		switch {
		case p.in:
			return 0
		case p.def != "":
			return 4 + int(p.kind)
		case p.inner || p.kind != channels:
			return 3
		case p.out:
			return 2
		}
		return 1
	}
	slices.SortStableFunc(shown, func(a, b *param) int { return rank(a) - rank(b) })
	return shown
}

// nameParams gives the parameters their names and defaults.
func (c *class) nameParams() {
	perKind := map[slotKind]int{}
	for _, p := range c.params {
		if p.used && !p.in && !p.out {
			perKind[p.kind]++
		}
	}
	taken := map[string]bool{}
	for i, p := range c.params {
		if !p.used {
			continue
		}
		switch value := usual(p); {
		case p.def != "" || p.kind == channels:
		case c.unit != "" && (p.kind == stride || p.kind == groups):
			p.def = "1" // as PyTorch has it
		case p.kind != groups || value == "1":
			p.def = value
		}
		name := slotNames[p.kind]
		switch {
		case p.in && !c.params[1].used && slices.Equal(p.vals, c.params[1].vals):
			name = "channels"
		case p.in:
			name = "in_channels"
		case p.out:
			name = "out_channels"
		case p.kind == flag:
			name = p.name
		case p.kind == channels:
			name = channelName(p.makers)
		case perKind[p.kind] > 1 || p.kind == groups && c.otherGroups(ref(i)):
			name = strings.TrimLeft(p.makers[0]+"_"+name, "_")
		}
		name = pyName(strings.ReplaceAll(name, ".", "_"))
		for k, base := 2, name; taken[name]; k++ {
			name = base + strconv.Itoa(k)
		}
		taken[name] = true
		p.name = name
	}
}

// otherGroups reports whether a convolution has groups that the expression does
// not say.
func (c *class) otherGroups(expr string) bool {
	for i := range c.steps {
		for _, t := range c.steps[i].slots {
			if t.kind == groups && t.expr != expr && t.expr != "1" && t.expr != t.of.exprOrEmpty() {
				return true
			}
		}
	}
	return false
}

func (t *slot) exprOrEmpty() string {
	if t == nil {
		return ""
	}
	return t.expr
}

// channelName names the channels between the steps of a block after the step
// that makes them, or after what several have in common.
func channelName(makers []string) string {
	var names []string
	for _, m := range makers {
		if !slices.Contains(names, m) {
			names = append(names, m)
		}
	}
	if len(names) == 0 {
		return "hidden_channels"
	}
	name := names[0]
	for _, other := range names[1:] {
		for !strings.HasPrefix(other, name) {
			name = name[:len(name)-1]
		}
	}
	name = strings.TrimRight(name, "._0123456789")
	switch name {
	case "", "reduce", "expand", "depthwise", "conv":
		return "hidden_channels"
	}
	return name + "_channels"
}
