package arch

import (
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/efficientnas/nas/internal/strict"
)

//go:embed networks/*.yaml
var networks embed.FS

// References returns the names of the embedded reference networks, sorted.
func References() []string {
	entries, err := networks.ReadDir("networks")
	if err != nil {
		return nil // the embedded folder is part of the program
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	slices.Sort(names)
	return names
}

// Reference returns the reference network of the given name: a network of the
// literature, with its paper and its published accuracy in About.
func Reference(name string) (*Network, error) {
	if !slices.Contains(References(), name) {
		return nil, fmt.Errorf("%s", strict.Unknown("reference network", name, References()))
	}
	file := path.Join("networks", name+".yaml")
	data, err := networks.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("arch: %w", err)
	}
	return Parse(file, data)
}
