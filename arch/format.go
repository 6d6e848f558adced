package arch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// An item is a key and its value in a file, in a fixed order: a scalar, a list
// of items' values, or a map of items.
type item struct {
	key   string
	value any // float64, string, bool, []item (a map) or []any (a list)
}

// items returns the network as an architecture file holds it, without the
// values that are the defaults.
func (n *Network) items() []item {
	var f []item
	add := func(list *[]item, key string, v, def any) {
		if v != def {
			*list = append(*list, item{key, v})
		}
	}
	add(&f, "name", n.Name, "")
	f = append(f, item{"input", []item{
		{"channels", float64(n.Input.Channels)},
		{"resolution", float64(n.Input.Resolution)},
	}})
	if !n.Norm {
		f = append(f, item{"norm", "none"})
	}
	add(&f, "bias", n.Bias, !n.Norm)
	add(&f, "activation", n.Activation.String(), ReLU.String())
	f = append(f, item{"stem", n.Stem.items(n.Activation)})
	var stages []any
	for i := range n.Stages {
		stages = append(stages, n.Stages[i].items(n.Activation))
	}
	f = append(f, item{"stages", stages})
	var head []item
	h := &n.Head
	add(&head, "pool", any(poolItems(h.Pool)), any(nil))
	add(&head, "width", float64(h.Width), 0.)
	add(&head, "pool_to", float64(h.PoolTo), 1.)
	add(&head, "hidden", float64(h.Hidden), 0.)
	if h.Layers > 1 {
		head = append(head, item{"layers", float64(h.Layers)})
	}
	if h.ConvClassifier {
		head = append(head, item{"classifier", "conv"})
	}
	add(&head, "activation", h.Activation.String(), n.Activation.String())
	add(&head, "dropout", h.Dropout, 0.)
	add(&head, "bias", h.Bias, true)
	head = append(head, item{"classes", float64(h.Classes)})
	f = append(f, item{"head", head})
	if about := n.About.items(); about != nil {
		f = append(f, item{"about", about})
	}
	return f
}

func (a *About) items() []item {
	var f []item
	add := func(key string, v, def any) {
		if v != def {
			f = append(f, item{key, v})
		}
	}
	add("year", float64(a.Year), 0.)
	add("paper", a.Paper, "")
	add("top1", a.Top1, 0.)
	add("source", a.Source, "")
	return f
}

func (s *Stage) items(activation Activation) []item {
	f := []item{{"block", s.Block.Name()}}
	if s.Depth == 0 { // it keeps its place: the names of the other stages' layers depend on it
		return append(f, item{"depth", 0.})
	}
	// add writes column j of the rows: one value, or one for each block.
	add := func(j int, p Param, def float64) {
		first, same := s.row(0)[j], true
		each := make([]any, s.Depth)
		for i := range each {
			same = same && s.row(i)[j] == first
			each[i] = p.scalar(s.row(i)[j]).v
		}
		switch {
		case !same:
			f = append(f, item{p.Name, []item{{"blocks", each}}})
		case first != def:
			f = append(f, item{p.Name, each[0]})
		}
	}
	add(0, widthParam, 0)
	if s.Depth != 1 {
		f = append(f, item{"depth", float64(s.Depth)})
	}
	if s.Stride != 1 {
		f = append(f, item{"stride", float64(s.Stride)})
	}
	for j, p := range s.Block.Params() {
		add(1+j, p, p.Default)
	}
	if s.Activation != activation {
		f = append(f, item{"activation", s.Activation.String()})
	}
	if p := poolItems(s.Pool); p != nil {
		f = append(f, item{"pool", p})
	}
	return f
}

func poolItems(p Pool) any {
	if p.Kernel == 0 {
		return nil
	}
	var f []item
	if p.Average {
		f = append(f, item{"kind", "average"})
	}
	f = append(f, item{"kernel", float64(p.Kernel)})
	if p.Stride != 0 {
		f = append(f, item{"stride", float64(p.Stride)})
	}
	if p.Padding != 0 {
		f = append(f, item{"padding", float64(p.Padding)})
	}
	if p.CeilMode {
		f = append(f, item{"ceil_mode", true})
	}
	return f
}

