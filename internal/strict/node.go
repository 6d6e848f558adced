package strict

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// MaxBytes is the largest file that is read. The largest network of the
// literature, written block by block, has a few ten kilobytes.
const MaxBytes = 1 << 20

const maxDepth = 32

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
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// Parse parses one YAML or JSON document. The file name is for messages only.
func Parse(file string, data []byte) (*Node, error) {
	whole := Pos{File: file}
	if len(data) > MaxBytes {
		return nil, whole.Errorf("the file is larger than %d KiB, the most that is read", MaxBytes>>10)
	}
	if err := checkNesting(file, data); err != nil {
		return nil, err
	}
	f, err := parser.ParseBytes(data, 0)
	if err != nil {
		var syntax *yaml.SyntaxError
		if errors.As(err, &syntax) && syntax.Token != nil {
			return nil, at(file, syntax.Token).Errorf("%s", syntax.Message)
		}
		return nil, whole.Errorf("%s", firstLine(err.Error()))
	}
	var docs []*ast.DocumentNode
	for _, d := range f.Docs {
		if d.Body != nil {
			docs = append(docs, d)
		}
	}
	switch len(docs) {
	case 0:
		return nil, whole.Errorf("the file is empty")
	case 1:
		return convert(file, docs[0].Body, 0)
	}
	return nil, at(file, docs[1].Body.GetToken()).Errorf("a second document in one file; write one document a file")
}

// checkNesting bounds the nesting before the parser recurses into it.
func checkNesting(file string, data []byte) error {
	depth, line, column := 0, 1, 0
	for _, c := range data {
		column++
		switch c {
		case '[', '{':
			if depth++; depth > maxDepth {
				return Pos{file, line, column}.Errorf("nested deeper than %d levels", maxDepth)
			}
		case ']', '}':
			depth--
		case '\n':
			line, column = line+1, 0
		}
	}
	return nil
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

func convert(file string, n ast.Node, depth int) (*Node, error) {
	pos := at(file, n.GetToken())
	if depth > maxDepth {
		return nil, pos.Errorf("nested deeper than %d levels", maxDepth)
	}
	node := &Node{Pos: pos}
	switch n := n.(type) {
	case *ast.NullNode:
		node.Kind, node.Text = Null, "null"
	case *ast.BoolNode:
		node.Kind, node.Bool, node.Text = Bool, n.Value, n.Token.Value
	case *ast.IntegerNode:
		node.Kind, node.Text = Int, n.Token.Value
		switch v := n.Value.(type) {
		case int64:
			node.Int = v
		case uint64:
			if v > math.MaxInt64 {
				return nil, pos.Errorf("%s is out of range", n.Token.Value)
			}
			node.Int = int64(v)
		}
		node.Float = float64(node.Int)
	case *ast.FloatNode:
		node.Kind, node.Float, node.Text = Float, n.Value, n.Token.Value
	case *ast.InfinityNode, *ast.NanNode:
		return nil, pos.Errorf("%s is no number that can be used here", n.GetToken().Value)
	case *ast.StringNode:
		node.Kind, node.Text = String, n.Value
	case *ast.LiteralNode:
		node.Kind, node.Text = String, n.Value.Value
	case *ast.SequenceNode:
		node.Kind = List
		for _, item := range n.Values {
			child, err := convert(file, item, depth+1)
			if err != nil {
				return nil, err
			}
			node.Items = append(node.Items, child)
		}
	case *ast.MappingNode:
		node.Pos = mapStart(file, n)
		return node, convertMap(node, file, n.Values, depth)
	case *ast.MappingValueNode:
		node.Pos = at(file, n.Key.GetToken())
		return node, convertMap(node, file, []*ast.MappingValueNode{n}, depth)
	case *ast.AnchorNode, *ast.AliasNode:
		return nil, pos.Errorf("anchors (&) and aliases (*) are not supported; write the value out")
	case *ast.TagNode:
		return nil, pos.Errorf("tags (!) are not supported")
	default:
		return nil, pos.Errorf("%s is not supported here", strings.ToLower(n.Type().String()))
	}
	return node, nil
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
	for _, v := range values {
		pos := at(file, v.Key.GetToken())
		key, ok := v.Key.(ast.ScalarNode)
		if _, merge := v.Key.(*ast.MergeKeyNode); !ok || merge {
			return pos.Errorf("a key must be a plain word")
		}
		name := fmt.Sprint(key.GetValue())
		for i, k := range node.Keys {
			if k.Name == name {
				return pos.Errorf("the key %q stands twice, first in line %d", name, node.Keys[i].Line)
			}
		}
		child, err := convert(file, v.Value, depth+1)
		if err != nil {
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
	case Null, List, Map:
		return n.Kind.String()
	case String:
		return fmt.Sprintf("the string %q", n.Text)
	}
	return n.Text
}
