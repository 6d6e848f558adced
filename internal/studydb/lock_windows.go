package studydb

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// tryLock locks a byte beyond the text, which others may then still read.
func tryLock(f *os.File) error {
	at := &windows.Overlapped{OffsetHigh: 1}
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return errLocked
	}
	return err
}

// release leaves the file, which cannot be removed while it is open.
func (l *lock) release() error { return l.file.Close() }

// syncFolder does nothing: Windows makes names durable by itself.
func syncFolder(string) error { return nil }
