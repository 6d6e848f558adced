package runner

import (
	"crypto/sha256"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/efficientnas/nas/internal/trainer"
)

// The test binary runs itself again: as a trainer, and as a process that runs a
// study and can be killed.
const (
	envTest = "NAS_TEST"      // what to be, one of asProcess, or "trainer" and how it behaves
	envPlan = "NAS_TEST_PLAN" // of asProcess: a plan, as JSON
	envLog  = "NAS_TEST_LOG"  // folder where trainers say what they were asked; none if empty
)

// asProcess are what such processes do.
var asProcess = make(map[string]func() error)

func TestMain(m *testing.M) {
	what := os.Getenv(envTest)
	if behaviour, ok := strings.CutPrefix(what, "trainer "); ok {
		train(behaviour)
		os.Exit(0)
	}
	// States are kept as often as can be: so there is one when a study is interrupted,
	// and a process is also killed while it keeps one.
	keepEvery = time.Nanosecond
	if what != "" {
		if err := asProcess[what](); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if err := findChildren(); err != nil {
		fmt.Fprintln(os.Stderr, "after all tests:", err)
		code = 1
	}
	os.Exit(code)
}

// findChildren returns an error if this process has children, zombies included.
var findChildren = func() error { return nil } // where nobody can tell

// long skips a test that takes long, above all with the race detector, and shows
// nothing of goroutines that others do not.
func long(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("not with -short")
	}
}

// withTrainer returns a configuration of which a part says where accuracies come
// from, as ACCURACY, whose networks are trained by this binary, and the folder where
// trainers say what they were asked. What else there is of "accuracy" is further.
func withTrainer(t testing.TB, text, behaviour, further string) (config, log string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	log = t.TempDir()
	// With GORACE, as else the detector lets each sleep for a second.
	source := fmt.Sprintf(`{command: [%q], env: {%s: %q, %s: %q, GORACE: "atexit_sleep_ms=0"}%s}`,
		exe, envTest, "trainer "+behaviour, envLog, log, further)
	return strings.Replace(text, "ACCURACY", source, 1), log
}

// train is the main function of a trainer. What it does depends on the network alone,
// unless its behaviour says otherwise.
func train(behaviour string) {
	var r trainer.Request
	data, err := io.ReadAll(os.Stdin)
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err == nil {
		err = note(os.Getenv(envLog), r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(trainer.ExitHopeless)
	}
	behave(behaviour, r)
}

// note adds what a trainer was asked to the log in a folder: a file for each training,
// that is there whole or not at all, as trainers are killed.
func note(dir string, r trainer.Request) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	partial := filepath.Join(dir, fmt.Sprint(".", os.Getpid()))
	if err := os.WriteFile(partial, data, 0o644); err != nil {
		return err
	}
	for n := 1; ; n++ {
		if err := os.Link(partial, filepath.Join(dir, fmt.Sprintf("%s.%03d", r.Key, n))); !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
}

// trainings returns what trainers were asked, by the network's key, in order.
func trainings(t testing.TB, log string) map[string][]trainer.Request {
	t.Helper()
	files, err := os.ReadDir(log)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]trainer.Request)
	for _, f := range files { // sorted by their names
		key, _, _ := strings.Cut(f.Name(), ".")
		if key == "" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(log, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		var r trainer.Request
		if err := json.Unmarshal(data, &r); err != nil {
			t.Fatalf("%s: %v", f.Name(), err)
		}
		all[key] = append(all[key], r)
	}
	return all
}

// lot returns a number below n that depends on the key and nothing else.
func lot(key string, n int) int {
	digest := sha256.Sum256([]byte(key))
	return int(digest[0]) % n
}

// accuracyOf returns the accuracy that the trainers reach: larger networks have a
// greater one, but for some luck.
func accuracyOf(r *trainer.Request) float64 {
	digest := sha256.Sum256([]byte("luck of " + r.Key))
	a := 0.08*math.Log(r.Costs["macs"]) - 0.5 + float64(digest[0])/256*0.1
	return math.Round(a*1e6) / 1e6
}

