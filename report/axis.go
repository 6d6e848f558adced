package report

import (
	"math"
	"strconv"
	"strings"
)

// axis maps data values to the unit interval.
type axis struct {
	log    bool
	lo, hi float64 // the range in scaled values: natural logarithms, if log
}

// scaled returns v as the axis counts: its logarithm, if log.
func (a axis) scaled(v float64) float64 {
	if a.log {
		return math.Log(v)
	}
	return v
}

// at returns where v lies, from 0 at the low end of the axis to 1 at the high.
func (a axis) at(v float64) float64 { return (a.scaled(v) - a.lo) / (a.hi - a.lo) }

// contains reports whether v lies within the range.
func (a axis) contains(v float64) bool {
	s := a.scaled(v)
	return a.lo <= s && s <= a.hi
}

// pad widens the range by a fraction of its width at either end, and makes a
// range that is empty, or too narrow for the precision of its values, wide
// enough to draw.
func (a *axis) pad(fraction float64) {
	least := 1e-9 * max(math.Abs(a.lo), math.Abs(a.hi))
	switch {
	case a.hi-a.lo > least:
		// Wide enough.
	case a.log:
		a.lo, a.hi = a.lo-math.Ln2, a.hi+math.Ln2
	default:
		half := max(math.Abs(a.lo), math.Abs(a.hi)) / 20
		if half == 0 {
			half = 1
		}
		a.lo, a.hi = a.lo-half, a.hi+half
	}
	width := a.hi - a.lo
	a.lo, a.hi = a.lo-fraction*width, a.hi+fraction*width
}

// tickDigits is how many significant digits tick labels have at most.
const tickDigits = 10

// tick is a place on an axis; a minor one has no label.
type tick struct {
	value float64
	label string
}

// linearTicks returns labelled ticks at multiples of 1, 2 or 5 times a power of
// ten, at most n of them, within the data values lo to hi.
func linearTicks(lo, hi float64, n int, format func(v, step float64) string) []tick {
	step := niceStep((hi - lo) / float64(n))
	first, last := math.Ceil(lo/step-1e-9), math.Floor(hi/step+1e-9)
	var ticks []tick
	for i := range int(last-first) + 1 {
		v := (first + float64(i)) * step
		ticks = append(ticks, tick{value: v, label: format(v, step)})
	}
	return ticks
}

// niceStep returns the least of 1, 2 and 5 times a power of ten that is not
// below v, which is positive.
func niceStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= v*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// logTicks returns ticks for a logarithmic axis from lo to hi: labelled ones at
// 1, 2 and 5 times a power of ten, or at powers of ten alone where those would
// be more than n; in a range too narrow for these, at linear steps. Unlabelled
// ones stand at the other multiples of a power of ten.
func logTicks(lo, hi float64, n int) []tick {
	first, last := int(math.Floor(math.Log10(lo))), int(math.Ceil(math.Log10(hi)))
	const slack = 1e-9
	collect := func(labelled func(exponent, digit int) bool) (ticks []tick, labels int) {
		for e := first; e <= last; e++ {
			for d := 1; d <= 9; d++ {
				v := float64(d) * math.Pow(10, float64(e))
				if v < lo*(1-slack) || v > hi*(1+slack) {
					continue
				}
				t := tick{value: v}
				if labelled(e, d) {
					t.label = engineering(v, tickDigits)
					labels++
				}
				ticks = append(ticks, t)
			}
		}
		return ticks, labels
	}
	ticks, labels := collect(func(_, d int) bool { return d == 1 || d == 2 || d == 5 })
	if labels < 3 {
		return linearTicks(lo, hi, n, func(v, _ float64) string { return engineering(v, tickDigits) })
	}
	for every := 1; labels > n; every++ {
		ticks, labels = collect(func(e, d int) bool { return d == 1 && e%every == 0 })
	}
	if last-first > n {
		// Minor ticks would be a solid bar.
		major := ticks[:0]
		for _, t := range ticks {
			if t.label != "" {
				major = append(major, t)
			}
		}
		ticks = major
	}
	return ticks
}

// engineering writes v as people write costs (950, 20M, 1.5G), rounded to a
// number of significant digits.
func engineering(v float64, digits int) string {
	// Round first: 999,999 is 1M, not 1000k.
	v, err := strconv.ParseFloat(strconv.FormatFloat(v, 'e', digits-1, 64), 64)
	abs := math.Abs(v)
	switch {
	case v == 0:
		return "0"
	case err != nil || abs < 1e-4 || abs >= 1e15:
		return minus(strconv.FormatFloat(v, 'g', digits, 64))
	}
	scale, unit := 1.0, ""
	for _, s := range []struct {
		scale float64
		unit  string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if abs >= s.scale {
			scale, unit = s.scale, s.unit
			break
		}
	}
	decimals := digits - 1 - int(math.Floor(math.Log10(abs/scale)))
	text := strconv.FormatFloat(v/scale, 'f', max(0, decimals), 64)
	if strings.ContainsRune(text, '.') {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return minus(text + unit)
}

// decimal writes v with as many decimals as multiples of step need.
func decimal(v, step float64) string {
	if abs := math.Abs(v); step < 1e-6 || abs >= 1e7 {
		return minus(strconv.FormatFloat(v, 'g', 10, 64))
	}
	decimals := max(0, int(math.Ceil(-math.Log10(step)-1e-9)))
	return minus(strconv.FormatFloat(v, 'f', decimals, 64))
}

// minus sets a true minus sign, and none before a zero.
func minus(s string) string {
	if rest, ok := strings.CutPrefix(s, "-"); ok {
		if strings.Trim(rest, "0.") == "" {
			return rest
		}
		return "−" + rest
	}
	return s
}

// quantile returns the q quantile of sorted values, of which there is at least
// one: the value at the nearest rank.
func quantile(sorted []float64, q float64) float64 {
	return sorted[int(math.Round(q*float64(len(sorted)-1)))]
}
