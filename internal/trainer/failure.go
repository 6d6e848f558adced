package trainer

import (
	"fmt"
	"strings"
)

// Reason is a kind of [Failure]. The values are stable: they may be stored.
type Reason string

// Why a trial failed.
const (
	NotStarted Reason = "not started" // the machine lacks something: processes, memory, disk
	Exited     Reason = "exit"        // with a code other than 0
	Signalled  Reason = "signal"      // killed, by someone else
	TimedOut   Reason = "timeout"     // took longer than [Command.Timeout]
	NoResult   Reason = "no result"   // exited with 0 without an accuracy
	BadResult  Reason = "bad result"  // a line whose accuracy or epoch is not what it must be
	TooMuch    Reason = "too much"    // printed more than 1 GiB
)

// Exit codes with a meaning.
const (
	// ExitHopeless tells that another attempt would fail too: EX_DATAERR of BSD.
	ExitHopeless = 65

	exitNotExecutable = 126 // a shell says so
	exitNotFound      = 127
)

// Failure says why a trial has no result. Its texts come from the trainer, but
// are safe to show on a terminal.
type Failure struct {
	Reason  Reason    `json:"reason"`
	Message string    `json:"message"`          // one line, what happened
	Code    int       `json:"code,omitempty"`   // of Exited, else 0
	Last    *Progress `json:"last,omitempty"`   // the last progress; nil if there was none
	Stderr  string    `json:"stderr,omitempty"` // the end of standard error, by [SafeText]
	Seconds float64   `json:"seconds"`          // from start to end
}

// maxReasonLine is how many bytes of a line of standard error an error message
// repeats.
const maxReasonLine = 200

// Error returns the message, for a process that failed with the last line of its
// standard error: with most languages it says what went wrong.
func (f *Failure) Error() string {
	if f.Reason != Exited && f.Reason != Signalled && f.Reason != NoResult {
		return f.Message
	}
	last := strings.TrimSpace(f.Stderr)
	last = strings.TrimSpace(last[strings.LastIndexByte(last, '\n')+1:])
	if last == "" {
		return f.Message
	}
	if len(last) > maxReasonLine {
		last = strings.ToValidUTF8(last[:maxReasonLine], "") + "..."
	}
	return fmt.Sprintf("%s: %s", f.Message, last)
}

// Retry reports whether another attempt at the same trial makes sense: whether
// the failure may have come from the machine, or from chance. What a trainer
// says wrongly or takes too long for, it would again.
func (f *Failure) Retry() bool {
	switch f.Reason {
	case NotStarted, Signalled:
		return true
	case Exited:
		return f.Code != ExitHopeless && f.Code != exitNotExecutable && f.Code != exitNotFound
	}
	return false
}
