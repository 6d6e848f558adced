package trainer

import (
	"fmt"
	"slices"
	"sync"
)

// DefaultWarmupTrials is the number of trials that a [Median] waits for which
// states none.
const DefaultWarmupTrials = 5

// Median is the median stopping rule of D. Golovin et al. 2017, Google Vizier: A
// Service for Black-Box Optimization, section 3.2.2: a trial is stopped if the
// best accuracy it has reached is below the median, over the others, of the mean
// of all accuracies up to the same epoch. It assumes nothing of the shape of
// learning curves.
//
// The paper compares with completed trials. Here the others are all trials that
// have reported that very epoch, running, stopped or done: with trials that run
// side by side few have completed when it matters. All trainers of a study should
// report at the same epochs.
//
// Set the fields before the first call of Stop. The zero value works. The same
// calls in the same order have the same answers, so that a study that resumes
// gets its rule back by repeating them. All methods may be called at once.
type Median struct {
	// WarmupEpochs is how far a trial may go in any case: it is never stopped
	// before it has trained more.
	WarmupEpochs int
	// WarmupTrials is how many other trials it takes, at an epoch, to stop one
	// there; 0 means [DefaultWarmupTrials].
	WarmupTrials int

	mu     sync.Mutex
	trials map[string]*curve
	means  map[int]map[string]float64 // by epoch and trial
}

// A curve is what is known of a trial so far.
type curve struct {
	epoch     int
	best, sum float64
	n         int
}

// Check returns an error if a field is negative.
func (m *Median) Check() error {
	if m.WarmupEpochs < 0 {
		return fmt.Errorf("median rule: warm-up of %d epochs, want 0 or more", m.WarmupEpochs)
	}
	if m.WarmupTrials < 0 {
		return fmt.Errorf("median rule: warm-up of %d trials, want 0 or more", m.WarmupTrials)
	}
	return nil
}

// Stop takes note of the progress of a trial, and reports whether to end it. A
// trial that reports an epoch no later than its last has begun anew, as another
// attempt does.
func (m *Median) Stop(trial string, p Progress) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.trials == nil {
		m.trials = make(map[string]*curve)
		m.means = make(map[int]map[string]float64)
	}
	c := m.trials[trial]
	if c == nil || p.Epoch <= c.epoch {
		c = &curve{best: p.Accuracy}
		m.trials[trial] = c
	}
	c.epoch = p.Epoch
	c.best = max(c.best, p.Accuracy)
	c.sum += p.Accuracy
	c.n++

	at := m.means[p.Epoch]
	if at == nil {
		at = make(map[string]float64)
		m.means[p.Epoch] = at
	}
	at[trial] = c.sum / float64(c.n)

	enough := m.WarmupTrials
	if enough <= 0 {
		enough = DefaultWarmupTrials
	}
	if p.Epoch <= m.WarmupEpochs || len(at)-1 < enough {
		return false
	}
	others := make([]float64, 0, len(at)-1)
	for name, mean := range at {
		if name != trial {
			others = append(others, mean)
		}
	}
	return c.best < median(others)
}

// median returns the median of at least one value, which it sorts.
func median(v []float64) float64 {
	slices.Sort(v)
	half := len(v) / 2
	if len(v)%2 == 1 {
		return v[half]
	}
	return (v[half-1] + v[half]) / 2
}
