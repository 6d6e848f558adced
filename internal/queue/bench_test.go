package queue

import (
	"sync"
	"testing"
)

// BenchmarkQueue puts 10,000 trials that take no time through a server that
// writes them to disk, with four workers.
func BenchmarkQueue(b *testing.B) {
	const trials, submitters = 10_000, 64
	s := serve(b, ServerOptions{})
	for range 4 {
		work(b, connect(b, s), Worker{Slots: 16, run: instant})
	}
	q, events := coordinate(b, connect(b, s), Study{ID: NewID()})
	b.ReportAllocs()
	round := 0
	for b.Loop() {
		first := round * trials
		round++
		var all sync.WaitGroup
		for i := range submitters {
			all.Go(func() {
				for n := i; n < trials; n += submitters {
					if err := q.Submit(b.Context(), job(first+n, 1)); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		seen := make(map[int]bool)
		for _, e := range ends(b, events, trials) {
			seen[e.Trial] = true
		}
		all.Wait()
		if len(seen) != trials {
			b.Fatalf("%d of %d trials were measured", len(seen), trials)
		}
	}
	b.ReportMetric(float64(round*trials)/b.Elapsed().Seconds(), "trials/s")
}
