package predictor

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestLoadRefuses(t *testing.T) {
	// forged is the embedded file with its content changed.
	forged := func(old, replacement string) string {
		var e envelope
		if err := json.Unmarshal(imagenetFile, &e); err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(e.Predictor, []byte(old)) {
			t.Fatalf("no %s in the file", old)
		}
		file := forge(t, bytes.Replace(e.Predictor, []byte(old), []byte(replacement), 1))
		if file == nil {
			t.Fatalf("with %s it is no JSON", replacement)
		}
		return string(file)
	}
	good := string(imagenetFile)
	for _, c := range []struct{ name, file, want string }{
		{"empty", "", "not a predictor's file"},
		{"foreign", `{"name": "mobilenet_v2"}`, "not a predictor's file"},
		{"foreign, no JSON", "accuracy: 1", "not a predictor's file"},
		{"another's", strings.Replace(good, fileFormat, "other predictor", 1), "not a predictor's file"},
		{"cut off", good[:len(good)/2], "damaged: it is no whole JSON object"},
		{"a digit changed", strings.Replace(good, `"task":4`, `"task":3`, 1), "damaged: its checksum does not match"},
		{"newer", strings.Replace(good, `"version":2`, `"version":3, "new": {}`, 1), "written by a newer version of nas (format 3; this one reads up to 2)"},
		{"older", strings.Replace(good, `"version":2`, `"version":1`, 1), "written by an older version of nas (format 1, this one reads 2); train it again"},
		{"version 0", strings.Replace(good, `"version":2`, `"version":0`, 1), "damaged: version 0"},
		{"other features", forged(`"log_macs"`, `"log_flops"`), "looks at other things than this version of nas computes (log_flops, log_params, "},
		{"other target", forged(`"log_error"`, `"logit"`), `predicts "logit"`},
		{"other model", forged(`"kind":"gp"`, `"kind":"trees"`), "contradicts itself: the model in it contradicts itself; train it again"},
		{"unknown key", forged(`"kind"`, `"x":1,"kind"`), `unknown field "x"`},
		{"no such task", forged(`"task":0`, `"task":9`), "contradicts itself"},
		{"no noise", forged(`"noise":`, `"noise":-`), "contradicts itself"},
		{"a short row", forged(`"inputs":[`, `"inputs":[],"x":[`), "damaged"},
		{"no such recipe", forged(`"recipe":"imgclsmob"`, `"recipe":"x"`), "contradicts itself"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load("p.json", strings.NewReader(c.file))
			if err == nil || !strings.HasPrefix(err.Error(), "p.json: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// A file of which a byte was changed, added, or lost, or the end, is refused and not
// taken for another predictor.
func TestLoadRefusesDamage(t *testing.T) {
	refused := func(what string, at int, data []byte) {
		t.Helper()
		if p, err := Load("p.json", bytes.NewReader(data)); p != nil || err == nil {
			t.Errorf("%s at byte %d of %d: loaded", what, at, len(imagenetFile))
		}
	}
	last := len(imagenetFile) - 1 // a new line
	if imagenetFile[last] != '\n' {
		t.Fatal("the file does not end with a new line")
	}
	// All of the beginning, and then here and there.
	for at := 0; at < last; at += 1 + at/40 {
		for _, b := range []byte{imagenetFile[at] ^ 1, imagenetFile[at] ^ 0x80, 0} {
			damaged := bytes.Clone(imagenetFile)
			damaged[at] = b
			refused("changed", at, damaged)
		}
		refused("added", at, slices.Insert(bytes.Clone(imagenetFile), at, '1'))
		refused("lost", at, slices.Delete(bytes.Clone(imagenetFile), at, at+1))
		refused("cut off", at, imagenetFile[:at])
	}
	refused("something added", last, append(bytes.Clone(imagenetFile), "{}"...))
}

// forge returns a predictor's file with the given content and a right checksum.
func forge(t testing.TB, body []byte) []byte {
	t.Helper()
	var compact bytes.Buffer
	if err := json.Compact(&compact, body); err != nil {
		return nil
	}
	out, err := json.Marshal(envelope{fileFormat, fileVersion, checksum(compact.Bytes()), compact.Bytes()})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A predictor that looks at genes is saved with its space.
func TestSaveWithGenes(t *testing.T) {
	records := smallSpaceRecords(t)
	for _, inputs := range [][]Input{{Ordinal}, {OneHot, Sizes}, {Features, Ordinal, Pairs}} {
		p := trainedOn(t, records, Options{Inputs: inputs, Space: smallSpace(t)})
		var first, second bytes.Buffer
		if err := p.Save(&first); err != nil {
			t.Fatal(err)
		}
		q, err := Load("saved", bytes.NewReader(first.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Save(&second); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("%v: saved again, it differs (%v)", inputs, err)
		}
		if !slices.Equal(q.Inputs(), p.Inputs()) {
			t.Errorf("%v: loaded, it looks at %v", inputs, q.Inputs())
		}
		want, err := p.PredictRecords(records)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := q.PredictRecords(records); err != nil || !slices.Equal(got, want) {
			t.Errorf("%v: loaded, it predicts otherwise (%v)", inputs, err)
		}
		other := network(t, strings.Replace(smallNetworks["whole"], `"expansion":4`, `"expansion":3`, 1))
		if _, err := q.Predict(other, Training{}); err == nil || !strings.Contains(err.Error(), "is not of the space") {
			t.Errorf("%v: loaded, it takes networks that are not of the space: %v", inputs, err)
		}
		var e envelope
		if err := json.Unmarshal(first.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		for old, replacement := range map[string]string{
			`"resolution":[32,48]`: `"resolution":[32,64]`,
			`"space":`:             `"spice":`,
			`"inverted"`:           `"inverse"`,
		} {
			if !bytes.Contains(e.Predictor, []byte(old)) {
				t.Fatalf("no %s in %.2000s", old, e.Predictor)
			}
			if _, err := Load("forged", bytes.NewReader(forge(t, bytes.Replace(e.Predictor, []byte(old), []byte(replacement), 1)))); err == nil && inputs[0] == OneHot {
				t.Errorf("%v: with %s instead of %s it is loaded", inputs, replacement, old)
			}
		}
	}
}

func TestLoadTakesWhiteSpace(t *testing.T) {
	var b bytes.Buffer
	if err := json.Indent(&b, imagenetFile, "", "  "); err != nil {
		t.Fatal(err)
	}
	if _, err := Load("indented", &b); err != nil {
		t.Error(err)
	}
}

func TestOpen(t *testing.T) {
	p, err := Open("imagenet")
	if err != nil {
		t.Fatal(err)
	}
	if p.Usual().Dataset != "imagenet" || p.Records() != 194+50 { // derived ones
		t.Errorf("%q, %d records", p.Usual().Dataset, p.Records())
	}
	path := filepath.Join(t.TempDir(), "p.json")
	if err := os.WriteFile(path, imagenetFile, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err != nil {
		t.Error(err)
	}
	if _, err := Open(path + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a missing file: %v", err)
	}
}

// A predictor that looks at epochs must know how many are usual.
func TestLoadRefusesNoUsualEpochs(t *testing.T) {
	records := byOneRecipe(t, 12)
	for i := range records {
		records[i].Epochs = float64(10 + i)
	}
	var b bytes.Buffer
	if err := trainedOn(t, records, Options{}).Save(&b); err != nil {
		t.Fatal(err)
	}
	var e envelope
	if err := json.Unmarshal(b.Bytes(), &e); err != nil {
		t.Fatal(err)
	}
	for replacement, ok := range map[string]bool{`"epochs":21`: true, `"epochs":0`: false, `"epochs":-21`: false, `"epochs":1e7`: false} {
		_, err := Load("forged", bytes.NewReader(forge(t, bytes.Replace(e.Predictor, []byte(`"epochs":21`), []byte(replacement), 1))))
		if (err == nil) != ok {
			t.Errorf("usually %s: %v", replacement, err)
		}
	}
}

// mutated returns a JSON value of which one part, drawn at random, is another, or
// gone, or there twice.
func mutated(t *rapid.T, v any) any {
	other := func() any {
		return rapid.SampledFrom([]any{nil, true, 0., 1., -1., 0.5, 3., 1e5, 1e12, 1e300, "", "x", []any{}, []any{1.}, map[string]any{}}).Draw(t, "other")
	}
	switch v := v.(type) {
	case map[string]any:
		keys := slices.Sorted(maps.Keys(v))
		if len(keys) == 0 {
			return other()
		}
		key := rapid.SampledFrom(keys).Draw(t, "key")
		if rapid.IntRange(0, 5).Draw(t, "here") == 0 {
			delete(v, key)
			return v
		}
		v[key] = mutated(t, v[key])
		return v
	case []any:
		if len(v) == 0 {
			return []any{other()}
		}
		at := rapid.IntRange(0, len(v)-1).Draw(t, "at")
		switch rapid.IntRange(0, 8).Draw(t, "what") {
		case 0:
			return slices.Delete(v, at, at+1)
		case 1:
			return slices.Insert(v, at, v[at])
		case 2:
			return v[:at]
		}
		v[at] = mutated(t, v[at])
		return v
	}
	return other()
}

// Whatever the content is under a right checksum, it is refused or can be used.
func TestLoadIsCarefulWithForgedFiles(t *testing.T) {
	small, genes := smallRecords(t, 12), smallSpaceRecords(t)[:10]
	for i := range genes {
		genes[i].Epochs, genes[i].Dataset = float64(10+i), []string{"cifar10", "svhn"}[i%2]
	}
	gp, ridge := trainedOn(t, small, Options{}), trainedOn(t, small, Options{Model: Ridge})
	stacked := trainedOn(t, small, Options{})
	stacked.model = &stack{[]model{gp.model, ridge.model}, []float64{0.4, 0.6}}
	net := network(t, smallNetworks["whole"])
	for name, p := range map[string]*Predictor{
		"gp": gp, "ridge": ridge, "stack": stacked, "trees": trainedOn(t, small, Options{Model: Trees}),
		"neural": neuralOn(t, small), "genes": trainedOn(t, genes, Options{Inputs: []Input{OneHot, Ordinal}, Space: smallSpace(t)}),
	} {
		var file bytes.Buffer
		var e envelope
		if err := p.Save(&file); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(file.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				var content any
				if err := json.Unmarshal(e.Predictor, &content); err != nil {
					t.Fatal(err)
				}
				for range rapid.IntRange(1, 2).Draw(t, "mutations") {
					content = mutated(t, content)
				}
				body, err := json.Marshal(content)
				if err != nil {
					t.Fatal(err)
				}
				out, err := json.Marshal(envelope{fileFormat, fileVersion, checksum(body), body})
				if err != nil {
					t.Fatal(err)
				}
				p, err := Load("forged", bytes.NewReader(out))
				if (p == nil) == (err == nil) {
					t.Fatalf("%v, %v", p, err)
				}
				if err != nil {
					return
				}
				for _, recipe := range append(p.Recipes(), "") {
					y, err := p.Predict(net, Training{Recipe: recipe})
					if err == nil && (math.IsNaN(y.Accuracy) || math.IsNaN(y.SD) || math.IsNaN(y.LogError)) {
						t.Fatalf("%s: %+v", recipe, y)
					}
				}
				if _, err := p.Nearest(net); err != nil {
					return
				}
				if err := p.Save(io.Discard); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// neuralOn returns a predictor by a neural network that learns quickly, and little.
func neuralOn(t testing.TB, records []Record) *Predictor {
	t.Helper()
	p, _, _, err := prepare(records, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := p.sample(p.family)
	p.origin = s.origin
	bare, err := quickNeural(s, 1)
	if err != nil {
		t.Fatal(err)
	}
	p.model = newTempered(bare, temper{0.1, 1, 0.1}, s)
	return p
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(imagenetFile))
	f.Add([]byte(`{"format":"efficientnas predictor","version":2,"sha256":"","predictor":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := Load("f", bytes.NewReader(data)); (p == nil) == (err == nil) {
			t.Errorf("%v, %v", p, err)
		}
	})
}
