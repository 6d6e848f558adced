package studydb

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func init() {
	children["rights"] = rights
}

// rights tries what may not be done in the study's folder, and what may.
func rights(path string) error {
	if os.Getuid() == 0 { // whom nothing is forbidden
		if err := syscall.Setuid(65534); err != nil {
			return err
		}
	}
	_, err := Open(path)
	fmt.Println("open:", errors.Is(err, ErrReadOnly), err)
	_, err = Create(path+"2", Study{})
	fmt.Println("create:", errors.Is(err, ErrReadOnly), err)
	r, err := OpenRead(path)
	if err != nil {
		fmt.Println("read:", err)
		return nil
	}
	defer r.Close()
	trials, err := r.Trials()
	fmt.Println("read:", len(trials), err)
	return nil
}

func TestReadOnly(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, w *Writer)
		read    string
	}{
		{"closed", func(t *testing.T, w *Writer) { must(t, w.Close()) }, "read: 20 <nil>"},
		{"while a run goes on", func(t *testing.T, w *Writer) {}, "read: 20 <nil>"},
		{"log without its index", func(t *testing.T, w *Writer) {
			log := must1[[]byte](t)(os.ReadFile(w.path + "-wal"))
			must(t, w.Close())
			must(t, os.WriteFile(w.path+"-wal", log, 0o644))
		}, "read a copy of study.db and study.db-wal in a folder that can be written"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := must1[string](t)(os.MkdirTemp("", "studydb")) // t.TempDir is for its owner alone
			defer os.RemoveAll(dir)
			path := filepath.Join(dir, "study.db")
			w := must1[*Writer](t)(Create(path, Study{Name: "test"}))
			defer w.Close()
			fill(t, w, 20)
			c.prepare(t, w)
			must(t, os.Chmod(dir, 0o555))
			defer os.Chmod(dir, 0o755)

			p, out := child(t, "rights", path)
			var lines []string
			for out.Scan() {
				lines = append(lines, out.Text())
			}
			must(t, p.Wait())
			got := strings.Join(lines, "\n")
			for _, want := range []string{"open: true " + path + ": the study cannot be written: check the rights", "create: true " + path + "2: the study cannot be written", c.read} {
				if !strings.Contains(got, want) {
					t.Errorf("said\n%s\nwant %q", got, want)
				}
			}
		})
	}
}

// A study whose file may not be written, in a folder that may, is refused as well.
func TestReadOnlyFile(t *testing.T) {
	dir := must1[string](t)(os.MkdirTemp("", "studydb"))
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "study.db")
	w := must1[*Writer](t)(Create(path, Study{Name: "test"}))
	fill(t, w, 20)
	must(t, w.Close())
	must(t, os.Chmod(dir, 0o777))
	must(t, os.Chmod(path, 0o444))
	p, out := child(t, "rights", path)
	var lines []string
	for out.Scan() {
		lines = append(lines, out.Text())
	}
	must(t, p.Wait())
	if got := strings.Join(lines, "\n"); !strings.Contains(got, "open: true "+path) || !strings.Contains(got, "read: 20 <nil>") {
		t.Errorf("said\n%s", got)
	}
}

// A disk that is really full loses nothing, while the run goes on and after it was
// opened again.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skip("no right to mount a small disk:", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	path := filepath.Join(dir, "study.db")
	w := must1[*Writer](t)(Create(path, Study{Name: "test"}))
	defer func() { w.Close() }()
	stored := 0
	var err error
	for ; err == nil; stored++ {
		if err = w.Queue(proposal(stored)); err == nil {
			_, err = w.Finish(result(stored))
		}
	}
	stored-- // the last one failed
	if !errors.Is(err, ErrFull) {
		t.Fatalf("after %d trials: %v", stored, err)
	}
	check := func() {
		t.Helper()
		for id, trial := range must1[[]Trial](t)(w.Trials(Done, Failed)) {
			equal(t, "result", trial.Result, result(id))
		}
		count := must1[map[State]int](t)(w.Count())
		equal(t, "finished", count[Done]+count[Failed], stored)
	}
	check()
	if err := w.Save(Checkpoint{State: make([]byte, 1<<20)}); !errors.Is(err, ErrFull) {
		t.Errorf("a state: %v", err)
	}
	if _, err := Create(path+"2", Study{Files: map[string][]byte{"a": make([]byte, 1<<20)}}); !errors.Is(err, ErrFull) {
		t.Errorf("another study: %v", err)
	}
	if _, err := os.Stat(path + "2"); err == nil {
		t.Error("half a study was left")
	}
	check()
	must(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=20m"))
	must1[[]Verdict](t)(nil, w.Queue(proposal(stored)))
	must1[[]Verdict](t)(w.Finish(result(stored)))
	stored++
	check()
	must(t, w.Close())
	w = must1[*Writer](t)(Open(path))
	check()
}
