package strict

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/scanner"
	"github.com/goccy/go-yaml/token"
)

// MaxBytes is the largest file that is read. The largest network of the
// literature, written block by block, has a few ten kilobytes.
const MaxBytes = 1 << 20

// Bounds on what the parser is given.
const (
	maxDepth  = 32
	maxTokens = 1 << 15
	maxKey    = 256
)

// A Kind is what a node holds.
type Kind uint8

// The kinds of nodes.
const (
	Null Kind = iota
	Bool
	Int
	Float
	String
	List
	Map
)

func (k Kind) String() string {
	return [...]string{"nothing", "a boolean", "an integer", "a number", "a string", "a list", "a map"}[k]
}

// A Node is a value in a file, with its place.
type Node struct {
	Pos
	Kind  Kind
	Bool  bool
	Int   int64
	Float float64 // also set for Int
	Text  string  // the scalar as written
	Items []*Node // of a list, or the values of a map
	Keys  []Key   // of a map, parallel to Items
}

// A Key is a key of a map.
type Key struct {
	Pos
	Name string
}

// ReadFile reads and parses the file at path.
func ReadFile(path string) (*Node, error) {
	data, err := ReadBytes(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// ReadBytes reads the file at path, but no more of it than it takes to see that
// it is too large for [Parse].
func ReadBytes(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, Pos{File: path}.Errorf("is a folder, not a file")
	}
	return io.ReadAll(io.LimitReader(f, MaxBytes+1))
}

// Parse parses one YAML or JSON document. The file name is for messages only.
//
// Whatever data holds, Parse answers soon and in little memory: tokenize bounds
// what the parser, whose time grows with the square of several things, gets to
// see.
func Parse(file string, data []byte) (_ *Node, err error) {
	whole := Pos{File: file}
	if len(data) > MaxBytes {
		return nil, whole.Errorf("the file is larger than %d KiB, the most that is read", MaxBytes>>10)
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if err := checkText(file, data); err != nil {
		return nil, err
	}
	defer func() {
		// The input is the user's, the parser is not ours: its panic is an error
		// in the file like any other. None is known.
		if r := recover(); r != nil {
			err = whole.Errorf("this cannot be read as YAML (%v)", r)
		}
	}()
	tokens, err := tokenize(file, data)
	if err != nil {
		return nil, err
	}
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey()) // convertMap refuses them in our words
	if err != nil {
		var syntax *yaml.SyntaxError
		if errors.As(err, &syntax) && syntax.Token != nil {
			return nil, at(file, syntax.Token).Errorf("%s%s", syntax.Message, hints[syntax.Message])
		}
		return nil, whole.Errorf("this cannot be read as YAML")
	}
	for _, d := range f.Docs {
		if d.Body != nil {
			node := new(Node)
			if err := convert(node, file, d.Body, 0); err != nil {
				return nil, err
			}
			return node, nil
		}
	}
	return nil, whole.Errorf("the file is empty")
}

// hints say what is behind messages of the YAML library that are about its
// grammar rather than about the file.
var hints = map[string]string{
	"mapping value is not allowed in this context":       "; is a line indented too far, or does text with a colon need quotes?",
	"value is not allowed in this context":               "; is a line not indented like its neighbours, or does text need quotes?",
	"non-map value is specified":                         "; is a colon missing after a key?",
	"unexpected key name":                                "; is a colon missing after a key?",
	"found an invalid key for this map":                  "; a key is a plain word",
	"found character '\t' that cannot start any token":   "; indent with spaces",
	"',' or ']' must be specified":                       "; a list that begins with [ is not closed before here",
	"',' or '}' must be specified":                       "; a map that begins with { is not closed before here",
	"could not find flow mapping end token '}'":          "; the map that begins here is not closed",
	"could not find flow map content":                    "; the map that begins here is not closed",
	"sequence end token ']' not found":                   "; the list that begins here is not closed",
	"could not find end character of double-quoted text": "; the quote that begins here is not closed",
	"could not find end character of single-quoted text": "; the quote that begins here is not closed",
}

// checkText refuses what no text file holds.
func checkText(file string, data []byte) error {
	line, column := 1, 0
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		column++
		switch {
		case r == '\n':
			line, column = line+1, 0
		case r == utf8.RuneError && n == 1:
			return Pos{file, line, column}.Errorf("the byte 0x%02x is no text in UTF-8", data[i])
		case r < ' ' && r != '\t' && r != '\r':
			return Pos{file, line, column}.Errorf("the control character 0x%02x does not belong into a text file", r)
		}
		i += n
	}
	return nil
}

