package trainer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Limits of what is read from a trainer's standard output.
const (
	maxLine    = 64 << 10 // bytes; a longer line is ignored
	maxOutput  = 1 << 30  // bytes in all: a trainer that prints more runs in circles
	maxMetrics = 64       // of one line, the first in alphabetical order
	maxName    = 64       // bytes of a metric's name; one with a longer is ignored
	maxEpoch   = 1e9
)

// A line is what one line of standard output says.
type line struct {
	accuracy float64
	epoch    int
	progress bool // has an epoch
	metrics  map[string]float64
}

// parseLine returns what a line says; false if that is nothing, as it is no JSON
// object with an accuracy. It returns an error for an object whose accuracy or
// epoch is not what it must be.
func parseLine(text []byte) (line, bool, error) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 || text[0] != '{' || !bytes.Contains(text, []byte("accuracy")) {
		return line{}, false, nil // most of what trainers print
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(quoteNonFinite(text), &object) != nil {
		return line{}, false, nil
	}
	raw, ok := object["accuracy"]
	if !ok {
		return line{}, false, nil
	}
	var l line
	if l.accuracy, ok = number(raw); !ok || !(l.accuracy >= 0 && l.accuracy <= 1) {
		hint := ""
		if l.accuracy > 1 && l.accuracy <= 100 {
			hint = "; is it in percent?"
		}
		return line{}, false, fmt.Errorf("accuracy is %s, want a number from 0 to 1%s", excerpt(raw), hint)
	}
	if raw, l.progress = object["epoch"]; l.progress {
		e, ok := number(raw)
		if !ok || !(e >= 0 && e <= maxEpoch) || e != math.Trunc(e) {
			return line{}, false, fmt.Errorf("epoch is %s, want an integer from 0 to 1e9", excerpt(raw))
		}
		l.epoch = int(e)
	}
	delete(object, "accuracy")
	delete(object, "epoch")
	for _, name := range slices.Sorted(maps.Keys(object)) {
		v, ok := number(object[name])
		if !ok || !isName(name) || len(l.metrics) == maxMetrics {
			continue
		}
		if l.metrics == nil {
			l.metrics = make(map[string]float64)
		}
		l.metrics[name] = v
	}
	return l, true, nil
}

// isName reports whether a metric may be called so.
func isName(s string) bool {
	return s != "" && len(s) <= maxName &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) })
}

// number returns the value of a JSON number if it is finite.
func number(raw json.RawMessage) (float64, bool) {
	v, err := strconv.ParseFloat(string(raw), 64) // which takes more than JSON, that raw is
	return v, err == nil
}

// excerpt returns the beginning of a JSON value, to be shown.
func excerpt(raw json.RawMessage) string {
	s := string(raw)
	if word, err := strconv.Unquote(s); err == nil && isNonFinite(strings.TrimLeft(word, "+-")) {
		s = word // which quoteNonFinite quoted
	}
	const most = 40
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strings.NewReplacer("\n", " ", "\t", " ").Replace(SafeText(s))
}

// isNonFinite reports whether a word is how some language prints a float that is
// no number of JSON: NaN and Infinity in Python, nan and inf in C.
func isNonFinite(word string) bool {
	switch strings.ToLower(word) {
	case "nan", "inf", "infinity":
		return true
	}
	return false
}

// quoteNonFinite returns the text of an object with NaN, Infinity and the like in
// quotes. A diverged training that reports them must not look as if it had
// reported nothing.
func quoteNonFinite(text []byte) []byte {
	var out []byte // nil as long as nothing had to be quoted
	done := 0      // text[:done] is in out
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			i++
		case c == '-' || c == '+' || isLetter(c):
			start := i
			for i++; i < len(text) && isLetter(text[i]); i++ {
			}
			if isNonFinite(strings.TrimLeft(string(text[start:i]), "+-")) {
				out = append(out, text[done:start]...)
				out = append(out, '"')
				out = append(out, text[start:i]...)
				out = append(out, '"')
				done = i
			}
		default:
			i++
		}
	}
	if out == nil {
		return text
	}
	return append(out, text[done:]...)
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// errTooMuch ends the reading of endless output.
var errTooMuch = errors.New("wrote more than 1 GiB to standard output")

// readLines calls each for every line of r that is not too long, without its end,
// until each returns false or r fails or ends, which is no error. It returns
// errTooMuch once more than limit bytes were read. A carriage return ends a line
// too: progress bars leave their last state before the line that counts.
func readLines(r io.Reader, limit int64, each func([]byte) bool) error {
	buffer := bufio.NewReaderSize(r, maxLine)
	long := false // in the rest of a line that is too long
	for total := int64(0); ; {
		text, err := buffer.ReadSlice('\n')
		if total += int64(len(text)); total > limit {
			return errTooMuch
		}
		full := errors.Is(err, bufio.ErrBufferFull)
		if !full && !long {
			for piece := range bytes.SplitSeq(bytes.TrimRight(text, "\r\n"), []byte("\r")) {
				if !each(piece) {
					return nil
				}
			}
		}
		long = full
		if err != nil && !full {
			return nil
		}
	}
}
