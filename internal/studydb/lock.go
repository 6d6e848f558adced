package studydb

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	for {
		var err error
		if l.file, err = os.OpenFile(l.path, os.O_RDWR|os.O_CREATE, 0o644); err != nil {
			return nil, explain(path, err)
		}
		if err = tryLock(l.file); err != nil {
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

func (l *lock) inUse(path string) error {
	e := &InUseError{Path: path}
	var h holder
	if text, err := io.ReadAll(io.LimitReader(l.file, 4096)); err == nil && json.Unmarshal(text, &h) == nil {
		e.PID, e.Host, e.Since = h.PID, h.Host, h.Since
	}
	return e
}
