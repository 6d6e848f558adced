package trainer

import (
	"bytes"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// escape matches the control sequences of terminals: colours and cursor moves
// (CSI), titles and links (OSC), strings for devices, and the short ones. None is
// taken to reach beyond its line, so that one without an end hides no more.
var escape = regexp.MustCompile(`(?:\x1b\[|\x{9b})[0-?]*[ -/]*[@-~]` +
	`|(?:\x1b[\]PX^_]|[\x{90}\x{98}\x{9d}-\x{9f}])[^\x07\x1b\x{9c}\r\n]*(?:\x07|\x1b\\|\x{9c})?` +
	`|\x1b[ -/]*[0-Z\\^-~]`)

// SafeText returns text that a program printed so that it can be shown on a
// terminal: without escape sequences, control characters and characters that
// turn the direction of writing. Line ends of any system become "\n", tabs stay,
// and bytes that are no UTF-8 become U+FFFD. It is still text: HTML needs
// escaping.
func SafeText(s string) string {
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	s = escape.ReplaceAllString(s, "")
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\r': // of a progress bar that draws itself anew
			return '\n'
		case r == '\n' || r == '\t' || unicode.IsGraphic(r):
			return r
		}
		return -1
	}, s)
}

// maxTail is how much of standard error is kept, in bytes.
const maxTail = 8 << 10

// tail is a writer that keeps the end of what is written to it.
type tail struct {
	data []byte
	cut  bool // something was dropped before data
}

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	if len(p) > maxTail {
		p, t.cut = p[len(p)-maxTail:], true
	}
	if over := len(t.data) + len(p) - maxTail; over > 0 {
		t.data, t.cut = append(t.data[:0], t.data[over:]...), true
	}
	t.data = append(t.data, p...)
	return n, nil
}

// String returns the end, from the beginning of a line if there is one in it, as
// [SafeText].
func (t *tail) String() string {
	data := t.data
	if t.cut {
		if i := bytes.IndexAny(data, "\r\n"); i >= 0 && i+1 < len(data) {
			data = data[i+1:]
		}
		for len(data) > 0 && !utf8.RuneStart(data[0]) {
			data = data[1:]
		}
	}
	return SafeText(string(data))
}
