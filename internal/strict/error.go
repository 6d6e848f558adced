package strict

import (
	"fmt"
	"slices"
	"strings"
)

// A Pos is a place in a file. The zero Pos means that the value was not read
// from a file.
type Pos struct {
	File         string
	Line, Column int // from 1
}

// String returns "file:line:column", without the parts that are unknown.
func (p Pos) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.File == "":
		return fmt.Sprintf("line %d, column %d", p.Line, p.Column)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Errorf returns an [*Error] at p.
func (p Pos) Errorf(format string, args ...any) error {
	return &Error{Pos: p, Message: fmt.Sprintf(format, args...)}
}

// An Error is a mistake in the user's input: where it is and what is wrong.
type Error struct {
	Pos     Pos
	Message string
}

func (e *Error) Error() string {
	if at := e.Pos.String(); at != "" {
		return at + ": " + e.Message
	}
	return e.Message
}

// Unknown says that name is no known what, which names are, and which of them
// it may be a misspelling of.
func Unknown(what, name string, known []string) string {
	s := fmt.Sprintf("unknown %s %q", what, name)
	if near := Nearest(name, known); near != "" {
		s += fmt.Sprintf("; did you mean %q?", near)
	}
	if len(known) > 0 {
		sorted := slices.Clone(known)
		slices.Sort(sorted)
		s += " (allowed: " + strings.Join(sorted, ", ") + ")"
	}
	return s
}

// Nearest returns the candidate with the least edit distance to name, or ""
// if none is near enough to be meant.
func Nearest(name string, candidates []string) string {
	best, bestDistance := "", min(2+len(name)/3, len(name)) // less than that
	for _, c := range candidates {
		if d := distance(strings.ToLower(name), strings.ToLower(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

const maxWord = 64

// distance is the optimal string alignment distance: insertions, deletions,
// substitutions and transpositions of neighbours. Words longer than maxWord are
// never near each other.
func distance(a, b string) int {
	if len(a) > maxWord || len(b) > maxWord {
		if a == b {
			return 0
		}
		return max(len(a), len(b))
	}
	var before, last, row [maxWord + 1]int
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			same := 1
			if a[i-1] == b[j-1] {
				same = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+same)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
