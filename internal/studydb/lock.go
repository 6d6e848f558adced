package studydb

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// A lock makes sure that one process writes a study. The operating system holds
// it and lets it go when the process ends, however it ends.
//
// It is on a file of its own: SQLite's locks on study.db end when anything else
// in the process closes that file.
type lock struct {
	file *os.File
	path string
}

// holder is what the lock's file says.
type holder struct {
	PID   int       `json:"pid"`
	Host  string    `json:"host"`
	Since time.Time `json:"since"`
}

// errLocked is returned by tryLock if another has the lock.
var errLocked = errors.New("locked")

// acquire locks the study at path, or returns an [*InUseError].
func acquire(path string) (*lock, error) {
	l := &lock{path: path + ".lock"}
	begin := time.Now()
	for {
		var err error
		if l.file, err = os.OpenFile(l.path, os.O_RDWR|os.O_CREATE, 0o644); err != nil {
			return nil, explain(path, err)
		}
		if err = tryLock(l.file, false); err != nil {
			if errors.Is(err, errLocked) && time.Since(begin) < patience && tryLock(l.file, true) == nil {
				l.file.Close() // nobody has it but who looks, as Holder does: for a moment
				time.Sleep(time.Millisecond)
				continue
			}
			defer l.file.Close()
			if errors.Is(err, errLocked) {
				return nil, l.inUse(path)
			}
			return nil, fmt.Errorf("%s: lock: %w", l.path, err)
		}
		if l.current() {
			break
		}
		l.file.Close() // the one who had it has removed the file meanwhile
	}
	host, _ := os.Hostname()
	text, err := json.Marshal(holder{os.Getpid(), host, time.Now().UTC().Truncate(time.Second)})
	if err == nil {
		err = l.file.Truncate(0)
	}
	if err == nil {
		_, err = l.file.WriteAt(text, 0)
	}
	if err != nil {
		l.release()
		return nil, explain(path, err)
	}
	return l, nil
}

// current reports whether what is locked is still the file of that name.
func (l *lock) current() bool {
	mine, err := l.file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(l.path)
	return err == nil && os.SameFile(mine, there)
}

// Holder returns which process has the study at path open for writing, or nil if
// none has. It writes nothing, and keeps no process from opening the study.
func Holder(path string) (*InUseError, error) {
	l := &lock{path: path + ".lock"}
	var err error
	if l.file, err = os.Open(l.path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer l.file.Close()
	// Shared, so that acquire can tell it from a lock that is held to write.
	err = tryLock(l.file, true)
	if err != nil && !errors.Is(err, errLocked) {
		return nil, fmt.Errorf("%s: lock: %w", l.path, err)
	}
	if err == nil || !l.current() {
		return nil, nil
	}
	return l.inUse(path), nil
}

func (l *lock) inUse(path string) *InUseError {
	e := &InUseError{Path: path}
	var h holder
	if text, err := io.ReadAll(io.LimitReader(l.file, 4096)); err == nil && json.Unmarshal(text, &h) == nil {
		e.PID, e.Host, e.Since = h.PID, h.Host, h.Since
	}
	return e
}
