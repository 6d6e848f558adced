//go:build !windows

package studydb

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// tryLock locks a file, or returns errLocked. Any number may have a shared lock, but
// none beside another one.
func tryLock(f *os.File, shared bool) error {
	how := unix.LOCK_EX
	if shared {
		how = unix.LOCK_SH
	}
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EWOULDBLOCK):
			return errLocked
		}
		return err
	}
}

// release removes the file while it is locked, so that it is nobody else's.
func (l *lock) release() error {
	return errors.Join(os.Remove(l.path), l.file.Close())
}

// syncFolder makes the names in a folder durable.
func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
