package runner

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
	"github.com/efficientnas/nas/internal/strict"
	"github.com/efficientnas/nas/space"
)

// OpenNetwork returns the network that name stands for: a reference network, an
// architecture file, or DIR#ID for a member of a results folder's front.
func OpenNetwork(name string) (*arch.Network, error) {
	if slices.Contains(arch.References(), name) {
		return arch.Reference(name)
	}
	if dir, id, ok := strings.Cut(name, "#"); ok {
		r, err := ReadResults(dir)
		if err != nil {
			return nil, err
		}
		var ids []string
		for i := range r.Front {
			if r.Front[i].ID == id {
				return r.Front[i].Network, nil
			}
			ids = append(ids, r.Front[i].ID)
		}
		if near := strict.Nearest(id, ids); near != "" {
			return nil, strict.Pos{File: dir}.Errorf("no network %q on the front; did you mean %q?", id, near)
		}
		return nil, strict.Pos{File: dir}.Errorf("no network %q on the front; `nas show %s` lists them", id, dir)
	}
	n, err := arch.Read(name)
	if errors.Is(err, fs.ErrNotExist) && !strings.ContainsAny(name, "/.\\") {
		return nil, strict.Pos{}.Errorf("%s, and no file has this name", strict.Unknown("reference network", name, arch.References()))
	}
	if err != nil {
		return nil, err
	}
	if n.Name == "" {
		n.Name = name
	}
	return n, nil
}

// OpenSpace returns the configuration in the file at path, or, if it is a space
// file, one of which only the space is set. Constraints that no network meets are
// not refused: see [Config.Survey].
func OpenSpace(path string) (*Config, error) {
	node, err := strict.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(node.Keys, func(k strict.Key) bool { return k.Name == "space" }) {
		return readConfig(path)
	}
	s, err := space.From(node)
	if err != nil {
		return nil, err
	}
	return &Config{Name: s.Name(), Space: s, Precision: cost.FP32, bounds: costBounds(s, cost.FP32)}, nil
}
