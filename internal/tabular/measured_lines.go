package tabular

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/internal/strict"
)

// lines reads lines of JSON, one network a line.
func (g *gatherer) lines(data []byte, key string) error {
	key = cmp.Or(key, architectureKey)
	for n := 1; len(data) > 0; n++ {
		var line []byte
		line, data, _ = bytes.Cut(data, []byte("\n"))
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if err := g.line(n, line, key); err != nil {
			return atLine(g.file, n, err)
		}
	}
	return nil
}

// line reads line n. Its mistakes are placed in line 1.
func (g *gatherer) line(n int, line []byte, key string) error {
	if len(line) > strict.MaxBytes {
		return strict.Pos{File: g.file, Line: 1, Column: 1}.Errorf("the line is longer than %d KiB, the most that is read", strict.MaxBytes>>10)
	}
	node, err := parseJSON(g.file, line, "no JSON object, of which there is one a line")
	if err != nil {
		return err
	}
	f := node.Fields("a measured network")
	f.Require(accuracyKey)
	accuracy := f.Float(accuracyKey, 0, 0, 1)
	training := [3]string{}
	for i, name := range trainingKeys {
		if v := f.Get(name); v != nil {
			training[i] = v.Text
		}
	}
	architecture := f.Get(key)
	others, _ := f.Rest() // need not be known
	if err := f.Done(); err != nil {
		return err
	}
	if architecture == nil {
		names := make([]string, len(others))
		for i := range others {
			names[i] = others[i].Name
		}
		return node.Errorf("%s", strict.Unknown("key", key, names))
	}
	if i, same := g.sameTraining(n, training); !same {
		at := node.Pos
		if v := f.Get(trainingKeys[i]); v != nil {
			at = v.Pos
		}
		return at.Errorf(otherTraining, trainingKeys[i], training[i], g.training[i], g.since)
	}
	net, err := networkOf(architecture)
	if err == nil {
		g.add(strict.Pos{File: g.file, Line: n, Column: 1}, net, accuracy)
	}
	return err
}

// parseJSON parses a JSON value: strict alone takes YAML too. If it is none, not
// says so.
func parseJSON(file string, text []byte, not string) (*strict.Node, error) {
	if err := json.Unmarshal(text, new(json.RawMessage)); err != nil {
		at := strict.Pos{File: file, Line: 1, Column: 1}
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			before := text[:min(max(int(syntax.Offset)-1, 0), len(text))]
			at.Line += bytes.Count(before, []byte("\n"))
			at.Column = len(bytes.Runes(before[bytes.LastIndexByte(before, '\n')+1:])) + 1
		}
		return nil, at.Errorf("%s: %v", not, err)
	}
	return strict.Parse(file, text)
}

// networkOf returns the network that an architecture describes, which can be
// built.
func networkOf(node *strict.Node) (*arch.Network, error) {
	t, err := arch.TemplateFrom(node)
	if err != nil {
		return nil, err
	}
	return t.Network()
}

// atLine moves a mistake from line 1 to the given one.
func atLine(file string, line int, err error) error {
	at := strict.Pos{File: file, Line: line, Column: 1}
	var e *strict.Error
	if !errors.As(err, &e) {
		return at.Errorf("%v", err)
	}
	at.Column = max(e.Pos.Column, 1)
	return at.Errorf("%s", e.Message)
}
