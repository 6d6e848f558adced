package tabular

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/internal/strict"
	"github.com/efficientnas/nas/space"
)

// A Measured is the accuracies that networks of a space were measured to have. It
// is safe for concurrent use.
//
// Two genomes are the same network here if the architectures that they decode to
// are the same in everything but the name. So are those that [space.Space.Key]
// takes for one, and those that a space counts twice because two of its choices
// mean the same, such as a block type and a variant of it that only states a
// default. Stages that are divided in another way make another network, even if
// the layers are equal.
type Measured struct {
	space   *space.Space
	tallies map[string]tally // by the key of [Measured.key]
	outside int
}

// An Accuracy is what was measured of a network.
type Accuracy struct {
	Mean float64 // top-1, a fraction of 1
	SD   float64 // sample standard deviation of the trainings; 0 of a single one
	N    int     // trainings
}

// A tally sums up measurements by Welford's method, by which equal ones have
// exactly their value as the mean.
type tally struct {
	mean, squares float64 // the squares are of the distances from the mean
	n             int
}

func (t *tally) add(accuracy float64) {
	t.n++
	d := accuracy - t.mean
	t.mean += d / float64(t.n)
	t.squares += d * (accuracy - t.mean)
}

// Accuracy returns what was measured of the network of g, if anything.
func (m *Measured) Accuracy(g space.Genome) (Accuracy, bool) {
	t, ok := m.tallies[m.space.Key(g)]
	if !ok { // perhaps it is one that the space counts twice
		var n arch.Network
		m.space.Network(g, &n)
		key, err := m.key(&n)
		if err != nil {
			return Accuracy{}, false
		}
		if t, ok = m.tallies[key]; !ok {
			return Accuracy{}, false
		}
	}
	a := Accuracy{Mean: t.mean, N: t.n}
	if t.n > 1 {
		a.SD = math.Sqrt(t.squares / float64(t.n-1))
	}
	return a, true
}

// key returns the key of the genome that the space finds for n: of several that
// decode to n, always the same.
func (m *Measured) key(n *arch.Network) (string, error) {
	g, err := m.space.Genome(n)
	if err != nil {
		return "", err
	}
	return m.space.Key(g), nil
}

// Len returns how many networks of the space were measured.
func (m *Measured) Len() int { return len(m.tallies) }

// Outside returns how many architectures in the table, counted as often as they
// stand there, are not of the space.
func (m *Measured) Outside() int { return m.outside }

// How a table names its networks, beside the columns of benchmarks and those that
// hold architectures.
const (
	accuracyKey     = "accuracy"
	architectureKey = "architecture" // unless the caller says otherwise
	genesKey        = "genes"        // a column for each gene, by its name
)

// trainingKeys say how a network was trained. Accuracies compare only where that
// is the same, so a table that has these keys must have one value in each.
var trainingKeys = []string{"dataset", "recipe", "epochs"}

// benchmarkKeys are the columns of the known benchmarks that name a network.
var benchmarkKeys = map[string][]string{
	"accel_nasbench":  {"id"},
	"nas_bench_macro": {"arch", "real_arch"},
}

// ReadMeasured reads a table of measured networks of s at path, plain or compressed
// with gzip. Its content decides which of these it is:
//
//   - A benchmark, see [Read]. The key is one of the columns arch and real_arch, or
//     id, which mean the same.
//   - A CSV file with a column "accuracy", and a column for each gene of s by its name
//     that holds the chosen option in words, as front.csv does. It may be empty
//     where the gene is inactive. The key is "genes".
//   - A CSV file with a column "accuracy", and one that holds architectures as JSON.
//     The key is the column's name, "architecture" by default.
//   - Lines of JSON with "accuracy" and an architecture, such as the records of package
//     predictor. The key is that of the architecture, "architecture" by default.
//
// An empty key stands for the one that the table has; for "architecture" if it has
// the genes too. Other columns and keys are not read, but for dataset, recipe and
// epochs, which must be the same throughout. Accuracies are fractions of 1, except the
// benchmarks'. Several rows of one network become one [Accuracy].
//
// An option that s does not have is a mistake. An architecture in JSON that can be built
// but is not of s is left out and counted, see [Measured.Outside]; it is a mistake if
// all are.
func ReadMeasured(path, key string, s *space.Space) (*Measured, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readMeasured(path, f, key, s)
}

