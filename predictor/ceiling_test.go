package predictor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/efficientnas/nas/arch"
)

// differentNetworks returns n networks no two of which are the same. Those with
// more parameters do not always have more MACs.
func differentNetworks(t testing.TB, n int) []*arch.Network {
	t.Helper()
	var networks []*arch.Network
	for i := range n {
		network, err := arch.Parse("different", fmt.Appendf(nil, `{"input":{"resolution":%d},"stem":{"width":8},
			"stages":[{"block":"basic","width":%d}],"head":{"classes":10}}`, 32+8*(i%3), 8+i))
		if err != nil {
			t.Fatal(err)
		}
		networks = append(networks, network)
	}
	return networks
}

// measuredOf returns records whose log errors scatter by noise around those of
// their networks, which vary by spread, and the latter in the order of the records:
// network i has counts[i % len(counts)] records.
func measuredOf(networks []*arch.Network, counts []int, spread, noise float64, seed uint64) (records []Record, truth []float64) {
	random := rand.New(rand.NewPCG(seed, 11))
	for i, n := range networks {
		mean := -1.5 + spread*random.NormFloat64()
		for range counts[i%len(counts)] {
			same := *n // another one in memory, said to be something else
			same.Name, same.About = fmt.Sprint("run ", len(records)), arch.About{Year: 2020 + len(records)}
			records = append(records, Record{Network: &same, Accuracy: 1 - math.Exp(mean+noise*random.NormFloat64()), Dataset: "d", Recipe: "r"})
			truth = append(truth, mean)
		}
	}
	return records, truth
}

