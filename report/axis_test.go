package report

import (
	"strings"
	"testing"
)

func TestEngineering(t *testing.T) {
	tests := []struct {
		v      float64
		digits int
		want   string
	}{
		{0, 3, "0"},
		{0.5, 3, "0.5"},
		{0.00025, 3, "0.00025"},
		{2e-7, 3, "2e-07"},
		{7, 3, "7"},
		{950, 3, "950"},
		{999.9, 3, "1k"},
		{1500, 3, "1.5k"},
		{20e6, 10, "20M"},
		{100e6, 3, "100M"},
		{123456789, 3, "123M"},
		{123456789, 10, "123.456789M"},
		{999_999_999, 3, "1G"},
		{15.5e9, 3, "15.5G"},
		{2e12, 3, "2T"},
		{5e15, 3, "5e+15"},
		{-2e6, 3, "−2M"},
	}
	for _, test := range tests {
		if got := engineering(test.v, test.digits); got != test.want {
			t.Errorf("engineering(%g, %d) = %s, want %s", test.v, test.digits, got, test.want)
		}
	}
}

func TestTicks(t *testing.T) {
	join := func(ticks []tick) string {
		var labels []string
		for _, tick := range ticks {
			if tick.label != "" {
				labels = append(labels, tick.label)
			}
		}
		return strings.Join(labels, " ")
	}
	logarithmic := []struct {
		lo, hi float64
		want   string
	}{
		{9e6, 1.1e9, "10M 20M 50M 100M 200M 500M 1G"},
		{18e6, 900e6, "20M 50M 100M 200M 500M"},
		{150e6, 17e9, "200M 500M 1G 2G 5G 10G"},
		{0.8, 30, "1 2 5 10 20"},
		{300e6, 450e6, "300M 320M 340M 360M 380M 400M 420M 440M"},
		{1, 1e6, "1 10 100 1k 10k 100k 1M"},
		{1e-3, 1e14, "0.01 1 100 10k 1M 100M 10G 1T 100T"},
	}
	for _, test := range logarithmic {
		if got := join(logTicks(test.lo, test.hi, 11)); got != test.want {
			t.Errorf("logarithmic ticks from %g to %g: %s, want %s", test.lo, test.hi, got, test.want)
		}
	}
	linear := []struct {
		lo, hi float64
		want   string
	}{
		{54.1, 78.2, "55 60 65 70 75"},
		{91.1, 92.6, "91.2 91.4 91.6 91.8 92.0 92.2 92.4 92.6"},
		{-1, 1, "−1.0 −0.5 0.0 0.5 1.0"},
		{0, 1e-7, "0 2e-08 4e-08 6e-08 8e-08 1e-07"},
	}
	for _, test := range linear {
		if got := join(linearTicks(test.lo, test.hi, 8, decimal)); got != test.want {
			t.Errorf("linear ticks from %g to %g: %s, want %s", test.lo, test.hi, got, test.want)
		}
	}
}
