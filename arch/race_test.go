//go:build race

package arch_test

func init() { raceEnabled = true }