func TestNoiseCeilingByHand(t *testing.T) {
	networks := differentNetworks(t, 3)
	at := func(network int, accuracy float64) Record {
		return Record{Network: networks[network], Accuracy: accuracy, Dataset: "d", Recipe: "r"}
	}
	c, ok := NoiseCeiling([]Record{at(0, 0.7), at(1, 0.8), at(2, 0.9), at(0, 0.72), at(2, 0.93), at(2, 0.90)}, 1)
	if !ok || c.Records != 6 || c.Networks != 3 || c.Repeated != 2 {
		t.Fatalf("%+v, %v", c, ok)
	}
	near := func(name string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-9 {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	sd := math.Sqrt((2*0.01*0.01 + 2*0.01*0.01 + 0.02*0.02) / 3)
	a, b := math.Log(0.3/0.28), math.Log(0.1/0.07)
	near("SD", c.SD, sd)
	near("LogErrorSD", c.LogErrorSD, math.Sqrt((a*a/2+b*b*2/3)/3))
	near("RMSE of single ones", c.Single.RMSE, sd)
	mae := (2*0.01*math.Sqrt2 + 0.04*math.Sqrt(3./2)) / 5
	near("MAE of single ones", c.Single.MAE, mae)
	near("RMSE of means", c.Mean.RMSE, sd*math.Sqrt((1+1./2+1./3)/3))
	near("MAE of means", c.Mean.MAE, mae*(1+1/math.Sqrt2+1/math.Sqrt(3))/3)
	if s := c.String(); !strings.HasPrefix(s, "2 of 3 networks measured repeatedly: standard deviation 1.63 points; at best RMSE 1.63, MAE") {
		t.Errorf("in words: %s", s)
	}
}

func TestNoiseCeilingRecoversTheNoise(t *testing.T) {
	networks := differentNetworks(t, 100)
	for _, c := range []struct {
		name          string
		counts        []int
		spread, noise float64
	}{
		{"three each", []int{3}, 0.2, 0.05},
		{"noisy", []int{3}, 0.1, 0.1},
		{"few repeated", []int{1, 1, 1, 4}, 0.2, 0.1},
		{"quiet", []int{2, 3}, 0.3, 0.005},
	} {
		var sd, truthSD, kendall, truthKendall, mean, truthMean, rmse, truthRMSE, mae, truthMAE float64
		const trials = 6
		for seed := range uint64(trials) {
			records, truth := measuredOf(networks, c.counts, c.spread, c.noise, seed)
			got, ok := NoiseCeiling(records, seed)
			if !ok {
				t.Fatalf("%s: no repeated records", c.name)
			}
			// What predictions of the truth reach, on the records and on their means.
			perfect := make([]Prediction, len(records))
			for i := range perfect {
				perfect[i] = newPrediction(truth[i], c.noise*c.noise)
			}
			q, err := Assess(perfect, records)
			if err != nil {
				t.Fatal(err)
			}
			var trueMeans, means []float64
			for _, group := range drawnTogether(records, EachNetwork) {
				sum := 0.
				for _, i := range group {
					sum += logError(records[i].Accuracy)
				}
				trueMeans, means = append(trueMeans, truth[group[0]]), append(means, sum/float64(len(group)))
			}
			sd += got.LogErrorSD / trials
			truthSD += c.noise / trials
			kendall += got.Single.Kendall / trials
			truthKendall += q.Kendall / trials
			mean += got.Mean.Spearman / trials
			truthMean += Spearman(trueMeans, means) / trials
			rmse += got.Single.RMSE / trials
			truthRMSE += q.RMSE / trials
			mae += got.Single.MAE / trials
			truthMAE += q.MAE / trials
			if !(got.Mean.RMSE <= got.Single.RMSE && got.Mean.Spearman >= got.Single.Spearman-0.01) {
				t.Errorf("%s: means are predicted worse than single measurements: %v", c.name, got)
			}
		}
		for _, v := range []struct {
			name                 string
			got, want, tolerance float64
		}{
			{"LogErrorSD", sd, truthSD, 0.08 * truthSD},
			{"Single.Kendall", kendall, truthKendall, 0.02},
			{"Mean.Spearman", mean, truthMean, 0.02},
			{"Single.RMSE", rmse, truthRMSE, 0.1 * truthRMSE},
			{"Single.MAE", mae, truthMAE, 0.1 * truthMAE},
		} {
			if math.Abs(v.got-v.want) > v.tolerance {
				t.Errorf("%s: %s = %.4f, want %.4f", c.name, v.name, v.got, v.want)
			}
		}
	}
}

func TestNoiseCeilingIsDeterministic(t *testing.T) {
	records, _ := measuredOf(differentNetworks(t, 60), []int{2}, 0.2, 0.1, 1)
	first, _ := NoiseCeiling(records, 3)
	if again, _ := NoiseCeiling(records, 3); again != first {
		t.Errorf("%v, then %v", first, again)
	}
	other, _ := NoiseCeiling(records, 4)
	if other == first || math.Abs(other.Single.Kendall-first.Single.Kendall) > 0.02 || other.SD != first.SD {
		t.Errorf("another seed: %v, then %v", first, other)
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	other, _ = NoiseCeiling(records, 3)
	if math.Abs(other.SD-first.SD) > 1e-12 || math.Abs(other.Single.MAE-first.Single.MAE) > 1e-12 || math.Abs(other.Mean.Kendall-first.Mean.Kendall) > 0.02 {
		t.Errorf("another order: %v, then %v", first, other)
	}
}

func TestNoiseCeilingOfWhat(t *testing.T) {
	networks := differentNetworks(t, 2)
	larger := *networks[0]
	larger.Input.Resolution = 64
	longer := Record{Network: networks[0], Accuracy: 0.7, Dataset: "d", Recipe: "r", Epochs: 9}
	record := func(n *arch.Network, dataset, recipe string) Record {
		return Record{Network: n, Accuracy: 0.7, Dataset: dataset, Recipe: recipe}
	}
	first := record(networks[0], "d", "r")
	for _, c := range []struct {
		name   string
		second Record
		want   bool
	}{
		{"the same", record(networks[0], "d", "r"), true},
		{"another network", record(networks[1], "d", "r"), false},
		{"another resolution", record(&larger, "d", "r"), false},
		{"another recipe", record(networks[0], "d", "s"), false},
		{"another dataset", record(networks[0], "e", "r"), false},
		{"other epochs", longer, false},
	} {
		if _, ok := NoiseCeiling([]Record{first, c.second}, 1); ok != c.want {
			t.Errorf("%s: repeated: %v, want %v", c.name, ok, c.want)
		}
		same := c.second.Network == networks[0]
		if got := EachNetwork(0, &first) == EachNetwork(1, &c.second); got != same {
			t.Errorf("%s: one network: %v, want %v", c.name, got, same)
		}
	}
	if _, ok := NoiseCeiling(nil, 1); ok {
		t.Error("a ceiling of no records")
	}

	// Networks that differ only by chance have no order to find.
	records, _ := measuredOf(differentNetworks(t, 2), []int{2}, 0, 1e-3, 1)
	records[0].Accuracy, records[1].Accuracy, records[2].Accuracy, records[3].Accuracy = 0.7, 0.8, 0.8, 0.71
	c, ok := NoiseCeiling(records, 1)
	if !ok || !math.IsNaN(c.Single.Kendall) || !math.IsNaN(c.Mean.Spearman) || !(c.Single.RMSE > 0) {
		t.Errorf("equal networks: %v, %v", c, ok)
	}
	// Without scatter, all can be known.
	for i := range records {
		records[i].Accuracy = 0.5 + 0.1*float64(i/2)
	}
	c, ok = NoiseCeiling(records, 1)
	if !ok || c.SD != 0 || math.Abs(c.Mean.Kendall-1) > 1e-12 || math.Abs(c.Mean.Spearman-1) > 1e-12 {
		t.Errorf("without scatter: %v, %v", c, ok)
	}
}

func BenchmarkNoiseCeiling(b *testing.B) {
	records, _ := measuredOf(differentNetworks(b, 400), []int{50}, 0.2, 0.05, 1)
	for b.Loop() {
		NoiseCeiling(records, 1)
	}
}
