package studydb

import (
	"errors"
	"os"
	"testing"
	"time"
)

// Holder says who has a study open, and is in nobody's way.
func TestHolder(t *testing.T) {
	w := create(t)
	path := w.path
	for range 2 {
		h := must1[*InUseError](t)(Holder(path))
		if h == nil || h.PID != os.Getpid() || time.Since(h.Since) > time.Minute {
			t.Errorf("held by %+v", h)
		}
	}
	must(t, w.Close())
	if h := must1[*InUseError](t)(Holder(path)); h != nil {
		t.Errorf("held by %+v after it was closed", h)
	}

	c, out := child(t, "hold", path)
	defer c.Process.Kill()
	if !out.Scan() {
		t.Fatal("no child")
	}
	if h := must1[*InUseError](t)(Holder(path)); h == nil || h.PID != c.Process.Pid {
		t.Errorf("held by %+v, want process %d", h, c.Process.Pid)
	}
	must(t, c.Process.Kill())
	c.Wait()
	if h := must1[*InUseError](t)(Holder(path)); h != nil {
		t.Errorf("held by %+v, which was killed", h)
	}
}

// However often somebody looks, a study can be opened; and who looks sees it open
// only when it is.
func TestHolderDoesNotHinder(t *testing.T) {
	w := create(t)
	path := w.path
	must(t, w.Close())
	must(t, os.WriteFile(path+".lock", nil, 0o644)) // as of a process that was killed
	end := make(chan struct{})
	looked := make(chan error)
	for range 4 {
		go func() {
			var err error
			for {
				select {
				case <-end:
					looked <- err
					return
				default:
				}
				_, e := Holder(path)
				err = errors.Join(err, e)
			}
		}()
	}
	for range 50 {
		w, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if h, err := Holder(path); h == nil || err != nil {
			t.Errorf("open, but held by %v, %v", h, err)
		}
		must(t, w.Close())
	}
	close(end)
	for range 4 {
		must(t, <-looked)
	}
}