// The files of a study that tell what it found, and which columns of them tell of
// how it got there: of the time that it took, and of attempts.
var outcomes = map[string][]string{
	frontCSV: nil, frontJSON: nil, exploredCSV: nil, runJSON: nil, recordsJSONL: nil,
	historyCSV: {"seconds"}, trialsCSV: {"attempts", "seconds", "worker"},
}

// outcomeOf returns what a study has found, by file.
func outcomeOf(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	for name, left := range outcomes {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		found[name] = string(data)
		if left != nil {
			found[name] = without(t, string(data), left)
		}
	}
	if found[frontCSV] == "" {
		t.Fatalf("%s: there is no front", dir)
	}
	networks, err := os.ReadDir(filepath.Join(dir, architectures))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range networks {
		found[architectures] += n.Name() + "\n"
	}
	return found
}

// without returns a table without some of its columns.
func without(t testing.TB, table string, columns []string) string {
	t.Helper()
	var b strings.Builder
	rows, err := csv.NewReader(strings.NewReader(table)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		for i, name := range rows[0] {
			if !slices.Contains(columns, name) {
				b.WriteString(row[i] + ",")
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// ways are those in which trainings end, as trainers that behave in all ways choose
// them by the network's key.
var ways = []string{"exit", "hopeless", "killed", "NaN", "percent", "silent", "once", "good"}

// curve is how many epochs trainers train that report them.
const curve = 6

// accuracyAt returns the accuracy that such trainers have reached after an epoch.
func accuracyAt(r *trainer.Request, epoch int) float64 {
	a := 0.2 + float64(lot(r.Key, 60))/100
	return math.Round(a*(1-math.Exp2(float64(-epoch))/4)*1e6) / 1e6
}

// kill kills a process.
func kill(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		p.Kill()
	}
}

// behave trains the network of r in the way that is wanted.
func behave(behaviour string, r trainer.Request) {
	done := func() { fmt.Printf(`{"accuracy": %v}`+"\n", accuracyOf(&r)) }
	fail := func(code int) {
		fmt.Fprintf(os.Stderr, "loading\nshapes of %s differ\n", r.Key)
		os.Exit(code)
	}
	switch behaviour {
	case "good":
		done()
	case "some fail":
		if lot(r.Key, 5) == 0 {
			fail(3)
		}
		done()
	case "all fail":
		fail(trainer.ExitHopeless)
	case "all ways": // in which trainings end
		switch ways[lot(r.Key, len(ways))] {
		case "exit":
			fail(3)
		case "hopeless":
			fail(trainer.ExitHopeless)
		case "killed":
			fmt.Fprintln(os.Stderr, "a very large tensor")
			kill(os.Getpid())
			select {}
		case "NaN":
			fmt.Println(`{"accuracy": NaN}`)
		case "percent":
			fmt.Println(`{"accuracy": 71.5}`)
		case "silent":
			fmt.Fprintln(os.Stderr, "there are no images")
		case "once":
			if r.Attempt == 1 {
				fail(3)
			}
			done()
		default:
			fmt.Println("epoch 1: {}")
			done()
		}
	case "some hang":
		if lot(r.Key, 5) == 0 {
			time.Sleep(time.Minute) // no test waits for so long
		}
		done()
	case "second waits, then good", "second waits, then fail":
		waits := os.Getenv(envLog) + "-waits"
		if r.Attempt == 1 {
			fail(3)
		}
		if f, err := os.OpenFile(waits, os.O_CREATE|os.O_EXCL, 0o644); err == nil {
			f.Close()
			time.Sleep(time.Minute) // no test waits for so long
		}
		if behaviour == "second waits, then fail" {
			fail(3)
		}
		done()
	case "forever":
		fmt.Fprintln(os.Stderr, os.WriteFile(filepath.Join(os.Getenv(envLog)+"-pids", fmt.Sprint(os.Getpid())), nil, 0o644))
		time.Sleep(time.Minute) // no test waits for so long
	case "epochs":
		for epoch := 1; epoch <= curve; epoch++ {
			fmt.Printf(`{"epoch": %d, "accuracy": %v}`+"\n", epoch, accuracyAt(&r, epoch))
		}
	default:
		fmt.Fprintf(os.Stderr, "no trainer behaves as %q\n", behaviour)
		os.Exit(trainer.ExitHopeless)
	}
}
