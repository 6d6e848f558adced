package arch

import (
	"bytes"
	"encoding/json"
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
	var about []item
	add(&about, "year", float64(n.About.Year), 0.)
	add(&about, "paper", n.About.Paper, "")
	add(&about, "top1", n.About.Top1, 0.)
	add(&about, "source", n.About.Source, "")
	if about != nil {
		f = append(f, item{"about", about})
	}
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
		b.WriteString(strconv.FormatFloat(v, 'f', -1, 64))
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
