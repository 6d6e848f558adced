package runner

import (
	"os"
	"testing"

	"github.com/efficientnas/nas/cost"
	"github.com/efficientnas/nas/predictor"
)

// A search picks networks whose accuracy is predicted too high. What that of
// configs/mobile.yaml finds must not be better than all that was ever measured: no
// network of its front is, less one standard deviation, above the best published
// accuracy of the same recipe at up to twice its MACs.
func TestMobileClaimsNoMoreThanWasMeasured(t *testing.T) {
	if testing.Short() {
		t.Skip("searches for seconds")
	}
	c, err := LoadConfig("../configs/mobile.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const file = "../predictor/records/imagenet.jsonl"
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := predictor.ReadRecords(file, f)
	if err != nil {
		t.Fatal(err)
	}
	type published struct {
		name     string
		macs     int64
		accuracy float64
	}
	var all []published
	for _, r := range records {
		if r.Recipe != c.Accuracy.Recipe || r.Derived {
			continue
		}
		of, err := cost.OfNetwork(r.Network)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, published{r.Network.Name, of.MACs, r.Accuracy})
	}
	if len(all) != 16 {
		t.Fatalf("%d published networks of the recipe %s", len(all), c.Accuracy.Recipe)
	}

	c.Search.Evaluations = 20_000
	r, err := Run(t.Context(), c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, m := range r.Front {
		var best published
		for _, p := range all {
			if p.macs <= 2*m.Costs.MACs && p.accuracy > best.accuracy {
				best = p
			}
		}
		if best.name == "" {
			continue // smaller than all of them
		}
		compared++
		if m.Accuracy-m.AccuracySD > best.accuracy {
			t.Errorf("%s, %.0fM MACs: %.4f ± %.4f, above the %.4f of %s with %.0fM",
				m.ID, float64(m.Costs.MACs)/1e6, m.Accuracy, m.AccuracySD, best.accuracy, best.name, float64(best.macs)/1e6)
		}
	}
	if compared < 100 {
		t.Errorf("only %d of %d networks of the front are compared", compared, len(r.Front))
	}
}
