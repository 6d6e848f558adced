package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/efficientnas/nas/internal/studydb"
)

func init() {
	findChildren = func() error {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err == syscall.ECHILD {
			return nil
		}
		return fmt.Errorf("there are child processes: %d, %v", pid, err)
	}
	asProcess["hold"] = func() error {
		s, err := Resume(planned().Dir)
		if err != nil {
			return err
		}
		fmt.Println("open", s.Ended())
		select {}
	}
	asProcess["rights"] = rights
}

// planned returns the plan of this process.
func planned() (p plan) {
	if err := json.Unmarshal([]byte(os.Getenv(envPlan)), &p); err != nil {
		panic(err)
	}
	return p
}

// TestSecondProcess keeps a study from all processes but the one that has it open.
func TestSecondProcess(t *testing.T) {
	long(t)
	t.Parallel()
	text, log := trainedBy(t, "good", "", 14)
	dir, want := interrupted(t, text, log, 8)
	config, err := LoadConfig(filepath.Join(dir, configYAML))
	if err != nil {
		t.Fatal(err)
	}
	c, out := process(t, "hold", plan{Dir: dir})
	if !out.Scan() || !strings.HasPrefix(out.Text(), "open") {
		t.Fatal(out.Text())
	}
	path := filepath.Join(dir, studyDB)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	front := outcomeOf(t, dir)[frontCSV]
	says := fmt.Sprintf("%s is in use by process %d on ", path, c.Process.Pid)
	for what, open := range map[string]func() (*Study, error){
		"resume":            func() (*Study, error) { return Resume(dir) },
		"create":            func() (*Study, error) { return Create(config, dir, Options{}, false) },
		"create with force": func() (*Study, error) { return Create(config, dir, Options{}, true) },
	} {
		if _, err := open(); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want %q", what, err, says)
		}
	}
	if r, err := ReadResults(dir); err != nil || frontOf(t, r) != front {
		t.Errorf("the results cannot be read while another process has the study: %v", err)
	}
	if now, err := os.ReadFile(path); err != nil || string(now) != string(before) {
		t.Errorf("the file was changed: %v", err)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.Wait()
	expect(t, dir, want)
}

