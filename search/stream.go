package search

import "math/rand/v2"

// A purpose keeps streams for different uses apart.
type purpose uint64

const (
	forSample purpose = iota + 1
	forOffspring
	forNeighbors
)

// seedStream points source to the stream of (seed, purpose, generation, index).
// The four are mixed one by one with the finalizer of SplitMix64 (Steele, Lea and
// Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014), a
// bijection in which each bit of the input changes half of the output.
func seedStream(source *rand.PCG, seed uint64, p purpose, generation, index int) {
	h := mix(seed)
	h = mix(h ^ uint64(p))
	h = mix(h ^ uint64(generation))
	h = mix(h ^ uint64(index))
	source.Seed(h, mix(h))
}

func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
