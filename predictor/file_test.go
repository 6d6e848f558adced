package predictor

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoadRefuses(t *testing.T) {
	// forged is the embedded file with its content changed and a right checksum.
	forged := func(old, replacement string) string {
		var e envelope
		if err := json.Unmarshal(imagenetFile, &e); err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(e.Predictor, []byte(old)) {
			t.Fatalf("no %s in the file", old)
		}
		e.Predictor = bytes.Replace(e.Predictor, []byte(old), []byte(replacement), 1)
		e.SHA256 = checksum(e.Predictor)
		out, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	good := string(imagenetFile)
	for _, c := range []struct{ name, file, want string }{
		{"empty", "", "not a predictor's file"},
		{"foreign", `{"name": "mobilenet_v2"}`, "not a predictor's file"},
		{"foreign, no JSON", "accuracy: 1", "not a predictor's file"},
		{"another's", strings.Replace(good, fileFormat, "other predictor", 1), "not a predictor's file"},
		{"cut off", good[:len(good)/2], "damaged: it is no whole JSON object"},
		{"a digit changed", strings.Replace(good, `"task":4`, `"task":3`, 1), "damaged: its checksum does not match"},
		{"newer", strings.Replace(good, `"version":1`, `"version":2, "new": {}`, 1), "written by a newer version of nas (format 2; this one reads up to 1)"},
		{"version 0", strings.Replace(good, `"version":1`, `"version":0`, 1), "damaged: version 0"},
		{"other features", forged(`"log_macs"`, `"log_flops"`), "reads other features"},
		{"other target", forged(`"log_error"`, `"logit"`), `predicts "logit"`},
		{"other model", forged(`"gp"`, `"trees"`), `of the kind "trees"`},
		{"unknown key", forged(`"kind"`, `"x":1,"kind"`), `unknown field "x"`},
		{"no such task", forged(`"task":0`, `"task":8`), "contradicts itself"},
		{"no noise", forged(`"noise":`, `"noise":0,"noise":-`), "contradicts itself"},
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
	if p.Dataset() != "imagenet" || p.Records() != 194 {
		t.Errorf("%q, %d records", p.Dataset(), p.Records())
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

func FuzzLoad(f *testing.F) {
	f.Add([]byte(imagenetFile))
	f.Add([]byte(`{"format":"efficientnas predictor","version":1,"sha256":"","predictor":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := Load("f", bytes.NewReader(data)); (p == nil) == (err == nil) {
			t.Errorf("%v, %v", p, err)
		}
	})
}
