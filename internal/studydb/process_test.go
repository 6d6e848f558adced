package studydb

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// The test binary runs itself again, as a process that can be killed.
const childEnv, pathEnv = "STUDYDB_CHILD", "STUDYDB_PATH"

func TestMain(m *testing.M) {
	if what := os.Getenv(childEnv); what != "" {
		if err := children[what](os.Getenv(pathEnv)); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// children are what such processes do with a study.
var children = map[string]func(path string) error{
	"hold":  hold,
	"write": write,
}

// child starts a process, and returns it and what it prints.
func child(t *testing.T, what, path string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	c := exec.Command(must1[string](t)(os.Executable()))
	c.Env = append(os.Environ(), childEnv+"="+what, pathEnv+"="+path)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	return c, bufio.NewScanner(out)
}

// hold opens the study and keeps it until it is killed.
func hold(path string) error {
	if _, err := Open(path); err != nil {
		return err
	}
	fmt.Println("open")
	select {}
}

func TestSecondProcess(t *testing.T) {
	w := create(t)
	path := w.path
	fill(t, w, 3)
	must(t, w.Close())
	c, out := child(t, "hold", path)
	defer c.Process.Kill()
	if !out.Scan() || out.Text() != "open" {
		t.Fatal(out.Text())
	}
	for range 2 {
		_, err := Open(path)
		var used *InUseError
		if !errors.As(err, &used) {
			t.Fatalf("second process: %v", err)
		}
		host, _ := os.Hostname()
		if used.PID != c.Process.Pid || used.Host != host || time.Since(used.Since) < 0 {
			t.Errorf("in use by %+v, want process %d on %s", used, c.Process.Pid, host)
		}
		want := fmt.Sprintf("%s is in use by process %d on %s since %s", path, c.Process.Pid, host, used.Since.Local().Format(time.DateTime))
		equal(t, "message", err.Error(), want)
	}
	r := must1[*Reader](t)(OpenRead(path)) // reading is free
	equal(t, "trials", len(must1[[]Trial](t)(r.Trials())), 3)
	must(t, r.Close())

	must(t, c.Process.Kill())
	c.Wait()
	w = must1[*Writer](t)(Open(path))
	if _, err := Open(path); !errors.As(err, new(*InUseError)) {
		t.Errorf("second one in the process: %v", err)
	}
	must(t, w.Close())
	must(t, must1[*Writer](t)(Open(path)).Close())
}

// Who finds a lock whose holder has not written its name yet says so.
func TestInUseWithoutName(t *testing.T) {
	w := create(t)
	must(t, w.lock.file.Truncate(0))
	if _, err := Open(w.path); err == nil || err.Error() != w.path+" is in use by another process" {
		t.Errorf("in use: %v", err)
	}
}

const writers = 4

// write goes on with the study in several goroutines, and says what is stored.
func write(path string) error {
	w, err := Open(path)
	if err != nil {
		return err
	}
	trials, err := w.Trials()
	if err != nil {
		return err
	}
	next := 0
	if len(trials) > 0 {
		next = trials[len(trials)-1].ID + 1
	}
	c, err := w.Checkpoint()
	if err != nil {
		return err
	}
	var out sync.Mutex
	say := func(format string, args ...any) {
		out.Lock()
		defer out.Unlock()
		fmt.Printf(format+"\n", args...)
	}
	failed := make(chan error)
	for g := range writers {
		go func() {
			for id := next + g; ; id += writers {
				if err := w.Queue(proposal(id)); err != nil {
					failed <- err
				}
				say("queued %d", id)
				if err := errors.Join(w.Start("a", id), w.Progress(Epoch{Trial: id, Epoch: 1, Accuracy: 0.5})); err != nil {
					failed <- err
				}
				if _, err := w.Finish(result(id)); err != nil {
					failed <- err
				}
				say("done %d", id)
			}
		}()
	}
	go func() {
		for n := c.Evaluations + 1; ; n++ {
			if err := w.Save(checkpoint(n)); err != nil {
				failed <- err
			}
			say("state %d", n)
		}
	}()
	return <-failed
}

// checkpoint returns one whose parts all tell its number.
func checkpoint(n int) Checkpoint {
	return Checkpoint{
		Evaluations: n, State: []byte(strings.Repeat(fmt.Sprint(n, " "), 5000)),
		Generations: []Generation{{Evaluations: n, Front: n}}, Archive: []Member{{ID: n, Objectives: []float64{float64(n)}}},
	}
}

// What a process has stored is there after it was killed, at whatever moment, and
// the study can be gone on with.
func TestKill(t *testing.T) {
	times := 50
	if testing.Short() {
		times = 3
	}
	w := create(t)
	path := w.path
	must(t, w.Close())
	queued, done := make(map[int]bool), make(map[int]bool)
	state := 0
	for kill := range times {
		c, out := child(t, "write", path)
		// After so many lines, and a moment, which may end within a write.
		lines := rand.IntN(60)
		for i := 0; out.Scan(); i++ {
			var what string
			var n int
			if _, err := fmt.Sscan(out.Text(), &what, &n); err != nil {
				t.Fatal(out.Text())
			}
			switch what {
			case "queued":
				queued[n] = true
			case "done":
				done[n] = true
			case "state":
				state = max(state, n)
			}
			if i == lines {
				go func() {
					time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
					c.Process.Kill()
				}()
			}
		}
		if err := c.Wait(); err == nil || strings.Contains(err.Error(), "exit status") {
			t.Fatalf("the process ended by itself: %v", err)
		}

		// In turn: a reader first, a writer first, nobody before the next process.
		switch kill % 3 {
		case 0:
			r := must1[*Reader](t)(OpenRead(path))
			survived(t, r, queued, done, state)
			must(t, r.Close())
		case 1:
			w := must1[*Writer](t)(Open(path))
			survived(t, w.Reader, queued, done, state)
			must(t, w.Close())
		}
	}
	w = must1[*Writer](t)(Open(path))
	defer w.Close()
	survived(t, w.Reader, queued, done, state)
	t.Logf("%d trials queued, %d finished, state %d, all there", len(queued), len(done), state)
	if len(done) == 0 || state == 0 {
		t.Errorf("nothing was stored: %d trials, state %d", len(done), state)
	}
}

// survived checks that the study has what was said to be stored, and nothing by halves.
func survived(t *testing.T, r *Reader, queued, done map[int]bool, state int) {
	t.Helper()
	var verdict string
	must(t, r.db.QueryRow("PRAGMA integrity_check").Scan(&verdict))
	equal(t, "integrity", verdict, "ok")
	there, finished := make(map[int]bool), make(map[int]bool)
	for _, trial := range must1[[]Trial](t)(r.Trials()) {
		there[trial.ID] = true
		if !reflect.DeepEqual(trial.Proposal, proposal(trial.ID)) {
			t.Errorf("trial %d was stored as %+v", trial.ID, trial.Proposal)
		}
		if trial.State == Done || trial.State == Failed {
			finished[trial.ID] = true
			if !reflect.DeepEqual(trial.Result, result(trial.ID)) || trial.Last != (Epoch{trial.ID, 1, 1, 0.5}) {
				t.Errorf("trial %d was finished as %+v after %+v", trial.ID, trial.Result, trial.Last)
			}
		}
	}
	for id := range queued {
		if !there[id] {
			t.Errorf("trial %d was queued, and is lost", id)
		}
	}
	for id := range done {
		if !finished[id] {
			t.Errorf("trial %d was finished, and is lost", id)
		}
	}
	c := must1[Checkpoint](t)(r.Checkpoint())
	if c.Evaluations < state {
		t.Errorf("the state after %d evaluations was saved, and that after %d is there", state, c.Evaluations)
	}
	if c.Evaluations == 0 {
		return
	}
	want := checkpoint(c.Evaluations)
	equal(t, "state", string(c.State), string(want.State))
	equal(t, "archive", must1[[]Member](t)(r.Archive()), want.Archive)
	equal(t, "generations", len(must1[[]Generation](t)(r.Generations())), c.Evaluations)
}
