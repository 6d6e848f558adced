package predictor

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"math"
	"os"
	"sync"
	"testing"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
)

var update = flag.Bool("update", false, "write the embedded predictor anew")

// imagenetOptions are how the embedded predictor is trained.
var imagenetOptions = Options{Recipe: "imgclsmob"}

const recordsFile = "records/imagenet.jsonl"

func imagenetRecords(t testing.TB) []Record {
	t.Helper()
	f, err := os.Open(recordsFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := ReadRecords(recordsFile, f)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// trainedImagenet is a predictor of the project's records, trained once for all tests.
var trainedImagenet = sync.OnceValues(func() (*Predictor, error) {
	f, err := os.Open(recordsFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	records, err := ReadRecords(recordsFile, f)
	if err != nil {
		return nil, err
	}
	return Train(records, imagenetOptions)
})

func imagenetTrained(t testing.TB) *Predictor {
	t.Helper()
	p, err := trainedImagenet()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The embedded predictor is what its records train: byte for byte, or on a
// machine that rounds sums of products otherwise (fused multiply-add) within 1 %
// of each hyper-parameter, whose third digit may turn over, and 0.02 points of accuracy.
func TestImagenetIsReproduced(t *testing.T) {
	p := imagenetTrained(t)
	var b bytes.Buffer
	if err := p.Save(&b); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("imagenet.json", b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if bytes.Equal(b.Bytes(), imagenetFile) {
		return
	}
	embedded, err := Imagenet()
	if err != nil {
		t.Fatal(err)
	}
	got, want := p.model.state().GP, embedded.model.state().GP
	near := func(name string, got, want float64) {
		if math.Abs(got-want) > 0.01*want {
			t.Errorf("%s: trained %v, embedded %v", name, got, want)
		}
	}
	near("signal", got.Signal, want.Signal)
	near("task level", got.TaskLevel, want.TaskLevel)
	near("task signal", got.TaskSignal, want.TaskSignal)
	near("task length", got.TaskLength, want.TaskLength)
	near("noise", got.Noise, want.Noise)
	near("widening", got.Widening, want.Widening)
	for i, name := range p.Inputs() {
		c := p.layout.columns[i]
		if c.length >= 0 {
			near("length scale of "+name, got.Length[c.length], want.Length[c.length])
		}
		if c.slope >= 0 {
			near("slope of "+name, got.Slope[c.slope], want.Slope[c.slope])
		}
	}
	for _, name := range arch.References() {
		n := reference(t, name)
		a, errA := p.Predict(n, Training{})
		b, errB := embedded.Predict(n, Training{})
		if errA != nil || errB != nil || math.Abs(a.Accuracy-b.Accuracy) > 0.0002 {
			t.Errorf("%s: trained %v, embedded %v (%v, %v); go test -run TestImagenetIsReproduced -update writes it anew", name, a, b, errA, errB)
		}
	}
}

// The quality that the project promises of its default predictor, on the
// records themselves. What is logged besides is reported, not promised.
func TestImagenetQuality(t *testing.T) {
	records := imagenetRecords(t)
	p := imagenetTrained(t)
	q := assess(t, leftOut(t, p, records, EachRecord), records)
	t.Logf("leave-one-out:        %v", q)
	if q.N != 193 {
		t.Errorf("%d comparable records, want 193", q.N)
	}
	if q.RMSE > 0.0075 {
		t.Errorf("RMSE %.4f, want at most 0.0075", q.RMSE)
	}
	if q.Kendall < 0.94 {
		t.Errorf("Kendall's tau %.4f, want at least 0.94", q.Kendall)
	}
	if q.Coverage90 < 0.85 || q.Coverage90 > 0.95 {
		t.Errorf("90 %% intervals cover %.3f, want 0.85 to 0.95", q.Coverage90)
	}

	t.Logf("leave-block-type-out: %v", assess(t, leftOut(t, p, records, BlockTypes), records))

	t.Logf("MACs alone:           tau %.3f", tauOfMACs(t, pick(records, measured(records))))
}

func assess(t *testing.T, predictions []Prediction, records []Record) Quality {
	t.Helper()
	q, err := Assess(Comparable(predictions, records))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// zooFile has the figures that the records were written from. It lies beside
// the project where it is developed.
const zooFile = "../../shared/data/imagenet_zoo.jsonl"

// Every measured record's network costs exactly what its row of the zoo says,
// which was counted independently of this project.
func TestRecordsEqualZoo(t *testing.T) {
	f, err := os.Open(zooFile)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("no %s here; it is not part of the project", zooFile)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	type row struct {
		Name, Recipe string
		MACs, Params int64
		Top1         float64
	}
	zoo := make(map[string]row)
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r row
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		zoo[r.Name] = r
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	records := imagenetRecords(t)
	records = pick(records, measured(records))
	if len(records) != len(zoo) {
		t.Errorf("%d records, %d rows", len(records), len(zoo))
	}
	for _, r := range records {
		want, ok := zoo[r.Network.Name]
		if !ok {
			t.Errorf("%q is not in the zoo, or twice in the records", r.Network.Name)
			continue
		}
		delete(zoo, r.Network.Name)
		c, err := cost.OfNetwork(r.Network)
		if err != nil {
			t.Fatal(err)
		}
		got := row{r.Network.Name, r.Recipe, c.MACs, c.Params, want.Top1}
		if got != want || math.Abs(r.Accuracy*100-want.Top1) > 1e-9 {
			t.Errorf("got %+v with accuracy %v, want %+v", got, r.Accuracy, want)
		}
	}
}

// The records file is as WriteRecords writes it, so that a change of it is a
// change of facts.
func TestRecordsFileIsCanonical(t *testing.T) {
	want, err := os.ReadFile(recordsFile)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := WriteRecords(&got, imagenetRecords(t)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("WriteRecords(ReadRecords(%s)) differs from the file", recordsFile)
	}
}
