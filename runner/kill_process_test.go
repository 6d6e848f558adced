package runner

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/efficientnas/nas/internal/studydb"
)

// A plan is what a process is to do with a study.
type plan struct {
	Config  string // its file
	Dir     string
	Workers int
}

func init() { asProcess["study"] = studyProcess }

// studyProcess begins the study of a plan, or goes on with it, and says how far it
// is.
func studyProcess() error {
	var p plan
	if err := json.Unmarshal([]byte(os.Getenv(envPlan)), &p); err != nil {
		return err
	}
	c, err := LoadConfig(p.Config)
	if err != nil {
		return err
	}
	fmt.Println("begin")
	var s *Study
	if _, err := os.Stat(filepath.Join(p.Dir, studyDB)); errors.Is(err, fs.ErrNotExist) {
		s, err = Create(c, p.Dir, Options{}, false)
		if err != nil {
			return err
		}
	} else if s, err = Resume(p.Dir); err != nil {
		return err
	}
	r, err := s.Run(context.Background(), Options{Workers: p.Workers, Observe: func(p Progress) { fmt.Println("evaluated", p.Evaluations) }})
	if err != nil {
		return err
	}
	fmt.Println("ended", r.Run.Status)
	return s.Close()
}

// process starts a process of a plan, and returns what it prints.
func process(t testing.TB, what string, p plan) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe)
	c.Env = append(os.Environ(), envTest+"="+what, envPlan+"="+string(text), "GORACE=atexit_sleep_ms=0")
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill() }) // unless it has ended
	return c, bufio.NewScanner(out)
}

const trained = `name: trained
space:
  input: {resolution: [24, 32]}
  stem: {width: [8, 16], stride: 2}
  stages:
    - {block: [conv, inverted], width: [16, 24, 32], depth: [1, 2], stride: 2, expansion: [2, 4]}
    - {block: [separable, inverted], width: [32, 48, 64], depth: [1, 2], stride: 2, expansion: [2, 4]}
  head: {classes: 10}
objectives: {maximize: [accuracy], minimize: [macs]}
constraints: {macs: 700k}
accuracy: ACCURACY
search: {algorithm: ALGORITHM, evaluations: EVALUATIONS, seed: 7}
`

const predicted = `name: predicted
space:
  input: {resolution: [64, 96, 128]}
  stem: {width: [16, 24], stride: 2}
  stages:
    - {block: [separable, inverted, fire], width: [16, 24, 32], depth: [1, 2], stride: 2, expansion: [2, 4]}
    - {block: [separable, inverted, shuffle], width: [48, 64, 96], depth: [1, 2], stride: 2, groups: [2, 4]}
    - {block: [separable, inverted, shuffle], width: [96, 128, 192], depth: [1, 2], stride: 2, groups: [2, 4]}
  head: {classes: 1000}
objectives: {maximize: [accuracy], minimize: [macs]}
constraints: {macs: 60M}
accuracy: {predictor: imagenet}
search: {algorithm: ALGORITHM, evaluations: EVALUATIONS, seed: 7}
`

// TestKill kills processes that run studies, at random moments, and goes on with the studies, by
// other numbers of workers. They come to what an uninterrupted one of them comes to.
func TestKill(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	kills := 0
	for _, c := range []struct {
		name, algorithm, text string
		evaluations           int
		lines                 int // progress between kills, at most
		kills, short          int
	}{
		{"trained/random", "random", trained, 40, 5, 9, 0},
		{"trained/evolution", "evolution", trained, 40, 5, 9, 0},
		{"trained/nsga2", "nsga2, population: 8", trained, 40, 5, 9, 0},
		{"trained/guided", "guided", trained, 40, 5, 9, 2},
		{"predicted/random", "random", predicted, 20000, 12, 6, 0},
		{"predicted/evolution", "evolution, population: 40", predicted, 4000, 20, 6, 0},
		{"predicted/nsga2", "nsga2, population: 40", predicted, 4000, 20, 6, 0},
		{"predicted/local", "local", predicted, 800, 2, 0, 2}, // with -short
		{"predicted/guided", "guided", predicted, 80, 6, 6, 0},
	} {
		times := c.kills
		if testing.Short() {
			times = c.short
		}
		if times == 0 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			text := strings.NewReplacer("ALGORITHM", c.algorithm, "EVALUATIONS", fmt.Sprint(c.evaluations)).Replace(c.text)
			text, log := withTrainer(t, text, "some fail", "")
			config := filepath.Join(t.TempDir(), "c.yaml")
			if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			want := uninterrupted(t, config)
			if c.text == trained {
				if strings.Contains(want[runJSON], `"failed": 0`) || strings.Contains(want[runJSON], `"infeasible": 0`) {
					t.Fatal("no training failed, or no network was too large: choose another seed")
				}
				os.RemoveAll(log)
				os.Mkdir(log, 0o755)
			}
			k := killer{plan: plan{Config: config, Dir: filepath.Join(t.TempDir(), "study")}, log: log, last: c.evaluations, rng: rng}
			for i := range times {
				lines := rng.IntN(c.lines)
				switch i {
				case 0:
					lines = 0 // before it has begun
				case times - 1:
					lines = -1 // while it ends
				}
				if k.kill(t, lines) {
					kills++
				} else if i < times-1 {
					t.Errorf("run %d ended before it was killed", i+1)
				}
			}
			k.kill(t, never)
			got := outcomeOf(t, k.plan.Dir)
			for name := range want {
				if diff := cmp.Diff(want[name], got[name]); diff != "" {
					t.Errorf("%s is another than without interruption:\n%s", name, diff)
				}
			}
			if len(got) != len(want) {
				t.Errorf("there are %d files, want %d", len(got), len(want))
			}
		})
	}
	t.Logf("%d processes were killed", kills)
}

