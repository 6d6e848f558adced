package strict

import "slices"

// Fields reads the keys of a map. The methods return the zero value, or the
// given default, for a key that is not there, and keep the first error for
// [Fields.Done]: a reader asks for every key it knows and then looks once.
type Fields struct {
	node  *Node
	what  string
	known []string
	err   error
}

// Fields reads n as a map; what names it in messages ("a stage").
func (n *Node) Fields(what string) *Fields {
	f := &Fields{node: n, what: what}
	if n.Kind != Map {
		f.err = n.Errorf("%s must be a map of keys and values, found %s", what, n.Describe())
	}
	return f
}

// Get returns the value of key, or nil.
func (f *Fields) Get(key string) *Node {
	f.known = append(f.known, key)
	if f.node.Kind != Map {
		return nil
	}
	for i, k := range f.node.Keys {
		if k.Name == key {
			return f.node.Items[i]
		}
	}
	return nil
}

// Rest returns the keys that nobody has asked for, with their values, and
// marks them as asked for.
func (f *Fields) Rest() ([]Key, []*Node) {
	var keys []Key
	var values []*Node
	if f.node.Kind != Map {
		return nil, nil
	}
	for i, k := range f.node.Keys {
		if !slices.Contains(f.known, k.Name) {
			keys, values = append(keys, k), append(values, f.node.Items[i])
		}
	}
	for _, k := range keys {
		f.known = append(f.known, k.Name)
	}
	return keys, values
}

// Fail records err, if it is one, unless an earlier error is recorded.
func (f *Fields) Fail(err error) {
	if f.err == nil && err != nil {
		f.err = err
	}
}

// Require records an error if key is not there.
func (f *Fields) Require(key string) {
	if f.Get(key) == nil {
		f.Fail(f.node.Errorf("%s has no %q", f.what, key))
	}
}

// Text returns the string at key.
func (f *Fields) Text(key, def string) string {
	n := f.Get(key)
	if n == nil {
		return def
	}
	if n.Kind != String {
		f.Fail(n.Errorf("%q must be a string, found %s", key, n.Describe()))
	}
	return n.Text
}

// Int returns the integer at key, between least and greatest.
func (f *Fields) Int(key string, def, least, greatest int) int {
	n := f.Get(key)
	if n == nil {
		return def
	}
	if n.Kind != Int {
		f.Fail(n.Errorf("%q must be an integer, found %s", key, n.Describe()))
		return def
	}
	if n.Int < int64(least) || n.Int > int64(greatest) {
		f.Fail(n.Errorf("%q must be from %d to %d, found %d", key, least, greatest, n.Int))
		return def
	}
	return int(n.Int)
}

// Float returns the number at key, between least and greatest.
func (f *Fields) Float(key string, def, least, greatest float64) float64 {
	n := f.Get(key)
	if n == nil {
		return def
	}
	if n.Kind != Int && n.Kind != Float {
		f.Fail(n.Errorf("%q must be a number, found %s", key, n.Describe()))
		return def
	}
	if n.Float < least || n.Float > greatest {
		f.Fail(n.Errorf("%q must be from %v to %v, found %s", key, least, greatest, n.Text))
		return def
	}
	return n.Float
}

// Bool returns the boolean at key.
func (f *Fields) Bool(key string, def bool) bool {
	n := f.Get(key)
	if n == nil {
		return def
	}
	if n.Kind != Bool {
		f.Fail(n.Errorf("%q must be true or false, found %s", key, n.Describe()))
	}
	return n.Bool
}

// Done refuses the keys that nobody asked for and returns the first error of
// the map, in the order of the file for unknown keys.
func (f *Fields) Done() error {
	if f.node.Kind == Map {
		for _, k := range f.node.Keys {
			if !slices.Contains(f.known, k.Name) {
				known := slices.Clone(f.known)
				slices.Sort(known)
				return k.Errorf("%s: %s", f.what, Unknown("key", k.Name, slices.Compact(known)))
			}
		}
	}
	return f.err
}
