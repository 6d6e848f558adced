package main

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/efficientnas/nas/predictor"
)

func TestMoreRecords(t *testing.T) {
	curve := func(gains ...float64) []predictor.CurvePoint {
		a, b := predictor.CurvePoint{Records: 50}, predictor.CurvePoint{Records: 100}
		for i, gain := range gains {
			from := 0.7 + 0.05*float64(i) // what the draws have in common does not matter
			a.Draws, b.Draws = append(a.Draws, from), append(b.Draws, from+gain)
		}
		return []predictor.CurvePoint{{Records: 25}, a, b}
	}
	for want, c := range map[string][]predictor.CurvePoint{
		"":                    curve(0.1)[:1],
		"would help:":         curve(0.03, 0.02, 0.03, 0.02),
		"would hardly help":   curve(0.001, 0.002, 0.001, 0),
		"too close to chance": curve(0.1, -0.1, 0.12, -0.05),
	} {
		got := moreRecords(c, 140)
		if !strings.Contains(got, want) || (want == "") != (got == "") {
			t.Errorf("%q, want %q", got, want)
		}
		if want != "" && !strings.Contains(got, "From 50 to 100 records") {
			t.Errorf("%q", got)
		}
	}
}

// Of a curve that ends before the records do, nothing follows.
func TestMoreRecordsThanTheCurve(t *testing.T) {
	draws := []float64{0.1, 0.2}
	got := moreRecords([]predictor.CurvePoint{{Records: 500, Draws: draws}, {Records: 1000, Draws: draws}}, 5000)
	if !strings.Contains(got, "learnt from 5000") || strings.Contains(got, "help") {
		t.Errorf("%q", got)
	}
}

// What cannot be told is a dash in a table, and null in JSON.
func TestNumbersThatAreNone(t *testing.T) {
	for _, v := range []float64{math.NaN()} {
		for _, s := range []string{points(v), thousandths(v), hundredths(v), percent(v)} {
			if s != "-" {
				t.Errorf("%v is written %q", v, s)
			}
		}
	}
	for v, want := range map[float64]string{math.Inf(1): "null", 0.5: "0.5"} {
		if b, err := number(v).MarshalJSON(); err != nil || string(b) != want {
			t.Errorf("%v is written %s, %v", v, b, err)
		}
	}
}

// A signal ends a command at once, whatever it is doing.
func TestInterruptible(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := new(cobra.Command)
	c.SetContext(ctx)
	c.SetErr(new(bytes.Buffer))
	if err := interruptible(c, func(context.Context) error { return errTest }); !errors.Is(err, errTest) {
		t.Errorf("%v", err)
	}
	release := make(chan struct{})
	defer close(release)
	err := interruptible(c, func(context.Context) error {
		cancel()
		<-release
		return nil
	})
	if !errors.Is(err, errInterrupted) || exitCode(err) != exitFailed {
		t.Errorf("%v", err)
	}
}

var errTest = errors.New("test")

func TestCounter(t *testing.T) {
	var out bytes.Buffer
	c := newCounter(&out)
	update := c.phase("training")
	update(1, 3)
	if out.Len() > 0 {
		t.Errorf("at once: %q", out.String())
	}
	c.last = c.last.Add(-time.Minute)
	update(2, 3)
	update(3, 3)
	if got := out.String(); got != "training: 2 of 3\n" {
		t.Errorf("after a minute: %q", got)
	}
	c.finish()

	out.Reset()
	c.terminal = true
	update = c.phase("one")
	update(1, 2)
	c.phase("two")(1, 2)
	c.finish()
	c.finish()
	for _, name := range []string{"one", "two"} {
		if !strings.Contains(out.String(), name) {
			t.Errorf("the terminal shows %q", out.String())
		}
	}
}
