package export_test

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
	"github.com/efficientnas/nas/export"
)

var updatePyTorch = flag.Bool("update-pytorch", false, "write the golden files of the PyTorch export anew")

// ghost is the block of examples/customblock.
type ghost struct{}

func (ghost) Name() string         { return "ghost" }
func (ghost) Params() []arch.Param { return nil }

func (ghost) Lower(g *arch.Graph, x arch.Tensor, u *arch.Unit) arch.Tensor {
	y := g.ConvNormAct(x, "primary", arch.Conv{Out: u.Width / 2, Stride: u.Stride}, u.Activation)
	cheap := arch.Conv{Out: u.Width - u.Width/2, Kernel: 3, Padding: 1, Groups: u.Width / 2}
	return g.Concat("", y, g.ConvNormAct(y, "cheap", cheap, u.Activation))
}

// awkward has parts that are no names in Python, mean something to PyTorch, or
// are no module of their own: "twice" is in two places.
type awkward struct{}

func (awkward) Name() string         { return "class" }
func (awkward) Params() []arch.Param { return nil }

func (awkward) Lower(g *arch.Graph, x arch.Tensor, u *arch.Unit) arch.Tensor {
	c := arch.Conv{Out: u.Width, Kernel: 1}
	y := g.ConvNormAct(x, "half", arch.Conv{Out: u.Width, Stride: u.Stride}, u.Activation)
	y = g.Conv(y, "twice", c)
	z := g.ConvNormAct(y, "1 to 1", c, u.Activation)
	z = g.ConvNormAct(z, "lambda", c, u.Activation)
	z = g.Add(z, g.Norm(z, "twice"), "forward")
	parts := []arch.Tensor{g.Slice(z, "low", 0, u.Width/4), g.Slice(z, "high", u.Width/4, u.Width)}
	z = g.Concat("forward", parts[1], parts[0])
	return g.Act(g.Add(z, y, "end"), "x", u.Activation)
}

func init() {
	for _, b := range []arch.Block{ghost{}, awkward{}} {
		if err := arch.Register(b); err != nil {
			panic(err)
		}
	}
}

const mixedFile = `
name: mixed
input: {channels: 3, resolution: 64}
stem: {width: 16, stride: 2, pool: {kernel: 3, stride: 2, padding: 1}}
stages:
  - {block: fire, width: 32, depth: 2}
  - {block: [inverted], width: 24, depth: 2, stride: 2, kernel: 5, se: 0.25, activation: hardswish}
  - {block: identity, width: 24}
  - {block: ghost, width: 48, depth: 2, stride: 2}
  - {block: inverted, width: 48, expansion: 3}
  - {block: grouped, width: 64, depth: 5, groups: 8, se: 0.25, pool: {kernel: 2}}
head: {width: 96, hidden: 32, layers: 1, classes: 10, dropout: 0.1}
`

const awkwardFile = `
name: "1 \"\"\" \\ none"
input: {channels: 3, resolution: 32}
norm: batch
stem: {width: 8}
stages:
  - {block: class, width: 8, depth: 2, stride: 2}
  - {block: identity, width: 12}
head: {classes: 10, classifier: conv}
`

func pytorch(t rapid.TB, n *arch.Network) string {
	t.Helper()
	var b, again strings.Builder
	if err := errors.Join(export.PyTorch(&b, n), export.PyTorch(&again, n)); err != nil {
		t.Fatalf("%s: %v\n%s", n.Name, err, n.YAML())
	}
	if again.String() != b.String() {
		t.Errorf("%s: two exports differ", n.Name)
	}
	return b.String()
}