// TestLogLost goes on with a study of which the log of what was written last is lost,
// or a part of it: what was in it is done again.
func TestLogLost(t *testing.T) {
	long(t)
	t.Parallel()
	text, log := trainedBy(t, "some fail", ", parallel: 2", 16)
	config := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	want := uninterrupted(t, config)
	for what, lose := range map[string]func(path string, size int64) error{
		"all of it": func(path string, _ int64) error { return os.Remove(path) },
		"the end":   func(path string, size int64) error { return os.Truncate(path, size*2/3) },
		"the middle": func(path string, size int64) error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt(make([]byte, 1000), size/2)
			return errors.Join(err, f.Close())
		},
	} {
		k := killer{plan: plan{Config: config, Dir: filepath.Join(t.TempDir(), "study")}, log: log, last: 16, rng: rand.New(rand.NewPCG(1, 1))}
		if !k.kill(t, 10) {
			t.Fatal("the process ended before it was killed")
		}
		path := filepath.Join(k.plan.Dir, studyDB+"-wal")
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := lose(path, info.Size()); err != nil {
			t.Fatal(err)
		}
		os.Remove(filepath.Join(k.plan.Dir, studyDB+"-shm"))
		expect(t, k.plan.Dir, want)
		if t.Failed() {
			t.Fatalf("%s was lost", what)
		}
	}
}

// uninterrupted returns what the study of a configuration finds.
func uninterrupted(t *testing.T, config string) map[string]string {
	t.Helper()
	c, err := LoadConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Create(c, filepath.Join(t.TempDir(), "study"), Options{}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Run(t.Context(), Options{Workers: 1}); err != nil {
		t.Fatal(err)
	}
	return outcomeOf(t, s.dir)
}

// A killer runs a study again and again in processes that it kills.
type killer struct {
	plan plan
	log  string // of trainers
	last int    // evaluations of the whole study
	rng  *rand.Rand
	runs int
}

const never = 1 << 30

// kill runs the study in a process that is killed, if it has not ended by then, a moment after it has said so many
// things, or after the last evaluation if lines is negative. It reports whether it
// killed it.
func (k *killer) kill(t *testing.T, lines int) bool {
	t.Helper()
	stored, before := k.stored(t), trainings(t, k.log)
	k.plan.Workers = []int{1, 3}[k.runs%2]
	k.runs++
	c, out := process(t, "study", k.plan)
	moment := time.Duration(k.rng.IntN(30_000)) * time.Microsecond
	ended := false
	for i := 0; out.Scan(); i++ {
		text := out.Text()
		if strings.HasPrefix(text, "error") {
			t.Errorf("run %d: %s", k.runs, text)
		}
		ended = ended || strings.HasPrefix(text, "ended")
		if i == lines || lines < 0 && text == fmt.Sprint("evaluated ", k.last) {
			go func() {
				time.Sleep(moment) // to hit what it does then, whatever that is
				c.Process.Kill()
			}()
		}
	}
	err := c.Wait()
	if err == nil && !ended {
		t.Errorf("run %d ended without saying so", k.runs)
	}
	if err != nil && (lines == never || !strings.Contains(err.Error(), "signal")) {
		t.Fatalf("run %d: %v", k.runs, err)
	}
	k.look(t)
	after := trainings(t, k.log)
	for key := range stored {
		if len(after[key]) != len(before[key]) {
			t.Errorf("run %d: %s was trained again, whose result was stored", k.runs, key)
		}
	}
	return err != nil
}

// look reads the results of a study that was killed.
func (k *killer) look(t *testing.T) {
	t.Helper()
	r, err := ReadResults(k.plan.Dir)
	switch {
	case err != nil && (strings.Contains(err.Error(), "has just begun") || strings.Contains(err.Error(), "before any network met all constraints")):
	case err != nil:
		if _, none := os.Stat(filepath.Join(k.plan.Dir, studyDB)); none == nil {
			t.Errorf("after run %d: %v", k.runs, err)
		}
	case r.Trials != nil:
		if len(r.Front) > 0 || slices.ContainsFunc(r.Trials, func(x Trial) bool { return x.State == "done" }) {
			checkFront(t, r)
		}
	case r.Run.Source == "predictor" && (len(r.Front) == 0 || r.Run.Evaluations > k.last):
		t.Errorf("after run %d: %d networks on the front after %d evaluations", k.runs, len(r.Front), r.Run.Evaluations)
	}
}

// stored returns the keys of the networks whose results are stored.
func (k *killer) stored(t *testing.T) map[string]bool {
	t.Helper()
	path := filepath.Join(k.plan.Dir, studyDB)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	r, err := studydb.OpenRead(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	all, err := r.Trials(studydb.Done, studydb.Failed)
	if err != nil {
		t.Fatal(err)
	}
	keys := make(map[string]bool)
	for _, trial := range all {
		keys[trial.Key] = true
	}
	return keys
}