// YAML returns the network as an architecture file that [Parse] reads back.
func (n *Network) YAML() []byte {
	var b bytes.Buffer
	for _, it := range n.items() {
		b.WriteString(it.key)
		b.WriteByte(':')
		if list, ok := it.value.([]any); ok {
			b.WriteByte('\n')
			for _, v := range list {
				b.WriteString("  - ")
				writeFlow(&b, v, false)
				b.WriteByte('\n')
			}
			continue
		}
		if about, ok := it.value.([]item); ok && it.key == "about" {
			b.WriteByte('\n')
			for _, v := range about {
				b.WriteString("  " + v.key + ": ")
				writeFlow(&b, v.value, false)
				b.WriteByte('\n')
			}
			continue
		}
		b.WriteByte(' ')
		writeFlow(&b, it.value, false)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// MarshalJSON returns the network as one JSON object with the same keys and in
// the same order as [Network.YAML].
func (n *Network) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	writeFlow(&b, n.items(), true)
	return b.Bytes(), nil
}

// writeFlow writes v in one line, as JSON or as YAML in flow style.
func writeFlow(b *bytes.Buffer, v any, asJSON bool) {
	colon, comma := ": ", ", "
	if asJSON {
		colon, comma = ":", ","
	}
	switch v := v.(type) {
	case []item:
		b.WriteByte('{')
		for i, it := range v {
			if i > 0 {
				b.WriteString(comma)
			}
			writeString(b, it.key, asJSON)
			b.WriteString(colon)
			writeFlow(b, it.value, asJSON)
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteString(comma)
			}
			writeFlow(b, e, asJSON)
		}
		b.WriteByte(']')
	case float64:
		format := byte('f')
		if math.Abs(v) >= 1<<53 {
			format = 'e' // what looks like an integer must be one of 64 bits
		}
		b.WriteString(strconv.FormatFloat(v, format, -1, 64))
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case string:
		writeString(b, v, asJSON)
	}
}

// writeString quotes s unless YAML reads it as that very word without quotes.
func writeString(b *bytes.Buffer, s string, asJSON bool) {
	if !asJSON && plainWord(s) {
		b.WriteString(s)
		return
	}
	var quoted bytes.Buffer
	e := json.NewEncoder(&quoted)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string and a Buffer do not fail
	b.Write(bytes.TrimRight(quoted.Bytes(), "\n"))
}

