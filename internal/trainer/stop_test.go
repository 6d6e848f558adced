package trainer

import (
	"math"
	"strconv"
	"sync"
	"testing"
)

// A call of Stop, and whether the trial is to end.
type call struct {
	trial    string
	epoch    int
	accuracy float64
	stop     bool
}

type stopper interface {
	Check() error
	Stop(trial string, p Progress) bool
}

func TestRules(t *testing.T) {
	fifth := []call{ // the last of these meets the default number of others
		{"a", 1, 0.1, false},
		{"b", 1, 0.2, false},
		{"c", 1, 0.3, false},
		{"d", 1, 0.4, false},
		{"e", 1, 0, false},
		{"f", 1, 0.19, true},
	}
	tests := []struct {
		name  string
		rule  stopper
		calls []call
	}{
		{"median: default warm-up", &Median{}, fifth},
		{"median: level with it", &Median{}, append(fifth[:5:5], call{"f", 1, 0.2, false})},
		{"median: even number", &Median{WarmupTrials: 2}, []call{
			{"a", 1, 0.25, false},
			{"b", 1, 0.5, false},
			{"c", 1, 0.374, true},
			{"d", 1, 0.3, true},
			{"e", 1, 0.34, false}, // of 0.25, 0.3, 0.374, 0.5: 0.337
		}},
		{"median: epochs", &Median{WarmupEpochs: 1, WarmupTrials: 1}, []call{
			{"a", 1, 0.5, false},
			{"b", 1, 0.1, false},
			{"a", 2, 0.5, false},
			{"b", 2, 0.4, true},
			{"c", 3, 0, false}, // no other was there
		}},
		{"median: best against means", &Median{WarmupTrials: 1}, []call{
			{"a", 1, 0.2, false},
			{"a", 2, 0.6, false},
			{"b", 1, 0.5, false},
			{"b", 2, 0.1, false}, // had 0.5, a has 0.4 on average
		}},
		{"median: another attempt", &Median{WarmupTrials: 1}, []call{
			{"a", 1, 0.9, false},
			{"a", 2, 0.9, false},
			{"b", 2, 0.5, true},
			{"a", 1, 0.1, false}, // alone at 1, and not compared with itself
			{"a", 2, 0.1, true},  // b is at 0.5: the old 0.9 is forgotten
			{"c", 2, 0.3, false}, // a has 0.1, b 0.5
		}},
		{"halving: default", &Halving{}, []call{
			{"a", 1, 0.5, false},
			{"b", 1, 0.4, true},
			{"c", 1, 0.5, false}, // level
			{"d", 1, 0.6, false},
			{"a", 2, 0.1, false}, // no rung
			{"a", 3, 0.1, false},
			{"a", 4, 0.2, false},
			{"d", 4, 0.1, true},
			{"c", 4, 0.3, false},
			{"a", 15, 0.1, false},
			{"a", 16, 0, false},
		}},
		{"halving: one in two", &Halving{Reduction: 2, MinEpochs: 3}, []call{
			{"a", 1, 0.9, false},
			{"a", 2, 0.9, false},
			{"a", 3, 0.5, false},
			{"b", 3, 0.4, true},
			{"c", 3, 0.45, true},  // one of three
			{"d", 3, 0.45, false}, // two of four, level with the second
			{"e", 3, 0.46, false},
		}},
		{"halving: rungs skipped", &Halving{Reduction: 2}, []call{
			{"a", 5, 0.5, false}, // at 1, 2 and 4
			{"b", 2, 0.4, true},
			{"c", 4, 0.6, false},
			{"d", 7, 0.55, true},
		}},
		{"halving: no rung at the end", &Halving{Reduction: 2, MaxEpochs: 4}, []call{
			{"a", 2, 0.5, false},
			{"b", 2, 0.6, false},
			{"b", 4, 0.6, false},
			{"a", 4, 0.1, false},
			{"a", 8, 0.1, false},
		}},
		{"halving: another attempt", &Halving{Reduction: 2}, []call{
			{"a", 1, 0.9, false},
			{"b", 1, 0.5, true},
			{"a", 1, 0.1, true}, // the old 0.9 is forgotten
			{"b", 1, 0.2, false},
		}},
		{"halving: extremes", &Halving{Reduction: math.MaxInt}, []call{
			{"a", math.MaxInt, 0.5, false},
			{"b", math.MaxInt, 0.4, true},
		}},
	}
	for _, test := range tests {
		if err := test.rule.Check(); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		for i, c := range test.calls {
			if got := test.rule.Stop(c.trial, Progress{c.epoch, c.accuracy}); got != c.stop {
				t.Errorf("%s: call %d, %+v: got %v", test.name, i, c, got)
			}
		}
	}
}

func TestRuleCheck(t *testing.T) {
	tests := []struct {
		rule stopper
		want string
	}{
		{&Median{WarmupEpochs: -1}, "median rule: warm-up of -1 epochs, want 0 or more"},
		{&Median{WarmupTrials: -1}, "median rule: warm-up of -1 trials, want 0 or more"},
		{&Halving{MinEpochs: -1}, "successive halving: first rung at -1 epochs, want 1 or more"},
		{&Halving{MaxEpochs: -1}, "successive halving: -1 epochs at most, want 1 or more"},
		{&Halving{Reduction: 1}, "successive halving: reduction 1, want 2 or more"},
		{&Halving{Reduction: -2}, "successive halving: reduction -2, want 2 or more"},
		{
			&Halving{MinEpochs: 5, MaxEpochs: 5},
			"successive halving: first rung at 5 epochs of 5: nothing would be stopped",
		},
	}
	for _, test := range tests {
		if err := test.rule.Check(); err == nil || err.Error() != test.want {
			t.Errorf("%+v: got %v", test.rule, err)
		}
		test.rule.Stop("a", Progress{3, 0.5}) // must come to an end all the same
	}
}

// TestHalvingShare checks that about one trial in four passes each rung.
func TestHalvingShare(t *testing.T) {
	h := &Halving{MaxEpochs: 64}
	reached := map[int]int{}
	for i := range 4096 {
		accuracy := float64(i*1234577%4096) / 4096 // all values, in no order
		for epoch := 1; epoch <= 64; epoch++ {
			reached[epoch]++
			if h.Stop(strconv.Itoa(i), Progress{epoch, accuracy}) {
				break
			}
		}
	}
	for epoch, want := range map[int]int{1: 4096, 2: 1024, 5: 256, 17: 64} {
		if n := reached[epoch]; n < want*9/10 || n > want*3/2+16 {
			t.Errorf("%d trials reached epoch %d, want about %d", n, epoch, want)
		}
	}
}

// TestRulesAtOnce is for the race detector; whoever reports the best accuracy
// always goes on, in whatever order.
func TestRulesAtOnce(t *testing.T) {
	for _, rule := range []stopper{&Median{}, &Halving{Reduction: 2}} {
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for epoch := range 50 {
					if rule.Stop(strconv.Itoa(i), Progress{epoch + 1, float64(i) / 8}) && i == 7 {
						t.Errorf("%T stopped the best trial", rule)
					}
				}
			})
		}
		all.Wait()
	}
}
