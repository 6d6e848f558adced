package predictor

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/internal/strict"
)

const smallArchitecture = `{"name":"small","input":{"resolution":32},"stem":{"width":8},"stages":[{"block":"basic","width":8}],"head":{"classes":10}}`

// recordLine is a record with one part replaced.
func recordLine(old, replacement string) string {
	line := `{"architecture": ` + smallArchitecture + `, "accuracy": 0.75, "dataset": "cifar10", "recipe": "ours", "source": "a test"}`
	return strings.Replace(line, old, replacement, 1)
}

func TestReadRecords(t *testing.T) {
	records, err := ReadRecords("r.jsonl", strings.NewReader(recordLine("", "")+"\n\n  \r\n"+recordLine(`, "source": "a test"`, "")))
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != 2 {
		t.Fatalf("%d records, want 2", len(records))
	}
	r := records[0]
	if r.Network.Name != "small" || r.Accuracy != 0.75 || r.Dataset != "cifar10" || r.Recipe != "ours" || r.Source != "a test" {
		t.Errorf("read %+v", r)
	}
	if records[1].Source != "" || records[1].Epochs != 0 || records[1].Derived {
		t.Errorf("read %+v", records[1])
	}
	if got := records[1].String(); got != "small (line 4)" {
		t.Errorf("it is called %q", got)
	}
	records, err = ReadRecords("r.jsonl", strings.NewReader(recordLine(`"recipe"`, `"epochs": 90.5, "derived": true, "recipe"`)))
	if err != nil || records[0].Epochs != 90.5 || !records[0].Derived {
		t.Errorf("read %+v: %v", records, err)
	}
}

func TestReadRecordsRefuses(t *testing.T) {
	for _, c := range []struct{ name, line, want string }{
		{"no JSON", "accuracy: 0.5", `r.jsonl:2:1: not a JSON object, of which there is one a line`},
		{"half a line", recordLine(`"source": "a test"}`, ""), `not a JSON object`},
		{"a list", "[1]", `r.jsonl:2:1: a record must be a map of keys and values, found a list`},
		{"unknown key", recordLine(`"source"`, `"sorce"`), `a record: unknown key "sorce"; did you mean "source"? (allowed: accuracy, architecture, dataset, derived, epochs, recipe, source)`},
		{"duplicate key", recordLine(`"recipe": "ours"`, `"recipe": "ours", "recipe": "x"`), `the key "recipe" stands twice`},
		{"no recipe", recordLine(`, "recipe": "ours"`, ``), `a record has no "recipe"`},
		{"empty recipe", recordLine(`"ours"`, `""`), `"recipe" must not be empty`},
		{"recipe is a number", recordLine(`"ours"`, `1`), `"recipe" must be a string, found 1`},
		{"accuracy in percent", recordLine(`0.75`, `75`), `"accuracy" must be from 0 to 1, found 75`},
		{"negative accuracy", recordLine(`0.75`, `-0.1`), `"accuracy" must be from 0 to 1`},
		{"accuracy is NaN", recordLine(`0.75`, `NaN`), `not a JSON object`},
		{"accuracy is null", recordLine(`0.75`, `null`), `"accuracy" must be a number, found nothing`},
		{"accuracy is a string", recordLine(`0.75`, `"0.75"`), `"accuracy" must be a number, found the string "0.75"`},
		{"accuracy is NaN in words", recordLine(`0.75`, `"NaN"`), `"accuracy" must be a number, found the string "NaN"`},
		{"accuracy is too large for a number", recordLine(`0.75`, `1e400`), `1e400`},
		{"negative epochs", recordLine(`"recipe"`, `"epochs": -1, "recipe"`), `"epochs" must be from 0 to 1e+06, found -1`},
		{"too many epochs", recordLine(`"recipe"`, `"epochs": 1000001, "recipe"`), `"epochs" must be from 0 to 1e+06`},
		{"epochs in words", recordLine(`"recipe"`, `"epochs": "90", "recipe"`), `"epochs" must be a number, found the string "90"`},
		{"derived is a number", recordLine(`"recipe"`, `"derived": 1, "recipe"`), `"derived" must be true or false, found 1`},
		{"unknown block", recordLine(`"basic"`, `"basik"`), `did you mean "basic"?`},
		{"a space", recordLine(`"block":"basic","width":8`, `"block":"basic","width":[8,16]`), `so this is a space, not one network`},
		{"cannot be built", recordLine(`"block":"basic"`, `"block":"conv","groups":3`), `3 groups do not divide`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ReadRecords("r.jsonl", strings.NewReader(recordLine("", "")+"\n"+c.line+"\n"))
			var e *strict.Error
			if !errors.As(err, &e) || e.Pos.File != "r.jsonl" || e.Pos.Line != 2 || e.Pos.Column < 1 {
				t.Fatalf("got %v, want an error in r.jsonl, line 2", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
	if _, err := ReadRecords("r.jsonl", strings.NewReader(strings.Repeat(" ", 2<<20))); err == nil || !strings.Contains(err.Error(), "r.jsonl:1:1: the line is longer") {
		t.Errorf("of a long line: %v", err)
	}
}

func TestWriteRecordsRefuses(t *testing.T) {
	network, err := arch.Parse("small", []byte(smallArchitecture))
	if err != nil {
		t.Fatal(err)
	}
	good := Record{Network: network, Accuracy: 0.5, Dataset: "d", Recipe: "r"}
	for _, spoil := range []func(*Record){
		func(r *Record) { r.Network = nil },
		func(r *Record) { r.Accuracy = math.NaN() },
		func(r *Record) { r.Accuracy = 1.01 },
		func(r *Record) { r.Dataset = "" },
		func(r *Record) { r.Recipe = "" },
		func(r *Record) { r.Epochs = -1 },
		func(r *Record) { r.Epochs = math.Inf(1) },
	} {
		bad := good
		spoil(&bad)
		var b bytes.Buffer
		if err := WriteRecords(&b, []Record{good, bad}); err == nil || !strings.Contains(err.Error(), "record 2") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// Whatever is read is written such that it is read as the same.
func FuzzReadRecords(f *testing.F) {
	f.Add([]byte(recordLine("", "")))
	f.Add([]byte(recordLine(`"width":8}]`, `"width":{"blocks":[8,16]},"depth":2}]`) + "\n\n" + recordLine("0.75", "1e-3")))
	f.Add([]byte(recordLine("0.75", "1e400")))
	f.Add([]byte(recordLine(`"ours"`, `"\u00fcber \"x\" <&>: #\t\n"`)))
	f.Add([]byte(recordLine(`"recipe"`, `"epochs": 1000000, "derived": true, "recipe"`)))
	f.Add([]byte("[]\n{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		records, err := ReadRecords("f", bytes.NewReader(data))
		if err != nil {
			return
		}
		var first, second bytes.Buffer
		if err := WriteRecords(&first, records); err != nil {
			t.Fatal(err)
		}
		again, err := ReadRecords("f", bytes.NewReader(first.Bytes()))
		if err != nil {
			t.Fatalf("%v, of\n%s", err, &first)
		}
		if err := WriteRecords(&second, again); err != nil || first.String() != second.String() {
			t.Fatalf("%v\n%s\n%s", err, &first, &second)
		}
	})
}