func plainWord(s string) bool {
	for i, c := range s {
		if c != '_' && (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	switch strings.ToLower(s) {
	case "", "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf":
		return false
	}
	return true
}

// MarshalJSON returns the template as one JSON object that [ParseTemplate] reads
// back to an equal one, if it is not larger than files may be. It fails for what
// no file can say: a number that is not finite, values for each block inside such
// values, a variant whose parameter has no or several values.
func (t *Template) MarshalJSON() ([]byte, error) {
	var w templateWriter
	var f []item
	if t.Name != "" {
		f = append(f, item{"name", t.Name})
	}
	var input, head []item
	w.choice(&input, "channels", t.Input.Channels)
	w.choice(&input, "resolution", t.Input.Resolution)
	f = append(f, item{"input", input})
	w.choice(&f, "norm", t.Norm)
	w.choice(&f, "bias", t.Bias)
	w.choice(&f, "activation", t.Activation)
	f = append(f, item{"stem", w.stage(&t.Stem)})
	stages := make([]any, len(t.Stages))
	for i := range t.Stages {
		stages[i] = w.stage(&t.Stages[i])
	}
	f = append(f, item{"stages", stages})
	h := &t.Head
	if p := poolItems(h.Pool); p != nil {
		head = append(head, item{"pool", p})
	}
	w.choice(&head, "width", h.Width)
	w.choice(&head, "pool_to", h.PoolTo)
	w.choice(&head, "hidden", h.Hidden)
	w.choice(&head, "layers", h.Layers)
	w.choice(&head, "classifier", h.Classifier)
	w.choice(&head, "activation", h.Activation)
	w.choice(&head, "dropout", h.Dropout)
	w.choice(&head, "bias", h.Bias)
	w.choice(&head, "classes", h.Classes)
	f = append(f, item{"head", head})
	if about := t.About.items(); about != nil {
		f = append(f, item{"about", about})
	}
	if w.err != nil {
		return nil, w.err
	}
	var b bytes.Buffer
	writeFlow(&b, f, true)
	return b.Bytes(), nil
}

// A templateWriter turns choices into items and keeps the first error.
type templateWriter struct{ err error }

func (w *templateWriter) fail(key, what string) {
	if w.err == nil {
		w.err = fmt.Errorf("arch: write template: %s: %s", key, what)
	}
}

func (w *templateWriter) stage(s *StageTemplate) []item {
	var f []item
	if slices.ContainsFunc(s.Block.variants, func(v Variant) bool { return len(v.Params) > 0 }) {
		f = append(f, item{"block", w.variants(s.Block.variants)})
	} else {
		w.choice(&f, "block", s.Block)
	}
	w.choice(&f, "width", s.Width)
	w.choice(&f, "depth", s.Depth)
	w.choice(&f, "stride", s.Stride)
	for _, name := range slices.Sorted(maps.Keys(s.Params)) {
		if slices.Contains(stageKeys, name) {
			w.fail(name, "no parameter may have the name of a key that every stage has")
		}
		w.choice(&f, name, s.Params[name])
	}
	w.choice(&f, "activation", s.Activation)
	if p := poolItems(s.Pool); p != nil {
		f = append(f, item{"pool", p})
	}
	if s.PerBlock != nil {
		names := make([]any, len(s.PerBlock))
		for i, name := range s.PerBlock {
			names[i] = name
		}
		f = append(f, item{"per_block", names})
	}
	return f
}

func (w *templateWriter) variants(variants []Variant) []any {
	list := make([]any, len(variants))
	for i, v := range variants {
		if len(v.Params) == 0 {
			list[i] = v.Block
			continue
		}
		own := []item{{"block", v.Block}}
		for _, name := range slices.Sorted(maps.Keys(v.Params)) {
			c := v.Params[name]
			if len(c.options) != 1 || c.each != nil {
				w.fail("block", name+" of "+v.Block+" must have one value")
			}
			w.choice(&own, name, c)
		}
		list[i] = own
	}
	return list
}

// choice appends a key with its choice, unless it is left out.
func (w *templateWriter) choice(f *[]item, key string, c Choice) {
	if c.absent() {
		return
	}
	if c.each == nil {
		*f = append(*f, item{key, w.options(key, c.options)})
		return
	}
	blocks := make([]any, len(c.each))
	for i, own := range c.each {
		if own.each != nil {
			w.fail(key, "values for each block inside values for each block")
		}
		blocks[i] = w.options(key, own.options)
	}
	*f = append(*f, item{key, []item{{"blocks", blocks}}})
}

// options returns a value, a range, or a list. A range takes the place of long
// lists, since what is read may not have many words.
func (w *templateWriter) options(key string, options []Scalar) any {
	for _, s := range options {
		switch v := s.v.(type) {
		case float64:
			if math.IsNaN(v) || math.IsInf(v, 0) {
				w.fail(key, s.String()+" is no number that a file can hold")
			}
		case string, bool:
		default:
			w.fail(key, fmt.Sprintf("a value of type %T", v))
		}
	}
	if len(options) == 1 {
		return options[0].v
	}
	const long = 8
	if len(options) > long {
		from, _ := options[0].Number()
		second, _ := options[1].Number()
		to, _ := options[len(options)-1].Number()
		if step := second - from; slices.Equal(Range(from, to, step).options, options) && max(-from, to, step) <= rangeLimit {
			return []item{{"from", from}, {"to", to}, {"step", step}}
		}
	}
	list := make([]any, len(options))
	for i, s := range options {
		list[i] = s.v
	}
	return list
}

// Summary returns the network's stages in one line: block type, width, and
// depth where it is more than one, such as "inverted 24x2".
func (n *Network) Summary() string {
	var b strings.Builder
	for i := range n.Stages {
		s := &n.Stages[i]
		if s.Depth == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(s.Block.Name() + " " + strconv.Itoa(s.Width(s.Depth-1)))
		if s.Depth > 1 {
			b.WriteString("x" + strconv.Itoa(s.Depth))
		}
	}
	return b.String()
}
