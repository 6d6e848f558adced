package arch_test

import (
	"flag"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/predictor"
	"github.com/efficientnas/nas/runner"
	"github.com/efficientnas/nas/space"
)

var update = flag.Bool("update", false, "write golden files, and the table of docs/formats.md, anew")

const docFile = "../docs/formats.md"

// builtIn are the block types before tests and examples register theirs.
var builtIn = arch.Blocks()

// matters says in words when a parameter with a function Active matters.
var matters = map[string]string{
	"bottleneck.ratio":        "`hidden` is 0",
	"bottleneck.stride_first": "the block has a stride",
	"grouped.ratio":           "`hidden` is 0",
	"fire.squeeze_ratio":      "`squeeze` is 0",
	"inverted.expansion":      "`hidden` is 0",
	"inverted.divisor":        "`hidden` is 0",
	"inverted.se_of":          "`se` is not 0",
	"shuffle.group_first":     "first block of the stage",
}

// docTable returns the table of the parameters of the built-in block types.
func docTable(t *testing.T) string {
	t.Helper()
	table := "| block | parameter | type | range | default | what it is | matters if |\n|" + strings.Repeat(" --- |", 7) + "\n"
	known := 0
	for _, b := range builtIn {
		params := b.Params()
		if len(params) == 0 {
			table += "| " + b.Name() + " | none | | | | | |\n"
		}
		for _, p := range params {
			kind, span, def := describe(p)
			when, listed := matters[b.Name()+"."+p.Name]
			if listed != (p.Active != nil) || p.Doc == "" {
				t.Errorf("%s.%s: Active %t, in words %q, doc %q", b.Name(), p.Name, p.Active != nil, when, p.Doc)
			}
			if listed {
				known++
			}
			table += "| " + strings.Join([]string{b.Name(), "`" + p.Name + "`", kind, span, def, p.Doc, when}, " | ") + " |\n"
		}
	}
	if known != len(matters) {
		t.Errorf("%d of %d parameters with words for Active are there", known, len(matters))
	}
	return strings.ReplaceAll(table, "|  |", "| |")
}

// describe returns the type, the range and the default of a parameter.
func describe(p arch.Param) (kind, span, def string) {
	number := func(v float64) string {
		if v > 0 && v < 0.1 && v*64 == math.Trunc(v*64) {
			return "1/" + strconv.Itoa(int(1/v))
		}
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	switch p.Kind {
	case arch.BoolParam:
		return "boolean", "true, false", strconv.FormatBool(p.Default != 0)
	case arch.EnumParam:
		return "word", strings.Join(p.Enum, ", "), p.Enum[int(p.Default)]
	case arch.IntParam:
		kind = "integer"
		if p.Odd {
			kind = "odd integer"
		}
	default:
		kind = "number"
	}
	return kind, number(p.Min) + " to " + number(p.Max), number(p.Default)
}

// TestDocs compares the table of docs/formats.md with the block types, and looks
// for the words and limits that its text must name.
func TestDocs(t *testing.T) {
	old := readDoc(t)
	place := regexp.MustCompile(`(?s)<!-- begin parameters -->\n.*?<!-- end parameters -->\n`)
	if n := len(place.FindAllString(old, -1)); n != 1 {
		t.Fatalf("%s has %d places for the table of parameters", docFile, n)
	}
	text := place.ReplaceAllLiteralString(old, "<!-- begin parameters -->\n"+docTable(t)+"<!-- end parameters -->\n")
	if text != old {
		if !*update {
			t.Fatalf("the table of %s is out of date: go test ./arch -run TestDocs -update", docFile)
		}
		if err := os.WriteFile(docFile, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}

	imagenet, err := predictor.Imagenet()
	if err != nil {
		t.Fatal(err)
	}
	words := imagenet.Recipes()
	for a := arch.Identity; a <= arch.HardSigmoid; a++ {
		words = append(words, a.String())
	}
	for _, b := range builtIn {
		words = append(words, b.Name())
	}
	rest := place.ReplaceAllString(text, "")
	for _, word := range words {
		if !strings.Contains(rest, "`"+word+"`") {
			t.Errorf("%s does not name `%s`", docFile, word)
		}
	}
	for _, limit := range []int{
		arch.MaxWidth, arch.MaxResolution, arch.MaxDepth, arch.MaxStages, arch.MaxHidden, arch.MaxLayers,
		runner.MaxEvaluations, runner.MaxPopulation, predictor.MinRecords, predictor.MaxRecords,
	} {
		if !regexp.MustCompile(`\b` + strconv.Itoa(limit) + `\b`).MatchString(strings.ReplaceAll(rest, ",", "")) {
			t.Errorf("%s does not name the limit %d", docFile, limit)
		}
	}
}

// TestDocsExamples reads every example of docs/formats.md as the file that it is.
func TestDocsExamples(t *testing.T) {
	dir := t.TempDir()
	var configs, spaces int
	for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(readDoc(t), -1) {
		example := m[1]
		if strings.Contains(example, "\nspace:") {
			configs++
			path := filepath.Join(dir, "study.yaml")
			if err := os.WriteFile(path, []byte(example), 0o666); err != nil {
				t.Fatal(err)
			}
			if _, err := runner.LoadConfig(path); err != nil {
				t.Error(err)
			}
			continue
		}
		spaces++
		s, err := space.Parse("example", []byte(example))
		if err != nil {
			t.Errorf("%v in\n%s", err, example)
			continue
		}
		if _, err := arch.Parse("example", []byte(example)); (err == nil) != (len(s.Genes()) == 0) {
			t.Errorf("%d genes and %v of\n%s", len(s.Genes()), err, example)
		}
	}
	if configs == 0 || spaces < 2 {
		t.Errorf("%d examples of configurations, %d of networks and spaces", configs, spaces)
	}
	if !slices.ContainsFunc(builtIn, func(b arch.Block) bool { return b.Name() == "identity" }) {
		t.Error("the built-in block types are not known")
	}
}

func readDoc(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
