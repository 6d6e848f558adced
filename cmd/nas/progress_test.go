package main

import (
	"testing"
	"time"

	"github.com/efficientnas/nas/runner"
)

func TestRate(t *testing.T) {
	for _, test := range []struct {
		progress  runner.Progress
		perSecond float64
		left      time.Duration
	}{
		{runner.Progress{}, 0, 0},
		{runner.Progress{Evaluations: 10, Total: 40, Seconds: 5}, 2, 15 * time.Second},
		{runner.Progress{Evaluations: 30, Before: 20, Total: 40, Seconds: 5}, 2, 5 * time.Second}, // resumed after 20
		{runner.Progress{Evaluations: 20, Before: 20, Total: 40, Seconds: 5}, 0, 0},
	} {
		if perSecond, left := rate(test.progress); perSecond != test.perSecond || left != test.left {
			t.Errorf("%+v: %v a second, %v left; want %v, %v", test.progress, perSecond, left, test.perSecond, test.left)
		}
	}
}
