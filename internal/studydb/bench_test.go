package studydb

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
)

// BenchmarkTrials takes 10,000 trials from the queue to their results: in calls of
// one by one goroutine, which waits for the disk each time; in calls of one by 64
// goroutines, which share the wait; and in calls of 64.
func BenchmarkTrials(b *testing.B) {
	const n = 10_000
	for _, how := range []struct{ goroutines, batch int }{{1, 1}, {64, 1}, {1, 64}} {
		b.Run(fmt.Sprintf("goroutines=%d/batch=%d", how.goroutines, how.batch), func(b *testing.B) {
			for b.Loop() {
				w := create(b)
				begin := b.Elapsed()
				var all []Proposal
				for id := range n {
					all = append(all, proposal(id))
				}
				if err := w.Save(Checkpoint{State: []byte("state"), Queue: all}); err != nil {
					b.Fatal(err)
				}
				var group sync.WaitGroup
				for g := range how.goroutines {
					group.Go(func() {
						for id := g * how.batch; id < n; id += how.goroutines * how.batch {
							var ids []int
							var results []Result
							for k := id; k < min(n, id+how.batch); k++ {
								ids, results = append(ids, k), append(results, result(k))
							}
							if err := w.Start("worker", ids...); err != nil {
								b.Error(err)
							}
							if _, err := w.Finish(results...); err != nil {
								b.Error(err)
							}
						}
					})
				}
				group.Wait()
				b.ReportMetric(n/(b.Elapsed()-begin).Seconds(), "trials/s")
			}
		})
	}
}

func BenchmarkReadTrials(b *testing.B) {
	const n = 10_000
	w := create(b)
	fill(b, w, n)
	for b.Loop() {
		if trials, err := w.Trials(); err != nil || len(trials) != n {
			b.Fatal(len(trials), err)
		}
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "trials/s")
}

// BenchmarkSave saves a state of a megabyte and a front of 500 members.
func BenchmarkSave(b *testing.B) {
	w := create(b)
	c := Checkpoint{State: make([]byte, 1<<20)}
	for id := range 500 {
		c.Archive = append(c.Archive, Member{ID: id, Key: fmt.Sprint(id), Genome: make([]byte, 40), Objectives: []float64{0.5, float64(id)}})
	}
	for b.Loop() {
		c.Evaluations++
		c.Generations = []Generation{{Evaluations: c.Evaluations, Front: 500}}
		if err := w.Save(c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	w := create(b)
	fill(b, w, 10_000)
	path := w.path
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		w, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// create returns a new study.
func create(tb testing.TB) *Writer {
	tb.Helper()
	w, err := Create(filepath.Join(tb.TempDir(), "study.db"), Study{Name: "test", Config: "name: test\n", Seed: 1})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { w.Close() })
	return w
}

// fill stores n finished trials.
func fill(tb testing.TB, w *Writer, n int) {
	tb.Helper()
	var proposals []Proposal
	var results []Result
	for id := range n {
		proposals, results = append(proposals, proposal(id)), append(results, result(id))
	}
	if err := w.Queue(proposals...); err != nil {
		tb.Fatal(err)
	}
	if _, err := w.Finish(results...); err != nil {
		tb.Fatal(err)
	}
}