// TestLockOutlivesProcess opens a study whose process was killed, but whose lock is
// with what that was about to start for another moment.
func TestLockOutlivesProcess(t *testing.T) {
	long(t)
	t.Parallel()
	text, log := trainedBy(t, "good", "", 10)
	dir, want := interrupted(t, text, log, 8)
	c := exec.Command("true")
	if err := c.Run(); err != nil {
		t.Skip(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, studyDB+".lock"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(f, `{"pid": %d, "host": %q, "since": "2026-01-01T00:00:00Z"}`, c.Process.Pid, host)
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := studydb.Open(filepath.Join(dir, studyDB)); err == nil {
		t.Fatal("the study is not locked")
	}
	time.AfterFunc(100*time.Millisecond, func() { f.Close() }) // or any other time within seconds
	expect(t, dir, want)
}

// TestTrainersDieToo kills a process whose trainers are at work: they do not go on
// without it.
func TestTrainersDieToo(t *testing.T) {
	t.Parallel()
	text, log := trainedBy(t, "forever", ", parallel: 3", 6)
	pids := log + "-pids"
	if err := os.Mkdir(pids, 0o755); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c, _ := process(t, "study", plan{Config: config, Dir: filepath.Join(t.TempDir(), "study")})
	var trainers []os.DirEntry
	for begin := time.Now(); len(trainers) < 3; time.Sleep(10 * time.Millisecond) {
		var err error
		if trainers, err = os.ReadDir(pids); err != nil {
			t.Fatal(err)
		}
		if time.Since(begin) > time.Minute {
			t.Fatalf("%d trainers have begun, want 3", len(trainers))
		}
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.Wait()
	for _, trainer := range trainers {
		for begin := time.Now(); runs(trainer.Name()); time.Sleep(10 * time.Millisecond) {
			if time.Since(begin) > 20*time.Second { // their minute is not over
				t.Fatalf("process %s trains on", trainer.Name())
			}
		}
	}
}

// runs reports whether there is a process that has not ended.
func runs(pid string) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z") // of which somebody has yet to take note
}

// rights tries what may not be done in the study's folder, and what may.
func rights() error {
	dir := planned().Dir
	if os.Getuid() == 0 { // whom nothing is forbidden
		if err := syscall.Setuid(65534); err != nil {
			return err
		}
	}
	c, err := LoadConfig(planned().Config)
	if err != nil {
		return err
	}
	_, err = Resume(dir)
	fmt.Println("resume:", errors.Is(err, studydb.ErrReadOnly), err)
	_, err = Create(c, filepath.Join(dir, "below"), Options{}, false)
	fmt.Println("create:", err)
	_, err = Create(c, dir, Options{}, true)
	fmt.Println("replace:", err)
	r, err := ReadResults(dir)
	if err != nil {
		return err
	}
	fmt.Println("front:", len(r.Front))
	return nil
}

// TestReadOnlyFolder reads a study where nothing can be written and its trainer
// cannot be started, and does not go on with it until both can.
func TestReadOnlyFolder(t *testing.T) {
	long(t)
	t.Parallel()
	text, log := trainedBy(t, "good", "", 14)
	from, want := interrupted(t, text, log, 8)
	top, err := os.MkdirTemp("", "runner") // t.TempDir is for its owner alone
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(top)
	dir := filepath.Join(top, "study")
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(dir, studyDB))
	if err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{top: 0o755, dir: 0o555} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	defer os.Chmod(dir, 0o755)
	config := filepath.Join(top, "c.yaml")
	if err := os.WriteFile(config, []byte(study), 0o644); err != nil {
		t.Fatal(err)
	}
	c, out := process(t, "rights", plan{Dir: dir, Config: config})
	var said []string
	for out.Scan() {
		said = append(said, out.Text())
	}
	if err := c.Wait(); err != nil || len(said) != 4 {
		t.Fatalf("%v: said %q", err, said)
	}
	path := filepath.Join(dir, studyDB)
	front := strings.Count(outcomeOf(t, dir)[frontCSV], "\n") - 1
	for i, want := range []string{
		"resume: true " + path + ": the study cannot be written: check the rights",
		"create: mkdir " + filepath.Join(dir, "below") + ": permission denied",
		"replace: ", fmt.Sprintf("front: %d", front),
	} {
		if !strings.HasPrefix(said[i], want) {
			t.Errorf("said %q, want %q", said[i], want)
		}
	}
	if !strings.Contains(said[2], dir) || !strings.Contains(said[2], "permission denied") {
		t.Errorf("said %q", said[2])
	}
	if now, err := os.ReadFile(path); err != nil || string(now) != string(before) {
		t.Errorf("the file was changed: %v", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	expect(t, dir, want)
}

// TestFullDisk fills the disk while a study runs. It ends with an error, keeps what
// it has, also when it is given up, and goes on when there is space.
func TestFullDisk(t *testing.T) {
	long(t)
	predicted := strings.NewReplacer("ALGORITHM", "random", "EVALUATIONS", "9000").Replace(predicted)
	trained, log := trainedBy(t, "some fail", ", parallel: 2", 40)
	for _, c := range []struct {
		name, text string
		full       int // evaluations after which the disk is
	}{
		{"trained", trained, 10},
		{"predicted", predicted, 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			whole := start(t, c.text)
			run(t, whole, 2, 0)
			want := outcomeOf(t, whole.dir)
			if err := errors.Join(os.RemoveAll(log), os.Mkdir(log, 0o755)); err != nil {
				t.Fatal(err)
			}

			disk := t.TempDir()
			if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=8m"); err != nil {
				t.Skip("no right to mount a small disk:", err)
			}
			defer syscall.Unmount(disk, syscall.MNT_DETACH)
			s, err := Create(whole.Config(), filepath.Join(disk, "study"), Options{}, false)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			ballast := filepath.Join(disk, "ballast")
			filled := false
			_, err = s.Run(context.Background(), Options{Workers: 2, Observe: func(p Progress) {
				if !filled && p.Evaluations >= c.full {
					filled = true
					fill(t, ballast)
				}
			}})
			path := filepath.Join(s.dir, studyDB)
			if !errors.Is(err, studydb.ErrFull) || !strings.Contains(err.Error(), path) {
				t.Fatalf("on a full disk: %v", err)
			}
			s.Discard() // as the command does
			stored := make(map[string]int)
			for _, trial := range trialsOf(t, s.dir) {
				if trial.State == studydb.Done || trial.State == studydb.Failed {
					stored[trial.Key] = len(trainings(t, log)[trial.Key])
				}
			}
			if c.name == "trained" && len(stored) < c.full {
				t.Errorf("%d results are stored after %d evaluations", len(stored), c.full)
			}
			if r, err := ReadResults(s.dir); err != nil || len(r.Front) == 0 {
				t.Errorf("the results on a full disk cannot be read: %v", err)
			}
			if s, err := Resume(s.dir); err == nil {
				_, err = s.Run(context.Background(), Options{})
				if !errors.Is(err, studydb.ErrFull) && !errors.Is(err, syscall.ENOSPC) {
					t.Errorf("resumed on a full disk: %v", err)
				}
				s.Close()
			} else if !errors.Is(err, studydb.ErrFull) && !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("resumed on a full disk: %v", err)
			}
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			expect(t, s.dir, want)
			again := trainings(t, log)
			for key, n := range stored {
				if len(again[key]) != n {
					t.Errorf("%s was trained again, whose result was stored", key)
				}
			}
		})
	}
}

// fill fills a disk with a file.
func fill(t testing.TB, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	for _, size := range []int{1 << 16, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(slices.Repeat([]byte{1}, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Error(err)
		}
	}
}
