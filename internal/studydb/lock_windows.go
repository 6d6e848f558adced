package studydb

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// tryLock locks a byte beyond the text, which others may then still read, or returns
// errLocked. Any number may have a shared lock, but none beside another one.
func tryLock(f *os.File, shared bool) error {
	at := &windows.Overlapped{OffsetHigh: 1}
	how := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if !shared {
		how |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	err := windows.LockFileEx(windows.Handle(f.Fd()), how, 0, 1, 0, at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return errLocked
	}
	return err
}

// release leaves the file, which cannot be removed while it is open.
func (l *lock) release() error { return l.file.Close() }

// syncFolder does nothing: Windows makes names durable by itself.
func syncFolder(string) error { return nil }
