package export

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// pyWidth is the longest line that black leaves alone.
const pyWidth = 88

// A pyExpr is an expression of Python: text, or, with a closing bracket, items
// between brackets.
type pyExpr struct {
	text  string // all of it, or what stands before the items, bracket included
	items []pyExpr
	close string // what stands behind the items, bracket included
	// loop is " for ... in ..." of a comprehension with one item.
	loop string
	// comment is a line of its own above the expression.
	comment string
}

func pyText(text string) pyExpr { return pyExpr{text: text} }

func pyCall(function string, items ...pyExpr) pyExpr {
	return pyExpr{text: function + "(", items: items, close: ")"}
}

// named returns the expression as a keyword argument.
func (e pyExpr) named(keyword string) pyExpr {
	e.text = keyword + "=" + e.text
	return e
}

// commented reports whether a comment keeps the expression from one line.
func (e *pyExpr) commented() bool {
	for i := range e.items {
		if e.items[i].comment != "" || e.items[i].commented() {
			return true
		}
	}
	return false
}

func (e *pyExpr) line() string {
	return e.text + e.body() + e.close
}

func (e *pyExpr) body() string {
	var b strings.Builder
	for i := range e.items {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(e.items[i].line())
	}
	return b.String() + e.loop
}

// A pyWriter writes Python as black formats it: what does not fit in a line goes
// between its brackets on the next, and if it is too long there too, on a line
// an item, with a comma behind each.
type pyWriter struct {
	strings.Builder
}

// put writes a line, indented by so many levels of four spaces.
func (w *pyWriter) put(indent int, text string) {
	if text != "" {
		w.WriteString(strings.Repeat("    ", indent))
		w.WriteString(text)
	}
	w.WriteByte('\n')
}

func (w *pyWriter) putf(indent int, format string, args ...any) {
	w.put(indent, fmt.Sprintf(format, args...))
}

// statement writes an expression between two texts, such as "x = " and "".
func (w *pyWriter) statement(indent int, before string, e pyExpr, after string) {
	fits := func(indent int, text string) bool { return 4*indent+utf8.RuneCountInString(text) <= pyWidth }
	if e.comment != "" {
		w.put(indent, "# "+e.comment)
	}
	commented := e.commented()
	if line := before + e.line() + after; len(e.items) == 0 || !commented && fits(indent, line) {
		w.put(indent, line)
		return
	}
	w.put(indent, before+e.text)
	switch body := e.body(); {
	case !commented && fits(indent+1, body):
		w.put(indent+1, body)
	case e.loop != "":
		w.statement(indent+1, "", e.items[0], "")
		w.put(indent+1, strings.TrimSpace(e.loop))
	default:
		comma := ","
		if len(e.items) == 1 && !strings.HasPrefix(before+e.text, "def ") {
			comma = ""
		}
		for _, item := range e.items {
			w.statement(indent+1, "", item, comma)
		}
	}
	w.put(indent, e.close+after)
}

// docstring writes text, wrapped, as a docstring. Paragraphs are apart by an
// empty line, those that begin with a space are left as they are.
func (w *pyWriter) docstring(indent int, text string) {
	if line := `"""` + text + `"""`; !strings.Contains(text, "\n") && 4*indent+utf8.RuneCountInString(line) <= pyWidth {
		w.put(indent, line)
		return
	}
	before, width := `"""`, pyWidth
	if !strings.Contains(text, "\n\n") {
		width -= len(`"""`) // or it would be one line, and too long with its end
	}
	for i, paragraph := range strings.Split(text, "\n\n") {
		if i > 0 {
			w.put(0, "")
		}
		if strings.HasPrefix(paragraph, " ") {
			for _, line := range strings.Split(paragraph, "\n") {
				w.put(indent, line)
			}
			continue
		}
		line := before
		for j, word := range strings.Fields(paragraph) {
			if j > 0 && 4*indent+utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
				w.put(indent, line)
				line = ""
			}
			if line != "" && line != `"""` {
				line += " "
			}
			line += word
		}
		w.put(indent, line)
		before = ""
	}
	w.put(indent, `"""`)
}

// pyDocText makes any text a line that is safe between three quotes.
func pyDocText(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	return strings.ReplaceAll(strings.ReplaceAll(text, `\`, `\\`), `"`, "'")
}

// pyWords are names that a class or an attribute must not take: Python's own,
// those that the file imports or defines, and those that PyTorch's modules have
// a meaning for.
var pyWords = func() map[string]bool {
	words := map[string]bool{}
	for _, word := range strings.Fields(`
		False None True and as assert async await break class continue def del elif else except finally for from global if
		import in is lambda nonlocal not or pass raise return try while with match case type self super print range sum tuple int bool
		torch nn Tensor OrderedDict main network channel_shuffle annotations

		T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda double dump_patches eval extra_repr
		float forward get_buffer get_extra_state get_parameter get_submodule half ipu load_state_dict modules mtia named_buffers
		named_children named_modules named_parameters parameters register_backward_hook register_buffer register_forward_hook
		register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook
		register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module register_parameter
		register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ set_extra_state set_submodule share_memory state_dict to to_empty train training
		xpu zero_grad append extend insert pop keys values items update clear`) {
		words[word] = true
	}
	return words
}()

// pyName makes an identifier of a name: itself, if it is one and free.
func pyName(name string) string {
	var b strings.Builder
	for _, r := range name {
		if r != '_' && (r >= utf8.RuneSelf || !unicode.IsLetter(r) && !unicode.IsDigit(r)) {
			r = '_'
		}
		b.WriteRune(r)
	}
	name = b.String()
	if name == "" || name[0] == '_' || isDigit(name[0]) {
		name = "part" + name // PyTorch's own attributes begin with _
	}
	if pyWords[name] {
		name += "_"
	}
	return name
}

// camelWords are the words in networks' names that are written otherwise than
// with one capital.
var camelWords = map[string]string{
	"alexnet": "AlexNet", "efficientnet": "EfficientNet", "mnasnet": "MnasNet", "mobilenet": "MobileNet", "regnet": "RegNet",
	"resnet": "ResNet", "resnext": "ResNeXt", "shufflenet": "ShuffleNet", "squeezenet": "SqueezeNet", "vgg": "VGG",
	"bn": "BN", "nas": "NAS",
}

// pyClass makes the name of a class of a name in lower case: mobilenet_v2 is
// MobileNetV2. Underscores between digits stay.
func pyClass(name string) string {
	words := strings.FieldsFunc(name, func(r rune) bool {
		return r >= utf8.RuneSelf || !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	var b strings.Builder
	for _, word := range words {
		if s := b.String(); s != "" && isDigit(s[len(s)-1]) && isDigit(word[0]) {
			b.WriteByte('_')
		}
		letters := strings.TrimRight(word, "0123456789")
		if camel, ok := camelWords[strings.ToLower(letters)]; ok {
			b.WriteString(camel + word[len(letters):])
			continue
		}
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	class := b.String()
	if class == "" || isDigit(class[0]) {
		class = "Network" + class
	}
	if pyWords[class] {
		class += "Network"
	}
	return class
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// thousands returns n with commas.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
