package studydb

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

var (
	// ErrNotStudy is returned for a file that is something else than a study.
	ErrNotStudy = errors.New("not a study of nas")
	// ErrCorrupt is returned for a study that is damaged. Nothing repairs one
	// silently.
	ErrCorrupt = errors.New("the study is damaged")
	// ErrNewer is returned for a study that a newer nas has written.
	ErrNewer = errors.New("written by a newer nas")
	// ErrFull is returned when the disk is full. What was stored before is safe, and
	// the call may be repeated when there is space again.
	ErrFull = errors.New("the disk is full")
	// ErrReadOnly is returned when the study's file cannot be written.
	ErrReadOnly = errors.New("the study cannot be written")
	// ErrConflict is returned when a trial's number or key is that of another trial.
	ErrConflict = errors.New("conflicting trials")
	// ErrUnknown is returned for the number of a trial that is not there.
	ErrUnknown = errors.New("no such trial")
)

// InUseError is returned for a study that another process writes.
type InUseError struct {
	Path  string
	PID   int // 0 if the process has not yet said who it is
	Host  string
	Since time.Time
}

func (e *InUseError) Error() string {
	if e.PID == 0 {
		return e.Path + " is in use by another process"
	}
	return fmt.Sprintf("%s is in use by process %d on %s since %s", e.Path, e.PID, e.Host, e.Since.Local().Format(time.DateTime))
}

// explain says in the user's words what SQLite reports about the file at path.
func explain(path string, err error) error {
	var e *sqlite.Error
	switch {
	case errors.As(err, &e):
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%s: %w; make space and go on: %w", path, ErrFull, err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s: %w: check the rights of the file and its folder: %w", path, ErrReadOnly, err)
	default:
		return fmt.Errorf("%s: %w", path, err)
	}
	switch e.Code() & 0xff { // the rest says more exactly where it went wrong
	case sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%s: %w: no SQLite database, or its first bytes are damaged", path, ErrNotStudy)
	case sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("%s: %w; restore it from a copy: %w", path, ErrCorrupt, err)
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%s: %w; make space and go on: %w", path, ErrFull, err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return fmt.Errorf("%s: %w: check the rights of the file and its folder: %w", path, ErrReadOnly, err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%s: another program has locked it for longer than %v; close that one: %w", path, patience, err)
	}
	return fmt.Errorf("%s: %w", path, err)
}

// damaged returns err, of reading what SQLite has returned, as [ErrCorrupt]: nobody
// writes what cannot be read.
func damaged(err error) error {
	var e *sqlite.Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// hasCode reports whether err is one of SQLite's with one of the primary codes.
func hasCode(err error, codes ...int) bool {
	var e *sqlite.Error
	if errors.As(err, &e) {
		for _, code := range codes {
			if e.Code()&0xff == code {
				return true
			}
		}
	}
	return false
}