// tokenize splits data into the tokens of one document and refuses those of
// the parts of YAML that are not supported, and more than the parser can take:
// too many, keys too long, nesting too deep.
func tokenize(file string, data []byte) (token.Tokens, error) {
	var s scanner.Scanner
	s.Init(string(data))
	var tokens token.Tokens
	var nest nesting
	started, ended := false, false // the document, by content or a header
	for {
		scanned, err := s.Scan()
		if err == io.EOF {
			return tokens, nil
		}
		for _, t := range scanned {
			pos := at(file, t)
			switch t.Type {
			case token.CommentType:
				continue
			case token.InvalidType:
				return nil, pos.Errorf("%s%s", t.Error, hints[t.Error])
			case token.AnchorType, token.AliasType:
				return nil, pos.Errorf("anchors (&) and aliases (*) are not supported; write the value out")
			case token.TagType:
				return nil, pos.Errorf("tags (!) are not supported; put text that begins with ! in quotes")
			case token.DirectiveType:
				return nil, pos.Errorf("directives (%%) are not supported; put text that begins with %% in quotes")
			case token.MappingKeyType:
				return nil, pos.Errorf("complex keys (?) are not supported; put text that begins with ? in quotes")
			case token.MergeKeyType:
				return nil, pos.Errorf("merge keys (<<) are not supported; write the values out")
			case token.DocumentEndType:
				ended = true
				continue // the parser need not know
			}
			if ended || started && t.Type == token.DocumentHeaderType {
				return nil, pos.Errorf("a second document in one file; write one document a file")
			}
			started = true
			if t.Type == token.DocumentHeaderType {
				continue
			}
			if n := len(tokens); t.Type == token.MappingValueType && n > 0 && len(tokens[n-1].Value) > maxKey {
				return nil, at(file, tokens[n-1]).Errorf("a key of more than %d bytes", maxKey)
			}
			if len(tokens) == maxTokens {
				return nil, pos.Errorf("more than %d words and signs, the most that is read", maxTokens)
			}
			if nest.add(t); nest.depth() > maxDepth {
				return nil, pos.Errorf("nested deeper than %d levels", maxDepth)
			}
			tokens.Add(t)
		}
		if err != nil && len(scanned) == 0 {
			return nil, Pos{File: file}.Errorf("%s", firstLine(err.Error()))
		}
	}
}

// nesting follows how deep the tokens of a document are nested: in flow style
// by the brackets, in block style by the columns of the entries and keys.
type nesting struct {
	flow    int
	columns []int        // of the open lists and maps in block style, ascending
	last    *token.Token // the token before
}

func (n *nesting) depth() int { return n.flow + len(n.columns) }

func (n *nesting) add(t *token.Token) {
	last := n.last
	n.last = t
	switch t.Type {
	case token.SequenceStartType, token.MappingStartType:
		n.flow++
	case token.SequenceEndType, token.MappingEndType:
		n.flow = max(n.flow-1, 0)
	case token.SequenceEntryType:
		n.open(t)
	case token.MappingValueType:
		if last != nil {
			n.open(last)
		}
	}
}

