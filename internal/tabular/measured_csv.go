package tabular

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/internal/strict"
	"github.com/efficientnas/nas/space"
)

// table reads a table in CSV.
func (g *gatherer) table(data []byte, key string) error {
	r, err := newReader(g.file, bytes.NewReader(data))
	if err != nil {
		return err
	}
	known, unknown := r.format()
	if known != nil {
		if keys := benchmarkKeys[known.name]; key != "" && !slices.Contains(keys, key) {
			return r.header("a table of %s: %s", known.name, strict.Unknown("key", key, keys))
		}
		return g.benchmark(data)
	}
	if r.err != nil || len(r.index) < len(r.fields) { // no header, or one with a column twice
		return unknown
	}
	genes := g.space.Genes()
	if key, err = r.key(key, genes, unknown); err != nil {
		return err
	}
	network := g.written(r, key)
	if key == genesKey {
		network = g.chosen(r, genes)
	}
	for r.next() {
		accuracy := r.fraction(accuracyKey)
		var training [3]string
		for i, column := range trainingKeys {
			if r.has(column) {
				training[i] = r.text(column)
			}
		}
		if i, same := g.sameTraining(r.line, training); !same {
			r.fail(trainingKeys[i], otherTraining, trainingKeys[i], training[i], g.training[i], g.since)
		}
		if n := network(); r.err == nil {
			g.add(strict.Pos{File: r.file, Line: r.line, Column: 1}, n, accuracy)
		}
	}
	return r.err
}

// header returns a mistake in the header.
func (r *reader) header(format string, args ...any) error {
	return strict.Pos{File: r.file, Line: r.line, Column: 1}.Errorf(format, args...)
}

func (r *reader) has(column string) bool { _, ok := r.index[column]; return ok }

// key returns the column that names the networks, or genesKey: the wanted one, or
// if that is empty the one that fits. Unknown says why the table is no benchmark.
func (r *reader) key(want string, genes []space.Gene, unknown error) (string, error) {
	var names, missing, strange, others []string
	for _, gene := range genes {
		if names = append(names, gene.Name); !r.has(gene.Name) {
			missing = append(missing, gene.Name)
		}
	}
	for _, column := range r.fields {
		switch {
		case slices.Contains(names, column):
		case geneLike(column):
			strange = append(strange, column)
		case column != accuracyKey && !slices.Contains(trainingKeys, column):
			others = append(others, column)
		}
	}
	key := want
	switch {
	case want == "" && r.has(architectureKey):
		key = architectureKey
	case want == "" && (len(missing) < len(names) || len(names) == 0 && r.has(accuracyKey)):
		key = genesKey
	case want == "":
		var e *strict.Error
		if errors.As(unknown, &e) {
			unknown = e.Pos.Errorf(`%s; "accuracy" with the genes %s; "accuracy" with "architecture" in JSON; and lines of JSON with both`,
				e.Message, list(names))
		}
		return "", unknown
	case want != genesKey && !r.has(want):
		if len(missing) < len(names) {
			others = append(others, genesKey)
		}
		return "", r.header("%s", strict.Unknown("key", want, others))
	}
	switch {
	case !r.has(accuracyKey):
		return "", r.header(`there is no column "accuracy"`)
	case key == genesKey && len(missing) > 0:
		return "", r.header("there is no column for %d of the %d genes of the space: %s", len(missing), len(names), list(missing))
	case key == genesKey && len(strange) > 0:
		// Without it, networks that differ would look the same.
		r.fail(strange[0], "%s", strict.Unknown("gene", strange[0], names))
		return "", r.err
	}
	return key, nil
}

// geneLike reports whether a column must be a gene, of whatever space.
func geneLike(column string) bool {
	part, _, inner := strings.Cut(column, ".")
	if inner {
		return slices.Contains([]string{"input", "stem", "stages", "head"}, part)
	}
	return slices.Contains([]string{"norm", "bias", "activation"}, part)
}

