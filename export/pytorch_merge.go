package export

import "slices"

// A formStep is a step of a form: what the steps of one or several modules are,
// without any number.
type formStep struct {
	key, signature string
	in             []int // indices of steps; -1 is the input
	pass           int   // which input the output is where the step is left out; -1: it cannot be
}

// formOf returns the form of a module.
func formOf(m *module) []formStep {
	form := make([]formStep, len(m.steps))
	for i, s := range m.steps {
		f := formStep{key: s.key, signature: s.signature(), in: s.in, pass: -1}
		switch {
		case s.module != nil && s.owner == "":
			f.pass = 0
		case f.signature == "add":
			// What is left of a residual block without its sum is the long way.
			if f.pass = 0; s.in[0] == -1 {
				f.pass = 1
			}
		}
		form[i] = f
	}
	return form
}

func sameForm(a, b []formStep) bool {
	return slices.EqualFunc(a, b, func(a, b formStep) bool {
		return a.key == b.key && a.signature == b.signature && slices.Equal(a.in, b.in)
	})
}

func hasKey(form []formStep, key string) bool {
	return slices.ContainsFunc(form, func(f formStep) bool { return f.key == key })
}

// without returns the form without the steps whose keys the other has not: what
// reads one reads what that passes on. It returns nil if that cannot be.
func without(form, other []formStep) []formStep {
	var left []formStep
	place := make([]int, len(form)) // of each step, or of what it passes on, in left
	at := func(i int) int {
		if i < 0 {
			return -1
		}
		return place[i]
	}
	for i, f := range form {
		if !hasKey(other, f.key) {
			if f.pass < 0 {
				return nil
			}
			place[i] = at(f.in[f.pass])
			continue
		}
		in := make([]int, len(f.in))
		for k := range in {
			in[k] = at(f.in[k])
		}
		f.in = in
		place[i] = len(left)
		left = append(left, f)
	}
	if n := len(form) - 1; len(left) == 0 || at(n) != len(left)-1 {
		return nil
	}
	return left
}

// merge returns a form of which both others are what is left without some steps,
// or nil if there is none.
func merge(a, b []formStep) []formStep {
	// The steps of both, in an order that both have.
	var form []formStep
	var from []int // 1: of a, 2: of b, 3: of both
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i].key == b[j].key:
			if a[i].signature != b[j].signature || len(a[i].in) != len(b[j].in) {
				return nil
			}
			form, from = append(form, a[i]), append(from, 3)
			i, j = i+1, j+1
		case i < len(a) && !hasKey(b, a[i].key):
			form, from = append(form, a[i]), append(from, 1)
			i++
		case j < len(b) && !hasKey(a, b[j].key):
			form, from = append(form, b[j]), append(from, 2)
			j++
		default:
			return nil
		}
	}
	index := func(f []formStep, i int) int { // in form
		if i < 0 {
			return -1
		}
		return slices.IndexFunc(form, func(g formStep) bool { return g.key == f[i].key })
	}
	step := func(f []formStep, key string) *formStep {
		i := slices.IndexFunc(f, func(g formStep) bool { return g.key == key })
		return &f[i]
	}
	for i := range form {
		in := make([]int, len(form[i].in))
		for k := range in {
			switch from[i] {
			case 1:
				in[k] = index(a, step(a, form[i].key).in[k])
			case 2:
				in[k] = index(b, step(b, form[i].key).in[k])
			default:
				// A step that only one has stands between two that both have:
				// the later of the two places.
				in[k] = max(index(a, step(a, form[i].key).in[k]), index(b, step(b, form[i].key).in[k]))
			}
		}
		form[i].in = in
	}
	if !sameForm(without(form, a), a) || !sameForm(without(form, b), b) {
		return nil
	}
	return form
}

// classes sorts modules into classes: as few as merging gives, the form with the
// most steps first.
func classes(modules []*module) [][]*module {
	type variant struct {
		form    []formStep
		modules []*module
	}
	var variants []variant
	for _, m := range modules {
		form := formOf(m)
		if i := slices.IndexFunc(variants, func(v variant) bool { return sameForm(v.form, form) }); i >= 0 {
			variants[i].modules = append(variants[i].modules, m)
		} else {
			variants = append(variants, variant{form, []*module{m}})
		}
	}
	slices.SortStableFunc(variants, func(a, b variant) int { return len(b.form) - len(a.form) })
	var merged [][]*module
	for _, v := range variants {
		done := false
		for i := range merged {
			both := append(slices.Clone(merged[i]), v.modules...)
			if mergedForm(both) != nil {
				merged[i], done = both, true
				break
			}
		}
		if !done {
			merged = append(merged, v.modules)
		}
	}
	return merged
}

// mergedForm returns the form of which those of all modules are what is left
// without some steps, or nil.
func mergedForm(modules []*module) []formStep {
	form := formOf(modules[0])
	for _, m := range modules[1:] {
		if form = merge(form, formOf(m)); form == nil {
			return nil
		}
	}
	for _, m := range modules {
		if f := formOf(m); !sameForm(without(form, f), f) {
			return nil
		}
	}
	return form
}