func reference(t testing.TB, name string) *arch.Network {
	t.Helper()
	n, err := arch.Reference(name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestPyTorchGolden shows whole files, for people to judge.
func TestPyTorchGolden(t *testing.T) {
	for name, n := range map[string]*arch.Network{
		"mobilenet_v2": reference(t, "mobilenet_v2"),
		"shufflenet":   reference(t, "shufflenet"),
		"mixed":        parse(t, mixedFile),
		"odd":          parse(t, oddFile),
	} {
		file := filepath.Join("testdata", "pytorch_"+name+".py")
		got := pytorch(t, n)
		if *updatePyTorch {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("not as in %s (-update-pytorch writes it anew):\n%s", file, diff)
		}
	}
}

// checkSource checks what can be seen without Python.
func checkSource(t rapid.TB, n *arch.Network, source string) {
	t.Helper()
	c, err := cost.OfNetwork(n)
	if err != nil {
		t.Fatal(err)
	}
	digits := strings.ReplaceAll(source, ",", "")
	for _, want := range []string{
		strconv.FormatInt(c.MACs, 10) + " MACs and " + strconv.FormatInt(c.Params, 10) + " parameters",
		fmt.Sprintf("num_classes: int = %d", n.Head.Classes), " num_classes",
	} {
		if !strings.Contains(digits, strings.ReplaceAll(want, ",", "")) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(source, "$") {
		t.Error("a parameter without a name")
	}
	for i, line := range strings.Split(source, "\n") {
		if strings.TrimRight(line, " \t") != line || len([]rune(line)) > 88 {
			t.Errorf("line %d is too long or ends with a space: %q", i+1, line)
		}
	}
}

func TestPyTorchReferences(t *testing.T) {
	for _, name := range arch.References() {
		n := reference(t, name)
		checkSource(t, n, pytorch(t, n))
	}
}

func TestPyTorchSampled(t *testing.T) {
	for _, n := range sampled(t, 20) {
		checkSource(t, n, pytorch(t, n))
	}
}

func TestPyTorchDrawn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if n := drawNetwork(t); n != nil {
			checkSource(t, n, pytorch(t, n))
		}
	})
}

func TestPyTorchAnyName(t *testing.T) {
	n := parse(t, oddFile)
	rapid.Check(t, func(t *rapid.T) {
		n.Name = rapid.String().Draw(t, "name")
		n.About.Paper = rapid.String().Draw(t, "paper")
		pytorch(t, n)
	})
}

func TestPyTorchRefuses(t *testing.T) {
	n := parse(t, "input: {resolution: 8}\nstem: {width: 8}\nstages: [{block: onnx_twins, width: 8}]\nhead: {classes: 10}")
	err := export.PyTorch(io.Discard, n)
	const want = "two layers are called stages.0.0.conv: a block's parts need names of their own"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// TestPyTorchRuns runs files in Python: check_pytorch.py says how. NAS_TORCH_PYTHON
// is the path of a Python that has torch, onnx and onnxruntime, NAS_BLACK that
// of black. NAS_EXPORT_NETWORKS is how many random networks of each configuration
// are tried; if it is set, the scores of large networks are compared too.
func TestPyTorchRuns(t *testing.T) {
	python, black := os.Getenv("NAS_TORCH_PYTHON"), os.Getenv("NAS_BLACK")
	if python == "" {
		t.Skip("NAS_TORCH_PYTHON is not set")
	}
	each, all := 2, false
	if s := os.Getenv("NAS_EXPORT_NETWORKS"); s != "" {
		var err error
		if each, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
		all = true
	}
	strange := parse(t, awkwardFile)
	strange.Name = "strange"
	ns := []*arch.Network{parse(t, oddFile), parse(t, mixedFile), strange}
	ns = append(ns, sampled(t, each)...)
	drawn := rapid.Custom(drawNetwork)
	for seed := range 40 {
		if n := drawn.Example(seed); n != nil {
			n.Name = fmt.Sprintf("drawn_%d", seed)
			ns = append(ns, n)
		}
	}
	for _, name := range arch.References() {
		ns = append(ns, reference(t, name))
	}
	// A few at a time: with their weights, all together take gigabytes.
	for part := range slices.Chunk(ns, 8) {
		dir := t.TempDir()
		for _, n := range part {
			writeAll(t, filepath.Join(dir, n.Name), n, all)
		}
		commands := [][]string{{python, "check_pytorch.py", dir}}
		if black != "" {
			commands = append(commands, []string{black, "--quiet", "--diff", "--check", dir})
		}
		for _, command := range commands {
			out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
			t.Logf("\n%s", out)
			if err != nil {
				t.Error(err)
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	}
}

// writeAll writes what check_pytorch.py reads: the ONNX model only of small
// networks or of all, and only if PyTorch can have its names.
func writeAll(t *testing.T, path string, n *arch.Network, all bool) {
	t.Helper()
	c, err := cost.OfNetwork(n)
	if err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprintf(`{"macs": %d, "params": %d}`, c.MACs, c.Params)
	err = errors.Join(
		os.WriteFile(path+".py", []byte(pytorch(t, n)), 0o644),
		os.WriteFile(path+".json", []byte(line), 0o644))
	if (all || c.MACs < 1e9 && c.Params < 20e6) && !strings.Contains(string(n.YAML()), "block: class") {
		f, ferr := os.Create(path + ".onnx")
		if ferr != nil {
			t.Fatal(ferr)
		}
		err = errors.Join(err, export.ONNX(f, n, export.Options{Seed: 1}), f.Close())
	}
	if err != nil {
		t.Fatalf("%s: %v", n.Name, err)
	}
}
