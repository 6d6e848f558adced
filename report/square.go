package report

import (
	"fmt"
	"slices"
	"strings"

	"gonum.org/v1/plot/vg"
)

const (
	columnWidth = 160 // the least, beside a square area
	columnGap   = 18  // between them
	noteRow     = legendSize + 3.5
	notesGap    = 10 // below the notes
	groupsGap   = 5  // above the groups
)

// layOutSquare divides a figure into a square area, whose axes both run from lo
// to hi in per cent, and a column of text on its right: the notes, then the
// legend, which has the room it needs.
func (f *frame) layOutSquare(title, xLabel, yLabel string, lo, hi float64, notes []string, legend []legendEntry) {
	f.x = axis{lo: lo, hi: hi}
	f.y = f.x
	for n := 8; n >= 2; n-- {
		ticks := linearTicks(lo, hi, n, decimal)
		ticks = slices.DeleteFunc(ticks, func(t tick) bool { return t.value < -1e-6 || t.value > 100+1e-6 })
		f.xTicks, f.yTicks = ticks, ticks
		f.area.Max.Y = f.layOutTexts(title, xLabel, yLabel) - 4
		room := f.area.Size()
		side := min(room.Y, figureWidth-margin-columnWidth-columnGap-f.area.Min.X)
		f.area.Max = f.area.Min.Add(vg.Point{X: side, Y: side})
		if f.xLabelsFit() {
			break
		}
	}

	f.fitTexts()

	at := vg.Point{X: f.area.Max.X + columnGap, Y: f.area.Max.Y - legendRow/2}
	room := figureWidth - margin - at.X
	free := f.area.Size().Y - legendRow*vg.Length(len(legend)) - notesGap - groupsGap
	for _, line := range fitNotes(notes, room, max(1, int(free/noteRow))) {
		f.legend = append(f.legend, legendEntry{kind: legendHeading, text: line, pos: at})
		at.Y -= noteRow
	}
	if len(f.legend) > 0 {
		at.Y -= notesGap
	}
	ofGroups := func(e legendEntry) bool { return e.kind == legendHeading || e.kind == legendGroup }
	for i, e := range legend {
		if i > 0 && ofGroups(e) && !ofGroups(legend[i-1]) {
			at.Y -= groupsGap
		}
		e.text = fit(regular(legendSize), e.text, room-e.kind.symbolWidth())
		e.pos = at
		f.legend = append(f.legend, e)
		at.Y -= legendRow
	}
}

// fitNotes breaks notes into lines no wider than room, at most most of them; it
// ends in an ellipsis if that is not enough.
func fitNotes(notes []string, room vg.Length, most int) []string {
	face := regular(legendSize)
	var lines []string
	for _, note := range notes {
		var line string
		for _, word := range strings.Fields(note) {
			longer := strings.TrimSpace(line + " " + word)
			if line != "" && width(face, longer) > room {
				lines = append(lines, fit(face, line, room))
				longer = word
			}
			line = longer
		}
		if line != "" {
			lines = append(lines, fit(face, line, room))
		}
	}
	if len(lines) > most {
		lines = lines[:most]
		last := []rune(lines[most-1])
		for width(face, string(last)+" …") > room {
			last = last[:len(last)-1]
		}
		lines[most-1] = string(last) + " …"
	}
	return lines
}

// atLeast widens a linear range narrower than least by some to either side.
func (a *axis) atLeast(least, some float64) {
	if a.hi-a.lo < least {
		a.lo, a.hi = a.lo-some, a.hi+some
	}
}

// checkFraction refuses what is not from 0 to 1, above all per cents.
func checkFraction(what, field string, v float64) error {
	return checkBetween(what, field, v, 0, 1, "a fraction from 0 to 1")
}

func checkBetween(what, field string, v, lo, hi float64, want string) error {
	if err := checkFinite(what, field, v); err != nil {
		return err
	}
	if v < lo || v > hi {
		return fmt.Errorf("report: %s: %s is %g, it must be %s", what, field, v, want)
	}
	return nil
}

// checkOrder refuses an interval whose ends are swapped.
func checkOrder(what string, low, high float64) error {
	if low > high {
		return fmt.Errorf("report: %s: Low is %g, it must not exceed High, which is %g", what, low, high)
	}
	return nil
}

// checkCount refuses fewer points than make a picture.
func checkCount(n int) error {
	switch n {
	case 0:
		return fmt.Errorf("report: there are no points, there is nothing to draw")
	case 1:
		return fmt.Errorf("report: there is a single point, at least 2 are needed")
	}
	return nil
}