func readMeasured(file string, in io.Reader, key string, s *space.Space) (*Measured, error) {
	data, err := content(file, in)
	if err != nil {
		return nil, err
	}
	g := &gatherer{Measured: Measured{space: s, tallies: make(map[string]tally)}, file: file}
	if text := bytes.TrimLeft(data, " \t\r\n"); len(text) > 0 && (text[0] == '{' || text[0] == '[') {
		err = g.lines(data, key)
	} else {
		err = g.table(data, key)
	}
	switch {
	case err != nil:
		return nil, err
	case len(g.tallies) == 0 && g.outside > 0:
		return nil, g.stranger.Errorf("none of the %d architectures of the table is of the space, this one because %s", g.outside, g.because)
	case len(g.tallies) == 0:
		return nil, strict.Pos{File: file}.Errorf("the table has no rows")
	}
	return &g.Measured, nil
}

// content returns the bytes of a table, plain or compressed.
func content(file string, in io.Reader) ([]byte, error) {
	r := &reader{file: file}
	b := bufio.NewReader(in)
	in = b
	if magic, _ := b.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, r.mistake(err)
		}
		in = z
	}
	data, err := io.ReadAll(&limited{in, MaxBytes})
	if err != nil {
		return nil, r.mistake(err)
	}
	return bytes.TrimPrefix(data, []byte("\ufeff")), nil // which spreadsheets write
}

// A gatherer is a Measured in the making.
type gatherer struct {
	Measured
	file string

	training [3]string // of the first network, by trainingKeys
	since    int       // line of the first network, or 0

	stranger strict.Pos // the first architecture that is not of the space
	because  string     // why not

	net   arch.Network
	graph arch.Graph
}

// add adds a measurement of a network.
func (g *gatherer) add(at strict.Pos, n *arch.Network, accuracy float64) {
	key, err := g.key(n)
	if err != nil {
		if g.outside++; g.outside == 1 {
			if inner := errors.Unwrap(err); inner != nil {
				err = inner
			}
			g.stranger, g.because = at, strings.TrimPrefix(err.Error(), "arch: ")
		}
		return
	}
	t := g.tallies[key]
	t.add(accuracy)
	g.tallies[key] = t
}

// sameTraining reports whether a network was trained like the first, and otherwise
// by which of trainingKeys it was not.
func (g *gatherer) sameTraining(line int, training [3]string) (differs int, same bool) {
	if g.since == 0 {
		g.training, g.since = training, line
	}
	for i := range training {
		if training[i] != g.training[i] {
			return i, false
		}
	}
	return 0, true
}

// otherTraining is the mistake that sameTraining finds: of the key, what was found,
// what the first network has, and its line.
const otherTraining = "%q is %q, but %q in line %d; the networks of a table must be trained alike"

// benchmark reads a table of a known benchmark.
func (g *gatherer) benchmark(data []byte) error {
	plan, err := g.space.Template().Compile()
	if err != nil {
		return err
	}
	t, err := read(g.file, bytes.NewReader(data), plan)
	if err != nil {
		return err
	}
	for i := range t.Rows {
		row := &t.Rows[i]
		key, err := g.key(row.Network)
		if err != nil {
			return err
		}
		var sum tally
		for _, accuracy := range row.Measured {
			sum.add(accuracy)
		}
		sum.mean = row.Accuracy // the table's own, which it rounds
		g.tallies[key] = sum
	}
	return nil
}

// list names up to eight things.
func list(names []string) string {
	const most = 8
	if len(names) > most {
		names = append(slices.Clone(names[:most]), "...")
	}
	return strings.Join(names, ", ")
}
