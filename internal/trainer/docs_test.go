//go:build unix

package trainer

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocs runs the trainers of docs/evaluators.md.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/evaluators.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, program string
		accuracy      float64
		epoch         int
	}{
		{"python", "python3", 0.75, 3},
		{"shell", "sh", 0.7125, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, code, _ := strings.Cut(string(page), "<!-- begin "+test.name+" -->\n")
			code, _, ok := strings.Cut(code, "```\n<!-- end "+test.name+" -->")
			_, code, _ = strings.Cut(code, "\n")
			if !ok {
				t.Fatal("the page has no such example")
			}
			if _, err := exec.LookPath(test.program); err != nil {
				t.Skip(err)
			}
			script := filepath.Join(t.TempDir(), "train")
			if err := os.WriteFile(script, []byte(code), 0o600); err != nil {
				t.Fatal(err)
			}
			c := &Command{Args: []string{test.program, script}}
			r, err := c.Run(t.Context(), request(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if r.Accuracy != test.accuracy || r.Epoch != test.epoch || r.Stderr != "" {
				t.Errorf("got %+v", r)
			}
		})
	}
}
