package runner

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
	"github.com/efficientnas/nas/predictor"
)

// TestWorthlessPredictor gives a study a predictor whose records follow their
// MACs to the letter, so that nothing can rank better than MACs.
func TestWorthlessPredictor(t *testing.T) {
	records := make([]predictor.Record, 12)
	for i := range records {
		n, err := arch.Parse("network.yaml", fmt.Appendf(nil, `
input: {channels: 3, resolution: 32}
stem: {block: conv, width: %d, kernel: 3, stride: 2}
stages: [{block: separable, width: %d, depth: 2, stride: 2, kernel: 3}]
head: {width: 0, classes: 10}
`, 8+i, 16+4*i))
		if err != nil {
			t.Fatal(err)
		}
		c, err := cost.OfNetwork(n)
		if err != nil {
			t.Fatal(err)
		}
		records[i] = predictor.Record{Network: n, Accuracy: 0.5 + float64(c.MACs)/1e8, Dataset: "cifar10", Recipe: "a"}
	}
	p, err := predictor.Train(records, predictor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if s := p.Summary(); s.Beats() || s.MACs != 1 {
		t.Fatalf("tau %v, of MACs %v", s.Kendall, s.MACs)
	}
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "worthless.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Save(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "study.yaml")
	if err := os.WriteFile(config, []byte(`name: study
space:
  input: {channels: 3, resolution: 32}
  stem: {block: conv, width: 8, kernel: 3, stride: 2}
  stages: [{block: separable, width: [16, 24, 32], depth: [1, 2, 3], stride: 2, kernel: 3}]
  head: {width: 0, classes: 10}
objectives: {maximize: [accuracy], minimize: [macs]}
accuracy: {predictor: worthless.json}
search: {algorithm: random, evaluations: 9, seed: 1}
`), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := LoadConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Run(context.Background(), c, Options{})
	if err == nil || !strings.Contains(err.Error(), "study.yaml:8:") || !strings.Contains(err.Error(), "no better than their MACs") {
		t.Errorf("got %v", err)
	}
	if _, err := Run(context.Background(), c, Options{Force: true}); err != nil {
		t.Errorf("forced: %v", err)
	}
}