// chosen returns what reads the network from the columns of the genes. It holds
// until the next one.
func (g *gatherer) chosen(r *reader, genes []space.Gene) func() *arch.Network {
	genome := make(space.Genome, len(genes))
	return func() *arch.Network {
		for i := range genes {
			gene := &genes[i]
			genome[i] = 0
			word := strings.TrimSpace(r.text(gene.Name))
			if word == "" {
				continue // which is right if it turns out to be inactive
			}
			option := optionOf(gene, word)
			if option < 0 {
				r.fail(gene.Name, "%s = %q is not in the space, which has %s", gene.Name, word, strings.Join(gene.Options, ", "))
				return nil
			}
			genome[i] = uint16(option)
		}
		for i, word := range g.space.Words(genome) {
			if name := genes[i].Name; word != "" && strings.TrimSpace(r.text(name)) == "" {
				r.fail(name, "%s is empty, but this network depends on it; the space has %s", name, strings.Join(genes[i].Options, ", "))
				return nil
			}
		}
		g.space.Network(genome, &g.net)
		if err := g.net.Lower(&g.graph); err != nil {
			r.fail(r.first(genes), "the network cannot be built: %v", err)
			return nil
		}
		return &g.net
	}
}

// first returns the column of the first gene, if there is one.
func (r *reader) first(genes []space.Gene) string {
	if len(genes) == 0 {
		return accuracyKey
	}
	return genes[0].Name
}

// optionOf returns the option that a word stands for, or -1. Other programs write
// numbers and booleans otherwise: 3 as 3.0, true as True.
func optionOf(g *space.Gene, word string) int {
	if i := slices.Index(g.Options, word); i >= 0 {
		return i
	}
	if lower := strings.ToLower(word); lower == "true" || lower == "false" {
		return slices.Index(g.Options, lower)
	}
	v, err := strconv.ParseFloat(word, 64)
	if err != nil {
		return -1
	}
	return slices.IndexFunc(g.Options, func(o string) bool {
		w, err := strconv.ParseFloat(o, 64)
		return err == nil && v == w
	})
}

// written returns what reads the network from a column of architectures.
func (g *gatherer) written(r *reader, column string) func() *arch.Network {
	return func() *arch.Network {
		node, err := parseJSON(r.file, []byte(r.text(column)), "no architecture in JSON")
		var n *arch.Network
		if err == nil {
			n, err = networkOf(node)
		}
		if err != nil && r.err == nil {
			r.err = r.within(column, err)
		}
		return n
	}
}

// within moves a mistake in the text of a column to its place in the file.
func (r *reader) within(column string, err error) error {
	pos := strict.Pos{File: r.file}
	pos.Line, pos.Column = r.csv.FieldPos(r.index[column])
	var e *strict.Error
	if !errors.As(err, &e) || e.Pos.Line < 1 {
		return pos.Errorf("%q: %v", column, err)
	}
	lines := strings.Split(r.text(column), "\n")
	before := []rune(lines[min(e.Pos.Line, len(lines))-1])
	before = before[:min(max(e.Pos.Column-1, 0), len(before))]
	// In the file, the text stands in quotes, and those in it are doubled.
	shift := len(before) + strings.Count(string(before), `"`)
	if e.Pos.Line == 1 {
		if len(before) > 0 {
			shift++ // for the opening quote
		}
		pos.Column += shift
	} else {
		pos.Line, pos.Column = pos.Line+e.Pos.Line-1, shift+1
	}
	return pos.Errorf("%q: %s", column, e.Message)
}

// fraction reads an accuracy as a fraction of 1.
func (r *reader) fraction(column string) float64 {
	v, err := strconv.ParseFloat(strings.TrimSpace(r.text(column)), 64)
	if err != nil {
		r.fail(column, "%q must be a number, found %q", column, r.text(column))
	} else if !(v >= 0 && v <= 1) { // so, not a number is refused too
		r.fail(column, "%q must be from 0 to 1, found %s", column, r.text(column))
	}
	return v
}