// open notes that a list or a map goes on, or begins, at the column of t.
func (n *nesting) open(t *token.Token) {
	if n.flow > 0 {
		return // the brackets count
	}
	column := t.Position.Column
	for len(n.columns) > 0 && n.columns[len(n.columns)-1] > column {
		n.columns = n.columns[:len(n.columns)-1]
	}
	if k := len(n.columns); k == 0 || n.columns[k-1] < column {
		n.columns = append(n.columns, column)
	}
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

func at(file string, t *token.Token) Pos {
	if t == nil || t.Position == nil {
		return Pos{File: file}
	}
	return Pos{file, t.Position.Line, t.Position.Column}
}

// convert writes what n holds to node.
func convert(node *Node, file string, n ast.Node, depth int) error {
	node.Pos = at(file, n.GetToken())
	if depth > maxDepth {
		return node.Errorf("nested deeper than %d levels", maxDepth)
	}
	switch n := n.(type) {
	case *ast.NullNode:
		node.Kind, node.Text = Null, "null"
	case *ast.BoolNode:
		node.Kind, node.Bool, node.Text = Bool, n.Value, n.Token.Value
	case *ast.IntegerNode, *ast.FloatNode:
		return convertNumber(node, n.GetToken().Value)
	case *ast.StringNode:
		if n.Token.Type == token.StringType && number.MatchString(n.Value) {
			return convertNumber(node, n.Value) // 1e5, a number in JSON but not in YAML 1.1
		}
		node.Kind, node.Text = String, n.Value
	case *ast.LiteralNode:
		node.Kind, node.Text = String, n.Value.Value
	case *ast.SequenceNode:
		node.Kind = List
		for _, item := range n.Values {
			child := new(Node)
			if err := convert(child, file, item, depth+1); err != nil {
				return err
			}
			node.Items = append(node.Items, child)
		}
	case *ast.MappingNode:
		node.Pos = mapStart(file, n)
		return convertMap(node, file, n.Values, depth)
	case *ast.MappingValueNode:
		node.Pos = at(file, n.Key.GetToken())
		return convertMap(node, file, []*ast.MappingValueNode{n}, depth)
	default: // .inf and .nan; the rest of YAML does not come through tokenize
		return node.Errorf("%s is not supported here", n.GetToken().Value)
	}
	return nil
}

var number = regexp.MustCompile(`^[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?$`)

// convertNumber reads a number. It takes decimal numbers only: what YAML makes
// of 010 (8) or 1_0 (10) is not what everybody reads there.
func convertNumber(node *Node, text string) error {
	node.Text = text
	digits := strings.TrimLeft(text, "+-")
	if len(digits) > 1 && digits[0] == '0' && digits[1] != '.' && digits[1] != 'e' && digits[1] != 'E' || strings.Contains(text, "_") {
		return node.Errorf("%s is no plain decimal number; if it is text, put it in quotes", text)
	}
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		node.Kind, node.Int, node.Float = Int, i, float64(i)
		return nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || strings.Trim(digits, "0123456789") == "" { // an integer too large for one
		return node.Errorf("%s is out of range", text)
	}
	node.Kind, node.Float = Float, f
	return nil
}

// mapStart is where a person sees the map begin: its brace or its first key.
func mapStart(file string, n *ast.MappingNode) Pos {
	if !n.IsFlowStyle && len(n.Values) > 0 {
		return at(file, n.Values[0].Key.GetToken())
	}
	return at(file, n.Start)
}

func convertMap(node *Node, file string, values []*ast.MappingValueNode, depth int) error {
	node.Kind = Map
	lines := make(map[string]int, len(values)) // where a key stands
	for _, v := range values {
		pos := at(file, v.Key.GetToken())
		if _, ok := v.Key.(ast.ScalarNode); !ok {
			return pos.Errorf("a key must be a plain word")
		}
		name := v.Key.GetToken().Value
		if line, twice := lines[name]; twice {
			return pos.Errorf("the key %q stands twice, first in line %d", name, line)
		}
		lines[name] = pos.Line
		child := new(Node)
		if err := convert(child, file, v.Value, depth+1); err != nil {
			return err
		}
		node.Keys = append(node.Keys, Key{pos, name})
		node.Items = append(node.Items, child)
	}
	return nil
}

// Describe says in words what the node holds, for messages.
func (n *Node) Describe() string {
	switch n.Kind {
	case List, Map:
		if len(n.Items) == 0 {
			return "an empty " + strings.TrimPrefix(n.Kind.String(), "a ")
		}
		return n.Kind.String()
	case Null:
		return n.Kind.String()
	case String:
		return fmt.Sprintf("the string %q", n.Text)
	}
	return n.Text
}
