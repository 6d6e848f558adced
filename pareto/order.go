package pareto

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// flatten checks points and returns their costs, of which less is better, row
// after row in one slice. A zero has no sign there, so that equal costs have
// equal bits.
func flatten(points [][]float64, directions []Direction) ([]float64, error) {
	if err := CheckDirections(directions); err != nil {
		return nil, err
	}
	flat := make([]float64, 0, len(points)*len(directions))
	for i, p := range points {
		var err error
		if flat, err = appendCosts(flat, p, directions); err != nil {
			return nil, fmt.Errorf("point %d: %w", i, err)
		}
	}
	return flat, nil
}

// appendCosts appends one row. On an error it returns nil.
func appendCosts(flat, point []float64, directions []Direction) ([]float64, error) {
	if len(point) != len(directions) {
		return nil, CheckPoint(point, len(directions))
	}
	for k, v := range point {
		if v-v != 0 { // NaN or an infinity
			return nil, CheckPoint(point, len(directions))
		}
		if directions[k] == Maximize {
			v = -v
		}
		flat = append(flat, v+0) // -0 + 0 = 0
	}
	return flat, nil
}

// Below this many rows a comparison sort is quicker than the radix sort.
const radixRows = 200

// order returns the numbers of the rows of flat, each d values without NaN and
// negative zeros, in ascending lexicographic order; equal rows in that of their
// numbers. It serves fewer than 2³² rows.
//
// The bits of floats, read as integers, are in the floats' order but for the
// sign. So three passes of a radix sort, 11 bits each, sort the rows by the 32
// highest bits in which their first values differ. That leaves short runs, in
// most cases of a single row, to a comparison sort. It takes O(n) for values that
// 32 bits tell apart and O(n log n) at worst.
func order(flat []float64, d int) []uint32 {
	n := len(flat) / d
	items := make([]uint64, n) // high half: part of the first value; low half: row
	for i := range items {
		items[i] = uint64(i)
	}
	if n >= radixRows {
		items = radix(items, flat, d)
	}
	for start := 0; start < n; {
		end := start + 1
		for end < n && items[end]>>32 == items[start]>>32 {
			end++
		}
		if end-start > 1 {
			slices.SortFunc(items[start:end], func(a, b uint64) int {
				p, q := flat[int(uint32(a))*d:], flat[int(uint32(b))*d:]
				for k, v := range p[:d] { // quicker than slices.Compare, which minds NaN
					if w := q[k]; v < w {
						return -1
					} else if v > w {
						return 1
					}
				}
				return cmp.Compare(a, b)
			})
		}
		start = end
	}
	rows := make([]uint32, n)
	for i, it := range items {
		rows[i] = uint32(it)
	}
	return rows
}

// radix sorts items, which are the row numbers, by the 32 highest bits in which
// the first values differ, and puts those bits into the items' high halves.
func radix(items []uint64, flat []float64, d int) []uint64 {
	least, most := uint64(math.MaxUint64), uint64(0)
	for i := range items {
		b := ordinal(flat[i*d])
		least, most = min(least, b), max(most, b)
	}
	shift := 0
	for (most-least)>>shift > math.MaxUint32 {
		shift++
	}
	var counts [3][1 << 11]uint32
	for i := range items {
		b := (ordinal(flat[i*d]) - least) >> shift
		items[i] |= b << 32
		counts[0][b&0x7ff]++
		counts[1][b>>11&0x7ff]++
		counts[2][b>>22]++
	}
	other := make([]uint64, len(items))
	for pass := range counts {
		starts := &counts[pass]
		sum := uint32(0)
		for i, c := range starts {
			starts[i] = sum
			sum += c
		}
		shift := 32 + 11*pass
		for _, it := range items {
			at := &starts[it>>shift&0x7ff]
			other[*at] = it
			*at++
		}
		items, other = other, items
	}
	return items
}

// ordinal returns an integer that grows with v.
func ordinal(v float64) uint64 {
	b := math.Float64bits(v)
	return b ^ (uint64(int64(b)>>63) | 1<<63)
}
