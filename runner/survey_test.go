package runner

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/efficientnas/nas/space"
)

// large is good with a space that is too large to be looked at whole.
func large() string {
	return strings.Replace(good, "depth: [1, 2], stride: 2", "depth: 12, kernel: [1, 3, 5], per_block: [kernel], stride: 2", 1)
}

func TestInfeasible(t *testing.T) {
	for _, test := range []struct{ name, config, constraints, want string }{
		{"least", good, "{macs: 100k}", "c.yaml:9:21: no network of the space is within macs <= 100k: the least is 200k, the greatest 6.64M"},
		{"greatest", good, "{params: {min: 60k}}", "c.yaml:9:23: no network of the space is within params >= 60k: the least is 18.6k, the greatest 54.2k"},
		{"just missed", good, "{macs: 200319}", "c.yaml:9:21: no network of the space is within macs <= 200319: the least is 200320, the greatest 6.64M"},
		{"missed by a byte", good, "{weight_bytes: 74591}", "c.yaml:9:29: no network of the space is within weight_bytes <= 74591 B: the least is 74592 B, the greatest 217 kB"},
		{"just met", good, "{macs: 200320}", ""},
		{"a gap", good, "{macs: {min: 1.3M, max: 1.31M}}", "c.yaml:9:21: no network of the space is within macs from 1.3M to 1.31M: the least is 200k, the greatest 6.64M"},
		{"memory", good, "{peak_memory: 10}", "c.yaml:9:28: no network of the space is within peak_memory <= 10 B: each has at least 28.7 kB"},
		{"more memory", good, "{peak_memory: {min: 10MB}}", "c.yaml:9:28: no network of the space is within peak_memory >= 10 MB: the least is 28.7 kB, the greatest 492 kB"},
		{"energy", good, "{energy: 10}", "c.yaml:9:23: no network of the space is within energy <= 10 pJ: the least is 13.8 µJ, the greatest 93.1 µJ"},
		{"together", good, "{macs: 400k, params: {min: 50k}}", "c.yaml:9:21: no network of the space is within macs <= 400k and params >= 50k together"},
		{"two of three", good, "{macs: 400k, peak_memory: 1GB, params: {min: 50k}}", "c.yaml:9:21: no network of the space is within macs <= 400k and params >= 50k together"},
		{"by one alone", good, "{macs: 400k, params: {min: 50k}, energy: 1uJ}", "c.yaml:9:55: no network of the space is within energy <= 1 µJ: the least is 13.8 µJ, the greatest 93.1 µJ"},
		{"with memory", good, "{peak_memory: 70kB, macs: {min: 3M}}", "c.yaml:9:28: no network of the space is within peak_memory <= 70 kB and macs >= 3M together"},
		{"three of three", good, "{macs: 700k, params: {min: 40k}, activations: {min: 30k}}", "c.yaml:9:21: no network of the space is within macs <= 700k, params >= 40k and activations >= 30k together"},
		{"not the accuracy", good, "{accuracy: 100%, macs: 200320}", ""},

		{"large", large(), "{macs: 10}", "c.yaml:9:21: no network of the space is within macs <= 10: the least is "},
		{"large: memory", large(), "{peak_memory: 20kB}", "c.yaml:9:28: no network of the space is within peak_memory <= 20 kB: each has at least "},
		{"large: energy", large(), "{energy: 10}", "c.yaml:9:23: no network of the space is within energy <= 10 pJ: the least is "},
		{"large: together", large(), "{params: 1G, macs: 1M, weight_bytes: {min: 900kB}}", "c.yaml:9:33: no network of the space is within macs <= 1M and weight_bytes >= 900 kB together"},
		{"large: with memory", large(), "{peak_memory: 70kB, macs: {min: 50M}}", "c.yaml:9:28: no network of the space is within peak_memory <= 70 kB and macs >= 50M together"},
		{"large: met", large(), "{macs: 10M, params: {min: 40k}, peak_memory: 200kB, energy: 1mJ}", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := load(t, strings.Replace(test.config, "{macs: 600M, params: {max: 7M}}", test.constraints, 1))
			if err == nil {
				if test.want != "" {
					t.Errorf("no error, want %s", test.want)
				}
				return
			}
			got := err.Error()[strings.Index(err.Error(), "c.yaml"):]
			if test.want == "" || !strings.HasPrefix(got, test.want) || !strings.HasSuffix(test.want, " ") && got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// What is refuted, no network meets; and most of what none meets is refuted.
func TestRefute(t *testing.T) {
	c, err := load(t, strings.Replace(good, "width: [16, 32]", "width: [16, 24, 32]", 1))
	if err != nil {
		t.Fatal(err)
	}
	c.Constraints = nil
	for i := range metrics {
		if metrics[i].of != nil {
			c.Constraints = append(c.Constraints, Constraint{Metric: metrics[i].name, Min: math.Inf(-1), Max: math.Inf(1)})
		}
	}
	every := c.newTally()
	var costs [][]int64 // by network and constraint
	if err := every.addAll(func(uint) bool {
		values := make([]int64, len(every.metrics))
		of := every.meter.lowered(&every.meter.graph, true, true)
		for i, m := range every.metrics {
			values[i] = m.of(&of)
		}
		costs = append(costs, values)
		return true
	}); err != nil {
		t.Fatal(err)
	}

	if least := every.reach[slices.IndexFunc(every.metrics, func(m *metric) bool { return m.name == "peak_memory" })].Least; c.leastPeak() != least {
		t.Errorf("the least peak memory is %d, found %d", least, c.leastPeak())
	}
	all, rng := c.Constraints, rand.New(rand.NewPCG(1, 1))
	var refuted, open, met int
	for range 2000 {
		c.Constraints = slices.Clone(all)
		rng.Shuffle(len(all), func(i, j int) { c.Constraints[i], c.Constraints[j] = c.Constraints[j], c.Constraints[i] })
		c.Constraints = c.Constraints[:1+rng.IntN(3)]
		for i := range c.Constraints {
			k := &c.Constraints[i]
			at := slices.IndexFunc(every.metrics, func(m *metric) bool { return m.name == k.Metric })
			bound := float64(costs[rng.IntN(len(costs))][at]) // exactly met by one
			if rng.IntN(2) == 0 {
				k.Min = bound
			} else {
				k.Max = bound
			}
		}
		tally := c.newTally()
		if err := tally.addAll(func(uint) bool { return true }); err != nil {
			t.Fatal(err)
		}
		_, err := c.refute(c.Constraints)
		switch some := tally.within(tally.all()) > 0; {
		case err != nil && some:
			t.Fatalf("refuted, though met: %+v: %v", c.Constraints, err)
		case err != nil:
			refuted++
		case some:
			met++
		default:
			open++
		}
		if exact := c.checkFeasible(); (exact == nil) != (tally.within(tally.all()) > 0) {
			t.Fatalf("%d networks within %+v, but %v", tally.within(tally.all()), c.Constraints, exact)
		}
	}
	if refuted < 200 || met < 200 || open > refuted/2 {
		t.Errorf("%d refuted, %d met, %d neither", refuted, met, open)
	}
}

func TestCore(t *testing.T) {
	for _, test := range []struct {
		of   []uint // sets that are too much, beside those that hold them
		want uint
	}{
		{[]uint{0b1111}, 0b1111},
		{[]uint{0b0001}, 0b0001},
		{[]uint{0b0110}, 0b0110},
		{[]uint{0b0011, 0b1000}, 0b1000},
	} {
		got := core(0b1111, func(set uint) bool {
			return slices.ContainsFunc(test.of, func(much uint) bool { return set&much == much })
		})
		if got != test.want {
			t.Errorf("core of %b = %b, want %b", test.of, got, test.want)
		}
	}
}

// A small space is counted, and samples of it tell about the same.
func TestSurvey(t *testing.T) {
	c, err := load(t, strings.Replace(good, "{macs: 600M, params: {max: 7M}}", "{macs: 1M, accuracy: 50%, peak_memory: 100kB}", 1))
	if err != nil {
		t.Fatal(err)
	}
	exact, err := c.Survey(1, 1)
	if err != nil {
		t.Fatal(err)
	}
	if !exact.Exact || exact.Networks != 24 || len(exact.Shares) != 2 {
		t.Fatalf("%+v", exact)
	}
	counts := make([]int, 3)
	networks, err := c.Space.All()
	if err != nil {
		t.Fatal(err)
	}
	for g := range networks {
		costs := costsOf(t, c, g)
		macs, memory := costs.MACs <= 1e6, costs.PeakMemory <= 100e3
		for i, ok := range []bool{macs, memory, macs && memory} {
			if ok {
				counts[i]++
			}
		}
	}
	shares := append(slices.Clone(exact.Shares), exact.All)
	for i, b := range shares {
		if b.Networks != counts[i] || b.Share != float64(counts[i])/24 || b.Low != b.Share || b.High != b.Share {
			t.Errorf("%+v, want %d of 24", b, counts[i])
		}
	}
	if !slices.Equal(exact.Uncounted, []string{"accuracy >= 50.00 %"}) {
		t.Errorf("Uncounted = %v", exact.Uncounted)
	}

	sampled := c.newTally()
	if err := sampled.addSamples(5000, 4); err != nil {
		t.Fatal(err)
	}
	for i, set := range []uint{0b01, 0b10, 0b11} {
		b := wilson("", sampled.within(set), sampled.networks)
		if b.Low > shares[i].Share || b.High < shares[i].Share || b.High-b.Low > 0.03 {
			t.Errorf("samples say %+v of %+v", b, shares[i])
		}
	}

	c, err = load(t, large())
	if err != nil {
		t.Fatal(err)
	}
	estimate, err := c.Survey(300, 1)
	if err != nil {
		t.Fatal(err)
	}
	if estimate.Exact || estimate.Networks != 300 || estimate.Shares[0].Networks != 300 || estimate.Shares[0].Low > 0.99 {
		t.Errorf("%+v", estimate)
	}
}

func costsOf(t *testing.T, c *Config, g space.Genome) Costs {
	t.Helper()
	tally := c.newTally()
	if _, err := tally.add(g); err != nil {
		t.Fatal(err)
	}
	costs, err := (&meter{precision: c.Precision}).costs(&tally.net)
	if err != nil {
		t.Fatal(err)
	}
	return costs
}

func BenchmarkCheckFeasible(b *testing.B) {
	c, err := readConfig("../configs/mobile.yaml")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := c.checkFeasible(); err != nil {
			b.Fatal(err)
		}
	}
}
