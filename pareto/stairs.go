package pareto

import "slices"

// stairs is the outline of a union of rectangles with a corner in the origin:
// their opposite corners, the steps, x strictly ascending and y strictly
// descending. The zero value is the empty union.
//
// The steps stand in blocks, as in a tree of two levels. A search takes O(log n);
// an insertion moves the steps of one block, and once in many insertions the
// list of blocks, so that its cost hardly depends on n.
type stairs struct {
	blocks [][]step // none is empty
	spare  [][]step // emptied blocks, to be used again
}

type step struct{ x, y float64 }

// place is the place of a step: in which block, and where in it.
type place struct{ block, index int }

const blockSize = 128 // the most steps of a block; measured, but 64 and 256 are nearly as good

// search returns the place of the first step at x or right of it.
func (s *stairs) search(x float64) (place, bool) {
	lo, hi := 0, len(s.blocks)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if b := s.blocks[mid]; b[len(b)-1].x < x {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == len(s.blocks) {
		return place{lo, 0}, false
	}
	block := s.blocks[lo]
	base, n := 0, len(block)
	for n > 1 { // no jump to mispredict
		half := n / 2
		if block[base+half-1].x < x {
			base += half
		}
		n -= half
	}
	return place{lo, base}, true
}

// covers reports whether the union contains the rectangle (0, 0) to (x, y). It
// needs no origin: it reports whether a step is at (x, y), or right of it and
// above it.
func (s *stairs) covers(x, y float64) bool {
	at, ok := s.search(x)
	return ok && s.blocks[at.block][at.index].y >= y
}

// left returns the step before a place.
func (s *stairs) left(at place) (step, place, bool) {
	if at.index == 0 {
		if at.block == 0 {
			return step{}, at, false
		}
		at.block--
		at.index = len(s.blocks[at.block])
	}
	at.index--
	return s.blocks[at.block][at.index], at, true
}

// gain returns by how much the area of the union would grow with the rectangle
// (0, 0) to (x, y), and which steps, from begin up to end, would vanish. It is not
// ok if the union covers the rectangle. It takes O(log n) and the number of steps
// that would vanish.
func (s *stairs) gain(x, y float64) (grown float64, begin, end place, ok bool) {
	end, found := s.search(x)
	begin = end
	right, floor := x, 0.0
	if found {
		at := s.blocks[end.block][end.index]
		if at.y >= y {
			return 0, begin, end, false
		}
		floor = at.y
		if at.x == x {
			end.index++
		}
	}
	// The steps before it that are no higher vanish below the new one. From
	// right to left, add what it rises above each of them.
	for {
		st, at, found := s.left(begin)
		if !found {
			return grown + right*(y-floor), begin, end, true
		}
		if st.y > y {
			return grown + (right-st.x)*(y-floor), begin, end, true
		}
		grown += (right - st.x) * (y - floor)
		right, floor, begin = st.x, st.y, at
	}
}

// add adds the rectangle (0, 0) to (x, y) and returns by how much the area grew.
// Added one after the other, n rectangles take O(n log n) but for the moves
// within blocks.
func (s *stairs) add(x, y float64) float64 {
	grown, begin, end, ok := s.gain(x, y)
	if ok {
		s.replace(begin, end, step{x, y})
	}
	return grown
}

// replace puts a step in the place of those from begin up to end.
func (s *stairs) replace(begin, end place, st step) {
	if begin.block == len(s.blocks) { // right of all others, and none vanishes
		if begin.block == 0 {
			s.blocks = append(s.blocks, append(s.empty(), st))
			return
		}
		begin = place{begin.block - 1, len(s.blocks[begin.block-1])}
		end = begin
	}
	b := begin.block
	if end.block > b {
		s.blocks[b] = append(s.blocks[b][:begin.index], st)
		last := end.block
		if last < len(s.blocks) {
			if rest := s.blocks[last]; end.index < len(rest) {
				s.blocks[last] = append(rest[:0], rest[end.index:]...)
			} else {
				last++
			}
		}
		s.spare = append(s.spare, s.blocks[b+1:last]...)
		s.blocks = slices.Delete(s.blocks, b+1, last)
		return
	}
	block := slices.Replace(s.blocks[b], begin.index, end.index, st)
	if half := len(block) / 2; len(block) > blockSize {
		second := append(slices.Grow(s.empty(), blockSize+1), block[half:]...)
		block = block[:half]
		s.blocks = slices.Insert(s.blocks, b+1, second)
	}
	s.blocks[b] = block
}

// empty returns a block to fill.
func (s *stairs) empty() []step {
	if n := len(s.spare); n > 0 {
		block := s.spare[n-1][:0]
		s.spare = s.spare[:n-1]
		return block
	}
	return nil
}

// reset empties the union and keeps the memory.
func (s *stairs) reset() {
	s.spare = append(s.spare, s.blocks...)
	clear(s.blocks)
	s.blocks = s.blocks[:0]
}

func (s *stairs) clone() stairs {
	blocks := make([][]step, len(s.blocks))
	for i, b := range s.blocks {
		blocks[i] = slices.Clone(b)
	}
	return stairs{blocks: blocks}
}
