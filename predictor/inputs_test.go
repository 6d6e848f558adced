package predictor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
	"pgregory.net/rapid"
)

func template(t testing.TB, text string) *arch.Template {
	t.Helper()
	s, err := arch.ParseTemplate("space", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// smallSpace has a gene of every kind: of numbers and of words, one that only one
// type of block has, a stage that may be left out, and a gene for each of its
// blocks.
func smallSpace(t testing.TB) *arch.Template {
	t.Helper()
	return template(t, `
name: small
input: {resolution: [32, 48]}
stem: {width: 8}
stages:
  - {block: [basic, inverted], width: 16, stride: 2, expansion: [2, 4]}
  - {block: inverted, width: [16, 24], depth: [0, 1, 2], expansion: 2, kernel: [3, 5], per_block: [kernel]}
head: {classes: 10}
`)
}

// drawn returns n different networks of the space, drawn at random.
func drawn(t testing.TB, space *arch.Template, n int, seed uint64) []*arch.Network {
	t.Helper()
	plan, err := space.Compile()
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	genes := make([]uint16, len(plan.Slots))
	var networks []*arch.Network
	seen := make(map[string]bool)
	for range 100 * n {
		for i := range genes {
			genes[i] = uint16(rng.IntN(len(plan.Slots[i].Options)))
		}
		net := new(arch.Network)
		plan.Build(genes, net)
		key, err := NetworkKey(net)
		if err != nil {
			t.Fatal(err)
		}
		if seen[key] {
			continue
		}
		seen[key] = true
		if networks = append(networks, net); len(networks) == n {
			return networks
		}
	}
	t.Fatalf("the space has no %d networks", n)
	return nil
}

// largeSpace is one of many networks of 11 genes.
func largeSpace(t testing.TB) *arch.Template {
	t.Helper()
	return template(t, `
name: large
input: {resolution: [32, 40]}
stem: {width: 8}
stages:
  - {block: inverted, width: [8, 12, 16], depth: [1, 2, 3], expansion: [2, 4], kernel: [3, 5]}
  - {block: [basic, inverted, separable], width: [16, 24, 32], depth: [0, 1, 2, 3], stride: 2, expansion: [2, 4]}
  - {block: inverted, width: [32, 48, 64], depth: [1, 2], stride: 2, expansion: 3}
head: {classes: 10}
`)
}

// spaceRecords returns records of n networks of largeSpace, whose errors are a smooth
// function of their size and depth that was made up, times e to a noise of
// 0.02.
func spaceRecords(t testing.TB, n int, seed uint64) []Record {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	var records []Record
	for i, net := range drawn(t, largeSpace(t), n, seed) {
		c, err := cost.OfNetwork(net)
		if err != nil {
			t.Fatal(err)
		}
		depth := net.Stages[0].Depth + net.Stages[1].Depth
		logError := -1.5 - 0.15*math.Log(float64(c.MACs)/1e6) - 0.1*math.Log(float64(c.Params)/1e4) +
			0.05*math.Sin(float64(depth)) + 0.02*rng.NormFloat64()
		net.Name = fmt.Sprint("n", i)
		records = append(records, Record{Network: net, Accuracy: 1 - math.Exp(logError), Dataset: "made up", Recipe: "none"})
	}
	return records
}

// encoded returns the inputs of a network by name.
func encoded(t testing.TB, l *layout, n *arch.Network, how Training) map[string]float64 {
	t.Helper()
	x := slices.Repeat([]float64{math.NaN()}, len(l.columns))
	if err := l.newEncoder().encode(x, n, lowered(t, n), how); err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for i, name := range l.names {
		if math.IsNaN(x[i]) || math.IsInf(x[i], 0) {
			t.Errorf("%s = %v", name, x[i])
		}
		values[name] = x[i]
	}
	if len(values) != len(l.names) {
		t.Errorf("some of the names %v stand twice", l.names)
	}
	return values
}

func layoutOf(t testing.TB, space *arch.Template, kinds ...Input) *layout {
	t.Helper()
	l, err := newLayout(kinds, space, []string{"cifar10"}, false)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Three networks of smallSpace by what is left out: nothing; the expansion, which
// a basic block does not have, and the second block; and the second stage.
var smallNetworks = map[string]string{
	"whole": `{"input":{"resolution":32},"stem":{"width":8},"stages":[
		{"block":"inverted","width":16,"stride":2,"expansion":4},
		{"block":"inverted","width":24,"depth":2,"expansion":2,"kernel":{"blocks":[3,5]}}],"head":{"classes":10}}`,
	"basic": `{"input":{"resolution":48},"stem":{"width":8},"stages":[
		{"block":"basic","width":16,"stride":2},
		{"block":"inverted","width":16,"depth":1,"expansion":2,"kernel":5}],"head":{"classes":10}}`,
	"short": `{"input":{"resolution":32},"stem":{"width":8},"stages":[
		{"block":"inverted","width":16,"stride":2,"expansion":2},
		{"block":"inverted","depth":0}],"head":{"classes":10}}`,
}

func TestInputsOfGenes(t *testing.T) {
	l := math.Log1p
	for _, c := range []struct {
		kinds []Input
		names []string
		want  map[string][]float64 // parallel to names
	}{
		{
			[]Input{Ordinal},
			[]string{
				"input.resolution", "stages.0.block=basic", "stages.0.block=inverted", "stages.0.expansion", "stages.0.expansion active",
				"stages.1.depth", "stages.1.width", "stages.1.width active", "stages.1.0.kernel", "stages.1.0.kernel active",
				"stages.1.1.kernel", "stages.1.1.kernel active",
			},
			map[string][]float64{
				"whole": {l(32), 0, 1, l(4), 1, l(2), l(24), 1, l(3), 1, l(5), 1},
				"basic": {l(48), 1, 0, (l(2) + l(4)) / 2, 0, l(1), l(16), 1, l(5), 1, (l(3) + l(5)) / 2, 0},
				"short": {l(32), 0, 1, l(2), 1, l(0), (l(16) + l(24)) / 2, 0, (l(3) + l(5)) / 2, 0, (l(3) + l(5)) / 2, 0},
			},
		},
		{
			[]Input{OneHot},
			[]string{
				"input.resolution=32", "input.resolution=48", "stages.0.block=basic", "stages.0.block=inverted",
				"stages.0.expansion=2", "stages.0.expansion=4", "stages.1.depth=0", "stages.1.depth=1", "stages.1.depth=2",
				"stages.1.width=16", "stages.1.width=24", "stages.1.0.kernel=3", "stages.1.0.kernel=5", "stages.1.1.kernel=3", "stages.1.1.kernel=5",
			},
			map[string][]float64{
				"whole": {1, 0, 0, 1, 0, 1, 0, 0, 1, 0, 1, 1, 0, 0, 1},
				"basic": {0, 1, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 1, 0, 0},
				"short": {1, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0},
			},
		},
		{
			// Whether a gene is active, the options say.
			[]Input{OneHot, Ordinal},
			[]string{
				"input.resolution", "input.resolution=32", "input.resolution=48", "stages.0.block=basic", "stages.0.block=inverted",
				"stages.0.expansion", "stages.0.expansion=2", "stages.0.expansion=4",
				"stages.1.depth", "stages.1.depth=0", "stages.1.depth=1", "stages.1.depth=2",
				"stages.1.width", "stages.1.width=16", "stages.1.width=24", "stages.1.0.kernel", "stages.1.0.kernel=3", "stages.1.0.kernel=5",
				"stages.1.1.kernel", "stages.1.1.kernel=3", "stages.1.1.kernel=5",
			},
			map[string][]float64{
				"whole": {l(32), 1, 0, 0, 1, l(4), 0, 1, l(2), 0, 0, 1, l(24), 0, 1, l(3), 1, 0, l(5), 0, 1},
				"short": {
					l(32), 1, 0, 0, 1, l(2), 1, 0, l(0), 1, 0, 0, (l(16) + l(24)) / 2, 0, 0,
					(l(3) + l(5)) / 2, 0, 0, (l(3) + l(5)) / 2, 0, 0,
				},
			},
		},
	} {
		t.Run(fmt.Sprint(c.kinds), func(t *testing.T) {
			layout := layoutOf(t, smallSpace(t), c.kinds...)
			if !slices.Equal(layout.names, c.names) {
				t.Fatalf("got  %q\nwant %q", layout.names, c.names)
			}
			for name, want := range c.want {
				got := encoded(t, layout, network(t, smallNetworks[name]), Training{})
				for i, input := range c.names {
					if math.Abs(got[input]-want[i]) > 1e-12 {
						t.Errorf("%s: %s = %v, want %v", name, input, got[input], want[i])
					}
				}
			}
		})
	}
}

// Pairs are the products of inputs of different genes, each once.
func TestPairs(t *testing.T) {
	for _, with := range [][]Input{nil, {Ordinal}, {OneHot}} {
		layout := layoutOf(t, smallSpace(t), append(with, Pairs)...)
		slots := make(map[string]int)
		for i, g := range layout.genes {
			slots[layout.names[i]] = g.slot
		}
		seen := make(map[string]bool)
		for _, name := range layout.names {
			a, b, pair := strings.Cut(name, " * ")
			if !pair {
				continue
			}
			if seen[a+b] || seen[b+a] || slots[a] == slots[b] {
				t.Errorf("%v: the pair %q of the genes %d and %d", with, name, slots[a], slots[b])
			}
			seen[a+b] = true
		}
		want := 0
		for i, a := range layout.genes {
			for _, b := range layout.genes[:i] {
				if a.slot != b.slot {
					want++
				}
			}
		}
		if len(seen) != want {
			t.Errorf("%v: %d pairs, want %d", with, len(seen), want)
		}
		for which, text := range smallNetworks {
			values := encoded(t, layout, network(t, text), Training{})
			for name, v := range values {
				if a, b, pair := strings.Cut(name, " * "); pair && v != values[a]*values[b] {
					t.Errorf("%s: %s = %v, of %v and %v", which, name, v, values[a], values[b])
				}
			}
		}
	}
}

// Without a kind it is Features, and beside them what a network mixes; Sizes are
// some of them, and beside Features add nothing.
func TestInputsOfFeatures(t *testing.T) {
	all := append(FeatureNames(), mixedInput)
	if got := layoutOf(t, nil).names; !slices.Equal(got, all) {
		t.Errorf("got %v", got)
	}
	if got := layoutOf(t, nil, Sizes, Features).names; !slices.Equal(got, all) {
		t.Errorf("got %v", got)
	}
	want := []string{
		"log_macs", "log_params", "log_activations", "log_depth",
		"log_depth_1", "log_depth_2", "log_depth_4", "log_depth_8", "log_depth_16", "log_depth_32",
		"inverse_root_macs", "inverse_depth",
	}
	layout := layoutOf(t, nil, Sizes)
	if !slices.Equal(layout.names, want) {
		t.Errorf("got %v, want %v", layout.names, want)
	}
	n := reference(t, "mobilenet_v2")
	features := make([]float64, NumFeatures)
	new(Extractor).Features(features, lowered(t, n))
	for name, v := range encoded(t, layout, n, Training{}) {
		if v != features[slices.Index(FeatureNames(), name)] {
			t.Errorf("%s = %v", name, v)
		}
	}
	names := layoutOf(t, smallSpace(t), OneHot, Sizes).names
	if !slices.Equal(names[:len(want)], want) || names[len(want)] != "input.resolution=32" {
		t.Errorf("sizes and genes: %v", names)
	}
}

// How much a network mixes is about its stages by the names of their types, and
// those that are left out are none.
func TestMixedTypes(t *testing.T) {
	l := layoutOf(t, nil)
	for _, c := range []struct {
		name   string
		stages []string
		want   float64
	}{
		{"one type", []string{"inverted", "inverted", "inverted"}, 0},
		{"one stage", []string{"basic"}, 0},
		{"two in equal shares", []string{"inverted", "basic", "inverted", "basic"}, 0.5},
		{"one in three", []string{"basic", "inverted", "inverted"}, 4. / 9},
		{"three", []string{"basic", "inverted", "separable"}, 2. / 3},
		{"stages, not blocks", []string{"basic, depth: 3", "inverted"}, 0.5},
		{"parameters are no types", []string{"inverted, expansion: 3", "inverted, expansion: 6"}, 0},
		{"one left out", []string{"basic", "inverted, depth: 0"}, 0},
		{"two left out", []string{"basic", "inverted, depth: 0", "separable, depth: 0", "inverted"}, 0.5},
		{"all left out", []string{"basic, depth: 0", "inverted, depth: 0"}, 0},
	} {
		text := "input: {resolution: 32}\nstem: {width: 8}\nhead: {classes: 10}\nstages:\n"
		for _, s := range c.stages {
			text += "  - {width: 16, block: " + s + "}\n"
		}
		n := network(t, text)
		if got := mixedTypes(n); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if got := encoded(t, l, n, Training{})[mixedInput]; math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s: the input is %v, want %v", c.name, got, c.want)
		}
	}
}

// The input for mixes is as it is: what most records lack would be stretched.
func TestMixedInputIsNotStandardised(t *testing.T) {
	s, _ := randomSample(1, 20, 4)
	s.columns = slices.Clone(s.columns)
	s.columns[1].mixed = true
	standardised, by := s.standardised()
	for i := range s.len() {
		if got, want := standardised.z.At(i, 1), s.z.At(i, 1); got != want {
			t.Fatalf("row %d: %v, want %v", i, got, want)
		}
		if standardised.z.At(i, 0) == s.z.At(i, 0) {
			t.Fatalf("row %d: another input is not standardised", i)
		}
	}
	if by.center[1] != 0 || by.scale[1] != 1 {
		t.Errorf("by %v and %v", by.center[1], by.scale[1])
	}
	priors := s.priors()
	if s.columns[0].slope != 0 || priors[fixedHypers] != slopePrior {
		t.Errorf("the slope of another input has the prior %v", priors[fixedHypers])
	}
	s.columns[1].slope = 1
	if got := s.priors()[fixedHypers+1]; got != mixedPrior {
		t.Errorf("its slope has the prior %v", got)
	}
}

// The options of a gene, and the datasets, share a length scale and a slope;
// features have one length scale each, and mixedInput a slope of its own.
func TestColumns(t *testing.T) {
	l, err := newLayout([]Input{Features, OneHot, Pairs}, smallSpace(t), []string{"cifar10", "svhn"}, true)
	if err != nil {
		t.Fatal(err)
	}
	pair := func(name string) bool { return strings.Contains(name, " * ") }
	group := func(name string) string { // what shares a length scale
		if pair(name) {
			return "pairs"
		}
		name, _, _ = strings.Cut(name, "=")
		return name
	}
	slope := func(name string) string { // what shares a slope
		switch {
		case slices.Contains([]string{"log_macs", "log_params", "log_depth", "log_resolution", "log_epochs"}, name):
			return "features"
		case slices.Contains([]string{"inverse_root_macs", "inverse_depth"}, name):
			return "bend"
		case strings.HasPrefix(name, "dataset="):
			return "datasets"
		case name == mixedInput:
			return "mixed"
		case pair(name), slices.Contains(FeatureNames(), name):
			return ""
		}
		return "genes"
	}
	lengths, slopes, groups := make(map[int]string), make(map[int]string), make(map[string]bool)
	for i, name := range l.names {
		c := l.columns[i]
		if g, ok := slopes[c.slope]; ok && g != slope(name) {
			t.Errorf("%s shares a slope with the %s", name, g)
		}
		slopes[c.slope] = slope(name)
		if (c.slope < 0) != (slope(name) == "") {
			t.Errorf("%s has the slope %d", name, c.slope)
		}
		if c.mixed != (name == mixedInput) {
			t.Errorf("%s is the one for mixes: %v", name, c.mixed)
		}
		if (c.length < 0) != (slope(name) == "bend") {
			t.Errorf("%s has the length scale %d", name, c.length)
		}
		if c.length < 0 {
			continue
		}
		groups[group(name)] = true
		if g, ok := lengths[c.length]; ok && g != group(name) {
			t.Errorf("%s shares a length scale with %s", name, g)
		}
		lengths[c.length] = group(name)
	}
	n, m := hypersOf(l.columns)
	if n != len(groups) || n != len(lengths) || m != 5 {
		t.Errorf("%d length scales and %d slopes, want %d and 5", n, m, len(groups))
	}
}

func TestInputsRefuse(t *testing.T) {
	many := template(t, `{"name":"many","input":{"resolution":[32,40,48,56,64,72,80,88,96,104]},"stem":{"width":[8,16,24,32,40,48,56,64,72,80]},
		"stages":[{"block":"inverted","width":[8,16,24,32,40,48,56,64,72,80],"depth":4,"expansion":[1,2,3,4,5,6,7,8,9,10],
			"kernel":[1,3,5,7,9,11,13,15,17,19],"per_block":["expansion","kernel"]}],"head":{"classes":10}}`)
	for _, c := range []struct {
		name  string
		kinds []Input
		space *arch.Template
		want  string
	}{
		{"unknown kind", []Input{"one-hot"}, nil, `predictor: unknown kind of input "one-hot"; did you mean "onehot"? (allowed: features, onehot, ordinal, pairs, sizes)`},
		{"twice", []Input{Features, Features}, nil, `predictor: the inputs "features" twice`},
		{"no space", []Input{Ordinal}, nil, "predictor: inputs of genes need the space that the networks are of"},
		{"no space for pairs", []Input{Features, Pairs}, nil, "predictor: inputs of genes need the space"},
		{"no genes", []Input{OneHot}, template(t, smallArchitecture), "predictor: the space has no genes, and so no inputs"},
		{"too many", []Input{OneHot, Pairs}, many, `inputs, more than 4000; leave "pairs" out`},
		{"a wrong space", []Input{OneHot}, &arch.Template{}, "a network has at least one stage"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := newLayout(c.kinds, c.space, []string{"d"}, false); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	if _, err := newLayout([]Input{OneHot}, many, []string{"d"}, false); err != nil {
		t.Errorf("without pairs: %v", err)
	}
	var names []string
	for _, k := range InputKinds() {
		names = append(names, string(k))
	}
	if l := layoutOf(t, smallSpace(t), InputKinds()...); l.describe() != strings.Join(names, ",") {
		t.Errorf("all kinds are %s", l.describe())
	}
}

// A network that is not of the space is refused with the reason, by whatever
// would look at its genes; the batch stays as it was.
func TestGenesRefuseOtherNetworks(t *testing.T) {
	records := smallSpaceRecords(t)
	o := Options{Inputs: []Input{Ordinal}, Space: smallSpace(t)}
	p := trainedOn(t, records, o)
	other := network(t, strings.Replace(smallNetworks["whole"], `"expansion":4`, `"expansion":3`, 1))
	other.Name = "other"
	const want = `the network "other" is not of the space whose genes the predictor looks at`
	check := func(what string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), "predictor: ") > 1 {
			t.Errorf("%s: got %v, want %s", what, err, want)
		}
	}
	_, err := p.Predict(other, Training{})
	check("Predict", err)
	_, err = p.Nearest(other)
	check("Nearest", err)
	_, err = p.PredictRecords([]Record{{Network: other, Dataset: "cifar10", Recipe: "ours"}})
	check("PredictRecords", err)
	b, err := p.Batch(Training{})
	if err != nil {
		t.Fatal(err)
	}
	first := newCandidate(t, records[0].Network)
	if err := addAll(b, []candidate{first}); err != nil {
		t.Fatal(err)
	}
	check("Add", b.Add(other, lowered(t, other)))
	if err := addAll(b, []candidate{first}); err != nil {
		t.Fatal(err)
	}
	if got := b.Predict(); len(got) != 2 || got[0] != got[1] {
		t.Errorf("with one refused in between: %v", got)
	}
	records[3].Network = other
	_, err = Train(records, o)
	check("Train", err)
}

// smallSpaceRecords returns a record of each of 40 networks of smallSpace, whose
// accuracies follow their size and one gene.
func smallSpaceRecords(t testing.TB) []Record {
	t.Helper()
	var records []Record
	for i, n := range drawn(t, smallSpace(t), 40, 1) {
		c, err := cost.OfNetwork(n)
		if err != nil {
			t.Fatal(err)
		}
		n.Name = fmt.Sprint("n", i)
		r := Record{Network: n, Accuracy: 0.5 + 0.03*math.Log(float64(c.MACs)/1e5), Dataset: "cifar10", Recipe: "ours"}
		if n.Stages[0].Block.Name() == "basic" {
			r.Accuracy += 0.05
		}
		records = append(records, r)
	}
	return records
}

// Networks that differ have inputs that differ, if genes are inputs, and those
// that differ in inactive genes alone are the same networks.
func TestGenesTellNetworksApart(t *testing.T) {
	space := largeSpace(t)
	plan, err := space.Compile()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []Input{Ordinal, OneHot} {
		l := layoutOf(t, space, kind)
		e := l.newEncoder()
		rapid.Check(t, func(t *rapid.T) {
			var inputs [2][]float64
			var keys [2]string
			for i := range inputs {
				genes := make([]uint16, len(plan.Slots))
				for s := range genes {
					genes[s] = uint16(rapid.IntRange(0, len(plan.Slots[s].Options)-1).Draw(t, plan.Slots[s].Path))
				}
				// Of one network, so that its key tells: a stage left out has a block type too.
				plan.Canonical(genes, make([]bool, len(genes)))
				var n arch.Network
				plan.Build(genes, &n)
				inputs[i] = make([]float64, len(l.columns))
				if err := e.encode(inputs[i], &n, nil, Training{}); err != nil {
					t.Fatal(err)
				}
				if keys[i], err = NetworkKey(&n); err != nil {
					t.Fatal(err)
				}
			}
			if slices.Equal(inputs[0], inputs[1]) != (keys[0] == keys[1]) {
				t.Fatalf("%v and %v of\n%s\n%s", inputs[0], inputs[1], keys[0], keys[1])
			}
		})
	}
}

// Genes say what features do not: here the order of two stages.
func TestGenesAsInputsLearn(t *testing.T) {
	for _, kind := range []Input{Ordinal, OneHot} {
		records := smallSpaceRecords(t)
		for i := range records { // nothing but a gene
			records[i].Accuracy = 0.7
			if records[i].Network.Stages[0].Block.Name() == "basic" {
				records[i].Accuracy = 0.75
			}
		}
		predictions, err := LeaveOut(records, EachRecord, Options{Inputs: []Input{kind}, Space: smallSpace(t)})
		if err != nil {
			t.Fatal(err)
		}
		for i, y := range predictions {
			if math.Abs(y.Accuracy-records[i].Accuracy) > 0.01 {
				t.Errorf("%s: %s is predicted %.3f, and was %.3f", kind, records[i].Network.Name, y.Accuracy, records[i].Accuracy)
			}
		}
	}
}

// byOneRecipe returns smallRecords as if none had been trained for long.
func byOneRecipe(t testing.TB, n int) []Record {
	t.Helper()
	records := smallRecords(t, n)
	for i := range records {
		if records[i].Recipe == "long" {
			records[i].Recipe, records[i].Accuracy = "short", records[i].Accuracy-0.02
		}
	}
	return records
}

// Datasets are levels of their own, and what is learnt on one helps on the
// other.
func TestDatasetsAreInputs(t *testing.T) {
	records := byOneRecipe(t, 40)
	for i := range records {
		if i%3 == 0 {
			records[i].Dataset, records[i].Accuracy = "cifar100", records[i].Accuracy-0.3
		}
	}
	p := trainedOn(t, records, Options{})
	if got := p.Datasets(); !slices.Equal(got, []string{"cifar10", "cifar100"}) || p.Usual().Dataset != "cifar10" {
		t.Errorf("the datasets %v, usually %q", got, p.Usual().Dataset)
	}
	if names := p.Inputs(); !slices.Equal(names[NumFeatures:], []string{mixedInput, "dataset=cifar10", "dataset=cifar100"}) {
		t.Errorf("the inputs %v", names)
	}
	for i := range records {
		// As it was not measured.
		other := map[string]string{"cifar10": "cifar100", "cifar100": "cifar10"}[records[i].Dataset]
		want := records[i].Accuracy - 0.3
		if other == "cifar10" {
			want = records[i].Accuracy + 0.3
		}
		y, err := p.Predict(records[i].Network, Training{Dataset: other})
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(y.Accuracy-want) > 0.05 {
			t.Errorf("record %d on %s: %.3f, want about %.3f", i, other, y.Accuracy, want)
		}
	}
	usual, err := p.Predict(records[0].Network, Training{})
	if err != nil {
		t.Fatal(err)
	}
	if said, err := p.Predict(records[0].Network, Training{Dataset: "cifar10"}); err != nil || said != usual {
		t.Errorf("%v, %v: %v", usual, said, err)
	}
	_, err = p.Predict(records[0].Network, Training{Dataset: "cifar1"})
	if err == nil || err.Error() != `predictor: unknown dataset "cifar1"; did you mean "cifar10"? (allowed: cifar10, cifar100)` {
		t.Errorf("of an unknown dataset: %v", err)
	}
	if _, err := p.PredictRecords([]Record{{Network: records[0].Network, Dataset: "svhn", Recipe: "short"}}); err == nil || !strings.Contains(err.Error(), `unknown dataset "svhn"`) {
		t.Errorf("of a record of an unknown dataset: %v", err)
	}
}

// More epochs mean a smaller error where the records say so, also beyond the
// longest training.
func TestEpochsAreInputs(t *testing.T) {
	records := byOneRecipe(t, 40)
	for i := range records {
		records[i].Epochs = float64([]int{10, 30, 100}[i%3])
		records[i].Accuracy = 1 - math.Exp(math.Log(1-records[i].Accuracy)-0.2*math.Log(records[i].Epochs))
	}
	p := trainedOn(t, records, Options{})
	if names := p.Inputs(); !slices.Equal(names[NumFeatures:], []string{mixedInput, epochsInput}) || p.Usual().Epochs != 100 {
		t.Errorf("the inputs %v; usually %v epochs", names, p.Usual().Epochs)
	}
	last := 0.
	for _, epochs := range []float64{5, 10, 20, 50, 100, 200} {
		y, err := p.Predict(records[0].Network, Training{Epochs: epochs})
		if err != nil {
			t.Fatal(err)
		}
		if y.Accuracy <= last {
			t.Errorf("after %v epochs %.4f, after fewer %.4f", epochs, y.Accuracy, last)
		}
		last = y.Accuracy
		if usual, err := p.Predict(records[0].Network, Training{}); epochs == 100 && (err != nil || usual != y) {
			t.Errorf("usually %v, after 100 epochs %v: %v", usual, y, err)
		}
	}
	for _, epochs := range []float64{-1, 1e6 + 1, math.NaN(), math.Inf(1)} {
		if _, err := p.Predict(records[0].Network, Training{Epochs: epochs}); err == nil || !strings.Contains(err.Error(), "the epochs must be above 0") {
			t.Errorf("after %v epochs: %v", epochs, err)
		}
	}
}

// Where all records say the same number of epochs, or none, no other can be
// asked for.
func TestOneNumberOfEpochsIsNoInput(t *testing.T) {
	for _, epochs := range []float64{0, 90} {
		records := smallRecords(t, 12)
		for i := range records {
			records[i].Epochs = epochs
		}
		p := trainedOn(t, records, Options{})
		if slices.Contains(p.Inputs(), epochsInput) || p.Usual().Epochs != epochs {
			t.Errorf("%v: the inputs %v, usually %v epochs", epochs, p.Inputs(), p.Usual().Epochs)
		}
		if _, err := p.Batch(Training{Epochs: epochs}); err != nil {
			t.Errorf("%v: %v", epochs, err)
		}
		if _, err := p.Batch(Training{Epochs: 30}); err == nil || !strings.Contains(err.Error(), "it knows nothing of other numbers of epochs") {
			t.Errorf("%v: of 30 epochs: %v", epochs, err)
		}
	}
}

// The errors of Train name the record's place, if it was read.
func TestTrainNamesTheLine(t *testing.T) {
	var lines []string
	for i := range 12 {
		line := recordLine(`"width":8}]`, fmt.Sprintf(`"width":%d}]`, 8+8*i))
		if i != 4 {
			line = strings.Replace(line, `"dataset"`, `"epochs": 90, "dataset"`, 1)
		}
		lines = append(lines, line)
	}
	records, err := ReadRecords("r.jsonl", strings.NewReader("\n"+strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Train(records, Options{})
	if want := "r.jsonl:6:1: record 5: either all records say for how many epochs the network was trained, or none"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	records[4].Epochs = 90
	records[7].Accuracy = 2
	_, err = Train(records, Options{})
	if want := "r.jsonl:9:1: record 8: the accuracy must be from 0 to 1, found 2"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	records[7].Accuracy = 0.5
	_, err = Train(records, Options{Inputs: []Input{OneHot}, Space: smallSpace(t)})
	if err == nil || !strings.HasPrefix(err.Error(), `r.jsonl:2:1: the network "small" is not of the space`) {
		t.Errorf("of another space: %v", err)
	}
}
