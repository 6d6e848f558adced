package trainer

import (
	"fmt"
	"sync"
)

// Defaults of a [Halving].
const (
	DefaultReduction = 4
	DefaultMinEpochs = 1
)

// Halving is asynchronous successive halving, ASHA: L. Li et al. 2020, A System
// for Massively Parallel Hyperparameter Tuning, MLSys. Trials meet rungs at
// MinEpochs, MinEpochs * Reduction, MinEpochs * Reduction^2, ... epochs, and about
// one in Reduction goes on beyond each.
//
// The paper pauses all trials at a rung and promotes the best of them later. Here
// a trial goes on at once if it is among the best 1/Reduction of those that have
// reached the rung so far, itself counted and at least one, or level with them;
// else it is stopped for good. Nothing needs a checkpoint and nobody waits, but
// the first trials go further than they would have later.
//
// Set the fields before the first call of Stop. The zero value works. The same
// calls in the same order have the same answers, so that a study that resumes
// gets its rule back by repeating them. All methods may be called at once.
type Halving struct {
	// MinEpochs is where the first rung is; 0 means [DefaultMinEpochs].
	MinEpochs int
	// MaxEpochs is how long a trial trains that nobody stops: there is no rung
	// there or beyond. 0 means that it is not known.
	MaxEpochs int
	// Reduction is at least 2; 0 means [DefaultReduction].
	Reduction int

	mu     sync.Mutex
	trials map[string]climb
	rungs  []map[string]float64 // accuracies by trial
}

// A climb is how far a trial has come.
type climb struct {
	epoch int
	rung  int // the next one
}

// Check returns an error if a field is out of its range.
func (h *Halving) Check() error {
	switch {
	case h.MinEpochs < 0:
		return fmt.Errorf("successive halving: first rung at %d epochs, want 1 or more", h.MinEpochs)
	case h.MaxEpochs < 0:
		return fmt.Errorf("successive halving: %d epochs at most, want 1 or more", h.MaxEpochs)
	case h.Reduction < 0 || h.Reduction == 1:
		return fmt.Errorf("successive halving: reduction %d, want 2 or more", h.Reduction)
	case h.MaxEpochs > 0 && max(h.MinEpochs, DefaultMinEpochs) >= h.MaxEpochs:
		return fmt.Errorf("successive halving: first rung at %d epochs of %d: nothing would be stopped",
			max(h.MinEpochs, DefaultMinEpochs), h.MaxEpochs)
	}
	return nil
}

// Stop takes note of the progress of a trial, and reports whether to end it. What
// counts at a rung is the accuracy at its epoch, or at the next that is reported.
// A trial that reports an epoch no later than its last has begun anew, as another
// attempt does.
func (h *Halving) Stop(trial string, p Progress) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.trials == nil {
		h.trials = make(map[string]climb)
	}
	c, met := h.trials[trial]
	if met && p.Epoch <= c.epoch {
		c.rung = 0
	}
	c.epoch = p.Epoch
	stop := false
	for h.reached(c.rung, p.Epoch) {
		if c.rung == len(h.rungs) {
			h.rungs = append(h.rungs, make(map[string]float64))
		}
		rung := h.rungs[c.rung]
		rung[trial] = p.Accuracy
		better := 0
		for _, accuracy := range rung {
			if accuracy > p.Accuracy {
				better++
			}
		}
		stop = stop || better >= max(1, len(rung)/h.reduction())
		c.rung++
	}
	h.trials[trial] = c
	return stop
}

func (h *Halving) reduction() int {
	if h.Reduction == 0 {
		return DefaultReduction
	}
	return max(2, h.Reduction) // with 1 there would be no end of rungs at an epoch
}

// reached reports whether there is a rung i, and at this epoch or before.
func (h *Halving) reached(i, epoch int) bool {
	at := max(h.MinEpochs, DefaultMinEpochs)
	for range i {
		if at > epoch/h.reduction() {
			return false // and no product overflows
		}
		at *= h.reduction()
	}
	return at <= epoch && (h.MaxEpochs == 0 || at < h.MaxEpochs)
}
