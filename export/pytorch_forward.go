package export

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// text returns an expression with the parameters' names in place of references.
func (c *class) text(expr, self string) string {
	for i, p := range c.params {
		if strings.Contains(expr, ref(i)) {
			if self != "" {
				p.stored = true
			}
			expr = strings.ReplaceAll(expr, ref(i), self+p.name)
		}
	}
	return expr
}

// forward writes the method forward.
func (c *class) forward(w *pyWriter) {
	// A result that one step reads may stand in that step's line, unless both
	// are modules: those have lines of their own.
	reader := make([]int, len(c.steps))
	readers := make([]int, len(c.steps))
	for i := range c.steps {
		for _, j := range c.steps[i].in {
			if j >= 0 {
				reader[j] = i
				readers[j]++
			}
		}
	}
	inline := make([]bool, len(c.steps))
	for i := range c.steps[:len(c.steps)-1] {
		s, r := &c.steps[i], &c.steps[reader[i]]
		inline[i] = readers[i] == 1 && (c.unit != "" || s.isFunction() || r.isFunction()) && s.chunks == 0 && r.signature != "slice" &&
			!s.sometimes() && !(r.sometimes() && r.in[r.pass] == i)
	}
	var expr func(i int, name func(int) string) string
	operand := func(i int, name func(int) string) string {
		if i >= 0 && inline[i] {
			return expr(i, name)
		}
		return name(i)
	}
	expr = func(i int, name func(int) string) string {
		s := &c.steps[i]
		var in []string
		for _, j := range s.in {
			text := operand(j, name)
			if j >= 0 && inline[j] && s.binds(&c.steps[j]) {
				text = "(" + text + ")"
			}
			in = append(in, text)
		}
		if s.signature == "add" && s.in[1] == -1 {
			in[0], in[1] = in[1], in[0] // x + y, as one writes it
		}
		return c.apply(s, in)
	}
	for i := range c.steps {
		if c.steps[i].chunks > 0 {
			continue
		}
		if utf8.RuneCountInString(expr(i, func(int) string { return "y" })) > 66 {
			for _, j := range c.steps[i].in {
				if j >= 0 {
					inline[j] = false
				}
			}
		}
	}

	// What each line reads, and which line is the last to read it.
	reads := make([][]int, len(c.steps))
	last := map[int]int{}
	var collect func(line, i int)
	collect = func(line, i int) {
		for _, j := range c.steps[i].in {
			if j >= 0 && inline[j] {
				collect(line, j)
				continue
			}
			if j >= 0 && c.steps[j].chunks > 0 && c.steps[j].chunk != 0 && line == j {
				continue
			}
			reads[line] = append(reads[line], j)
			last[j] = max(last[j], line)
		}
	}
	for i := range c.steps {
		if !inline[i] {
			collect(i, i)
		}
	}

	names := map[int]string{-1: "x"}
	taken := map[string]bool{"x": true}
	fresh := func() string {
		for _, name := range []string{"y", "z", "u", "v", "w"} {
			if !taken[name] {
				taken[name] = true
				return name
			}
		}
		for k := 1; ; k++ {
			if name := fmt.Sprint("t", k); !taken[name] {
				taken[name] = true
				return name
			}
		}
	}
	name := func(i int) string { return names[i] }
	w.put(1, "def forward(self, x: Tensor) -> Tensor:")
	for i := range c.steps {
		s := &c.steps[i]
		if inline[i] || names[i] != "" {
			continue
		}
		if s.chunks > 0 {
			c.chunk(w, s, names, taken)
			continue
		}
		e := expr(i, name)
		end := i == len(c.steps)-1
		if s.sometimes() {
			kept := names[s.in[s.pass]]
			condition := "self." + s.attr
			if end {
				w.putf(2, "return %s if %s else %s", e, condition, kept)
				return
			}
			target := kept
			if last[s.in[s.pass]] > i {
				target = fresh()
				w.putf(2, "%s = %s", target, kept)
			}
			w.putf(2, "if %s:", condition)
			w.putf(3, "%s = %s", target, e)
			names[i] = target
			continue
		}
		if end {
			w.putf(2, "return %s", e)
			return
		}
		for _, j := range reads[i] {
			if last[j] == i {
				names[i] = names[j]
				break
			}
		}
		if names[i] == "" {
			names[i] = fresh()
		}
		w.putf(2, "%s = %s", names[i], e)
	}
}

// chunk writes the line that slices a tensor into all its chunks.
func (c *class) chunk(w *pyWriter, s *classStep, names map[int]string, taken map[string]bool) {
	from := names[s.in[0]]
	parts := make([]string, s.chunks)
	for j := range c.steps {
		if t := &c.steps[j]; t.chunks > 0 && t.in[0] == s.in[0] {
			name := fmt.Sprint(from, t.chunk+1)
			for taken[name] {
				name += "_"
			}
			taken[name] = true
			names[j], parts[t.chunk] = name, name
		}
	}
	w.putf(2, "%s = %s.chunk(%d, dim=1)", strings.Join(parts, ", "), from, s.chunks)
}

func (s *classStep) isFunction() bool {
	return slices.ContainsFunc(s.ops, func(v *vertex) bool { return v != nil })
}

// sometimes reports whether the step is a function that some of the class's
// modules have: one that forward decides about. A missing module is an
// nn.Identity.
func (s *classStep) sometimes() bool { return s.isFunction() && s.condition != "" }

// binds reports whether a sum or a product needs brackets as the step's operand.
func (s *classStep) binds(operand *classStep) bool {
	switch s.signature {
	case "mul":
		return operand.signature == "add"
	case "slice", "flatten", "unflatten":
		return operand.signature == "add" || operand.signature == "mul"
	}
	return false
}

// apply returns a step's expression.
func (c *class) apply(s *classStep, in []string) string {
	if !s.isFunction() {
		if s.owner != "" {
			return fmt.Sprintf("self.%s[%q](%s)", s.owner, s.attr, in[0])
		}
		return fmt.Sprintf("self.%s(%s)", s.attr, in[0])
	}
	switch s.signature {
	case "add":
		return strings.Join(in, " + ")
	case "mul":
		return strings.Join(in, " * ")
	case "concat":
		return "torch.cat([" + strings.Join(in, ", ") + "], dim=1)"
	case "shuffle":
		return fmt.Sprintf("channel_shuffle(%s, %s)", in[0], c.text(s.slots[0].expr, "self."))
	case "slice":
		start, stop := c.text(s.slots[0].expr, "self."), c.text(s.slots[1].expr, "self.")
		colon := ":"
		if strings.Contains(start+stop, ".") {
			colon = " : "
		}
		return in[0] + "[:, " + start + colon + stop + "]"
	case "flatten":
		return in[0] + ".flatten(1)"
	}
	return in[0] + "[:, :, None, None]" // unflatten
}
