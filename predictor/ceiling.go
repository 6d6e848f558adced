package predictor

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/stat"
)

// EachNetwork holds out together the records of one network, by whatever recipe
// and on whatever dataset: see [NetworkKey].
func EachNetwork(_ int, r *Record) string {
	key, err := NetworkKey(r.Network)
	if err != nil {
		return "not a network: " + err.Error()
	}
	return key
}

// A Ceiling says how good the best predictor could be on records some of whose
// networks were trained and measured repeatedly: one that knew the mean that
// each network's accuracy has over many trainings would still miss single
// measurements by their scatter. The scatter of the logarithm of the error is
// taken to be normal and the same for all networks.
type Ceiling struct {
	Records  int // all of them
	Networks int // different ones, where the same trained otherwise is another
	Repeated int // those of them with several records

	LogErrorSD float64 // standard deviation of a measured log error around its network's mean
	SD         float64 // that of a measured accuracy, in fractions of 1

	Single Limits // for all records as they are
	Mean   Limits // for one record a network, with the mean accuracy of its records
}

// Limits are what no predictor passes but by chance.
type Limits struct {
	RMSE, MAE float64 // the least, in fractions of 1

	// The expected rank correlations of the true with the measured accuracies, at
	// most 1. They are NaN if the measured ones of different networks differ no
	// more than the scatter makes them.
	Kendall, Spearman float64
}

// String returns the ceiling in words, errors in points of accuracy.
func (c Ceiling) String() string {
	of := func(l Limits) string {
		return fmt.Sprintf("RMSE %.2f, MAE %.2f points, Kendall %.3f, Spearman %.3f", 100*l.RMSE, 100*l.MAE, l.Kendall, l.Spearman)
	}
	return fmt.Sprintf("%d of %d networks measured repeatedly: standard deviation %.2f points; at best %s of single measurements; %s of means",
		c.Repeated, c.Networks, 100*c.SD, of(c.Single), of(c.Mean))
}

// NoiseCeiling measures the scatter by the records of the same network, dataset,
// recipe and epochs, and says what it lets predictors reach. It returns false if
// there are no two such records.
//
// The floors of the errors follow from the scatter. The rank correlations are
// means of random draws: the networks' means, moved together until they vary as
// much as they would without scatter, are the truth, to which scatter is
// added anew. The same records and seed give the same ceiling.
func NoiseCeiling(records []Record, seed uint64) (Ceiling, bool) {
	_, networks, err := merge(records)
	if err != nil {
		return Ceiling{}, false
	}
	c := Ceiling{Records: len(records), Networks: len(networks)}
	means := make([]float64, len(networks)) // of log errors
	var free, squares, logSquares, absolute, absolutes float64
	var shorter, inverse float64 // means of 1/sqrt(k) and 1/k over networks with k records
	for n, network := range networks {
		k := float64(len(network.records))
		shorter += 1 / math.Sqrt(k) / float64(len(networks))
		inverse += 1 / k / float64(len(networks))
		for _, i := range network.records {
			means[n] += logError(records[i].Accuracy) / k
		}
		if k == 1 {
			continue
		}
		c.Repeated++
		free += k - 1
		absolutes += k
		for _, i := range network.records {
			d, l := records[i].Accuracy-network.accuracy, logError(records[i].Accuracy)-means[n]
			squares += d * d
			logSquares += l * l
			absolute += math.Abs(d) * math.Sqrt(k/(k-1)) // the mean of k follows each of them
		}
	}
	if c.Repeated == 0 {
		return Ceiling{}, false
	}
	c.SD, c.LogErrorSD = math.Sqrt(squares/free), math.Sqrt(logSquares/free)
	c.Single.RMSE, c.Single.MAE = c.SD, absolute/absolutes
	c.Mean.RMSE, c.Mean.MAE = c.SD*math.Sqrt(inverse), c.Single.MAE*shorter
	c.correlate(networks, means, inverse, seed)
	return c, true
}

// correlate computes the rank correlations from the mean log errors of the
// networks and the mean of 1/k over them, k the number of records of each.
func (c *Ceiling) correlate(networks []merged, means []float64, inverse float64, seed uint64) {
	center, noise := stat.Mean(means, nil), c.LogErrorSD*c.LogErrorSD
	var variance float64
	for _, m := range means {
		variance += (m - center) * (m - center) / float64(len(means)-1)
	}
	c.Single.Kendall, c.Single.Spearman = math.NaN(), math.NaN()
	c.Mean.Kendall, c.Mean.Spearman = math.NaN(), math.NaN()
	variance -= noise * inverse // that of the truth
	if !(variance > 0) {
		return
	}
	truth := make([]float64, len(networks))
	trueSingle := make([]float64, c.Records)
	for n, network := range networks {
		// By the square root, the variance is right; without, each truth would be
		// the likeliest, and all of them too close together.
		truth[n] = center + (means[n]-center)*math.Sqrt(variance/(variance+noise/float64(len(network.records))))
		for _, i := range network.records {
			trueSingle[i] = truth[n]
		}
	}
	draws := min(max(2_000_000/c.Records, 20), 200)
	var single, average Limits
	measured, measuredMean := make([]float64, c.Records), make([]float64, len(networks))
	for k := range draws {
		random := rand.New(rand.NewPCG(seed, uint64(k)))
		for n, network := range networks {
			sum := 0.
			for _, i := range network.records {
				measured[i] = truth[n] + c.LogErrorSD*random.NormFloat64()
				sum += measured[i]
			}
			measuredMean[n] = sum / float64(len(network.records))
		}
		single.add(trueSingle, measured, draws)
		average.add(truth, measuredMean, draws)
	}
	c.Single.Kendall, c.Single.Spearman = single.Kendall, single.Spearman
	c.Mean.Kendall, c.Mean.Spearman = average.Kendall, average.Spearman
}

// add adds the share of one of the draws to the means.
func (l *Limits) add(truth, measured []float64, draws int) {
	r, all := newRanking(truth, measured), once(len(truth))
	l.Kendall += r.kendall(all) / float64(draws)
	l.Spearman += r.spearman(all) / float64(draws)
}
