package bench

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/internal/tabular"
	"github.com/efficientnas/nas/predictor"
	"github.com/efficientnas/nas/space"
)

var (
	long   = flag.Bool("long", false, "train on whole tables, which takes minutes")
	update = flag.Bool("update", false, "write the derived records of predictor/records/imagenet.jsonl anew; with -long")
)

const recordsFile = "../../predictor/records/imagenet.jsonl"

// The derived records of the embedded predictor are what a predictor that has
// learnt from Accel-NASBench says of networks drawn from its space. So its
// 4,100 trainings teach the order of inverted networks, without being
// handed on themselves.
func TestDerivedRecords(t *testing.T) {
	const table, count = "../../../shared/data/accel_nasbench.csv.gz", 50
	if !*long {
		t.Skip("trains on 4,100 networks: go test ./internal/bench -run TestDerivedRecords -long [-update]")
	}
	template, err := arch.ReadTemplate("../../configs/accel_nasbench.yaml")
	if err != nil {
		t.Fatal(err)
	}
	plan, err := template.Compile()
	if err != nil {
		t.Fatal(err)
	}
	tab, err := tabular.Read(table, plan)
	if os.IsNotExist(err) {
		t.Skipf("without %s", table)
	}
	if err != nil {
		t.Fatal(err)
	}
	var rows []int
	for i := range tab.Rows {
		if tab.Rows[i].Split == "train" {
			rows = append(rows, i)
		}
	}
	teacher, err := predictor.Train(recordsOf(tab, rows), predictor.Options{
		Space: template, Inputs: []predictor.Input{predictor.Features, predictor.Ordinal},
	})
	if err != nil {
		t.Fatal(err)
	}

	s, err := space.New(template)
	if err != nil {
		t.Fatal(err)
	}
	records := imagenetRecords(t)
	rng := rand.New(rand.NewPCG(1, 0))
	for i := range count {
		genes, err := s.Sample(rng)
		if err != nil {
			t.Fatal(err)
		}
		n := new(arch.Network)
		s.Network(genes, n)
		n.Name = fmt.Sprintf("accel_nasbench_%d", i+1)
		y, err := teacher.Predict(n, predictor.Training{})
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, predictor.Record{
			Network: n, Accuracy: math.Round(y.Accuracy*1e5) / 1e5, Dataset: "imagenet", Recipe: tab.Recipe,
			Source: "derived from Accel-NASBench (github.com/afzalxo/Accel-NASBench), its train split", Derived: true,
		})
	}
	var want bytes.Buffer
	if err := predictor.WriteRecords(&want, records); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(recordsFile, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(recordsFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s does not hold the %d derived records that its teacher gives", recordsFile, count)
	}
}
