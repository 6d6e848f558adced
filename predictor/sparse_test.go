package predictor

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// compared returns how far the predictions of two models are apart at most: the
// means in standard deviations, the deviations by their ratio.
func compared(a, b model, queries *mat.Dense) (mean, deviation float64) {
	m, _ := queries.Dims()
	for _, task := range []int{0, 2, unknownTask} {
		ma, va, mb, vb := make([]float64, m), make([]float64, m), make([]float64, m), make([]float64, m)
		a.session(task).predict(ma, va, queries.RawMatrix())
		b.session(task).predict(mb, vb, queries.RawMatrix())
		for i := range m {
			mean = max(mean, math.Abs(ma[i]-mb[i])/math.Sqrt(va[i]))
			deviation = max(deviation, math.Abs(math.Log(vb[i]/va[i])/2))
		}
	}
	return mean, deviation
}

// With every record an inducing point, nothing is left out but the little noise
// that the factorisation needs.
func TestSparseIsExactWhereRecordsAreFew(t *testing.T) {
	s, h := randomSample(1, 300, 4)
	exact, err := newGP(h, s, identity(s.inputs()))
	if err != nil {
		t.Fatal(err)
	}
	sparse, err := newSparseGP(h, s, identity(s.inputs()))
	if err != nil {
		t.Fatal(err)
	}
	queries, _ := randomSample(2, 200, 4)
	// At the records, and at other places.
	for name, z := range map[string]*mat.Dense{"records": s.z, "others": queries.z} {
		mean, deviation := compared(exact, sparse, z)
		if mean > 0.01 || deviation > 0.01 {
			t.Errorf("%s: means differ by %.4f deviations, deviations by a factor of e to %.4f", name, mean, deviation)
		}
	}
	if sparse.len() != 300 || !slices.Equal(sparse.lengths(), exact.lengths()) {
		t.Errorf("%d records, length scales %v instead of %v", sparse.len(), sparse.lengths(), exact.lengths())
	}
}

// With somewhat more records than inducing points, the others still tell what
// they know.
func TestSparseIsCloseToExact(t *testing.T) {
	const n = maxInducing + maxInducing/5
	s, h := randomSample(1, n, 4)
	h.Length = []float64{3, 6, 6} // as they are believed to be
	exact, err := newGP(h, s, identity(s.inputs()))
	if err != nil {
		t.Fatal(err)
	}
	sparse, err := newSparseGP(h, s, identity(s.inputs()))
	if err != nil {
		t.Fatal(err)
	}
	if sparse.inducing.len() != maxInducing || sparse.len() != n {
		t.Errorf("%d records through %d", sparse.len(), sparse.inducing.len())
	}
	queries, _ := randomSample(2, 200, 4)
	mean, deviation := compared(exact, sparse, queries.z)
	t.Logf("%d records through %d: means differ by %.4f deviations, deviations by a factor of e to %.4f", n, maxInducing, mean, deviation)
	if mean > 0.2 || deviation > 0.2 {
		t.Errorf("means differ by %.4f deviations, deviations by a factor of e to %.4f", mean, deviation)
	}
}

func TestSparseIsDeterministic(t *testing.T) {
	s, h := randomSample(1, 500, 5)
	var models []model
	for range 2 {
		p, err := newSparseGP(h, s, identity(s.inputs()))
		if err != nil {
			t.Fatal(err)
		}
		models = append(models, p)
	}
	mean, deviation := compared(models[0], models[1], s.z)
	if mean != 0 || deviation != 0 {
		t.Errorf("twice the same, and the means differ by %v, the deviations by %v", mean, deviation)
	}
	testBatches(t, models[0])
}

// conditionedOn returns a predictor that has seen spaceRecords under the
// hyper-parameters that are believed in before, but for the noise, without fitting
// them.
func conditionedOn(t testing.TB, records []Record) *Predictor {
	t.Helper()
	p, _, _, err := prepare(records, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := p.sample(p.family)
	p.origin = s.origin
	standardised, by := s.standardised()
	h := hyperAt(s.start(), s.columns)
	h.Noise = 0.02
	h.round()
	if p.model, err = conditioned(h, standardised, by); err != nil {
		t.Fatal(err)
	}
	return p
}

// More records than a process takes exactly are seen through inducing points,
// the predictor of which is saved and loaded as any other.
func TestManyRecords(t *testing.T) {
	const n, held = 2500, 100
	records := spaceRecords(t, n+held, 1)
	p := conditionedOn(t, records[:n])
	if _, ok := p.model.(*sparseGP); !ok || p.Records() != n {
		t.Fatalf("a %T of %d records", p.model, p.Records())
	}
	testManyRecords(t, p, records[n:])

	few := conditionedOn(t, records[:200])
	if _, ok := few.model.(*gp); !ok {
		t.Errorf("a %T of %d records", few.model, few.Records())
	}
}

// testManyRecords compares what a predictor of spaceRecords says of further ones with
// their accuracies.
func testManyRecords(t *testing.T, p *Predictor, further []Record) {
	t.Helper()
	want, err := p.PredictRecords(further)
	if err != nil {
		t.Fatal(err)
	}
	q, err := Assess(want, further)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d further records: %v", len(further), q)
	if q.Kendall < 0.85 || q.Coverage90 < 0.8 {
		t.Errorf("%v", q)
	}
	var file bytes.Buffer
	if err := p.Save(&file); err != nil {
		t.Fatal(err)
	}
	loaded, err := Load("saved", &file)
	if err != nil {
		t.Fatal(err)
	}
	got, err := loaded.PredictRecords(further)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("loaded, it predicts otherwise (%v)", err)
	}
	for i := range 3 {
		near, err := loaded.Nearest(further[i].Network)
		if err != nil || near.Similarity <= 0 || near.Similarity > 1 {
			t.Errorf("the nearest is %+v: %v", near, err)
		}
	}
}

func TestTrainOnManyRecords(t *testing.T) {
	if !*long {
		t.Skip("takes a minute: go test ./predictor -run TestTrainOnManyRecords -long")
	}
	records := spaceRecords(t, 2600, 1)
	p := trainedOn(t, records[:2500], Options{})
	testManyRecords(t, p, records[2500:])
	if s := p.Summary(); s.Model != GP || !s.Beats() {
		t.Errorf("%+v", s)
	}
}
