//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/efficientnas/nas/internal/queue"
	"github.com/efficientnas/nas/internal/studydb"
	"github.com/efficientnas/nas/internal/trainer"
)

// These tests are of the whole program: a coordinator, workers and trainers are
// processes of their own, of which some are killed.

// What trainers are told, beside their request.
const (
	envTrainings = "NAS_TEST_TRAININGS" // folder where they note that they begin and end
	envMillis    = "NAS_TEST_MILLIS"    // how long they take at most
	envGate      = "NAS_TEST_GATE"      // file that they wait for, and what they say then if anything; none if empty
)

func init() { programs["nas-test-trainer"] = testTrainer }

// testTrainer is the main function of a trainer. What comes of a training depends on
// the network alone: some fail always, and some at the first attempt.
func testTrainer() {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(trainer.ExitHopeless)
	}
	var r trainer.Request
	data, err := os.ReadFile(os.Getenv(trainer.EnvRequest))
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		fail(err)
	}
	millis, err := strconv.Atoi(os.Getenv(envMillis))
	if err != nil {
		fail(err)
	}
	note := func(what string) {
		f, err := os.OpenFile(filepath.Join(os.Getenv(envTrainings), r.Key), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			fail(err)
		}
		defer f.Close()
		if _, err := fmt.Fprintf(f, "%s %d %d\n", what, r.Attempt, time.Now().UnixNano()); err != nil { // in one piece
			fail(err)
		}
	}
	note("begin")
	fmt.Println(`{"epoch": 1, "accuracy": 0.1}`)
	h := fnv.New32a()
	h.Write([]byte(r.Key))
	lot := h.Sum32()
	time.Sleep(time.Duration(millis)*time.Millisecond/2 + rand.N(time.Duration(millis)*time.Millisecond/2+1))
	if gate := os.Getenv(envGate); gate != "" {
		answer, err := os.ReadFile(gate)
		for ; err != nil; answer, err = os.ReadFile(gate) {
			time.Sleep(5 * time.Millisecond)
		}
		if len(answer) > 0 {
			fmt.Println(string(answer))
			return
		}
	}
	switch {
	case lot%7 == 0, lot%7 == 1 && r.Attempt == 1:
		fmt.Fprintf(os.Stderr, "shapes of %s differ\n", r.Key)
		os.Exit(3)
	}
	fmt.Printf(`{"accuracy": %v}`+"\n", float64(lot%9973)/9973)
}

// begins returns when trainings began, by key and attempt.
func (l *lab) begins() map[attempt][]time.Time {
	l.Helper()
	all := make(map[attempt][]time.Time)
	files, err := os.ReadDir(l.trainings)
	l.must(err)
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(l.trainings, f.Name()))
		l.must(err)
		for text := range strings.Lines(string(data)) {
			var what string
			var n int
			var at int64
			if _, err := fmt.Sscan(text, &what, &n, &at); err == nil && what == "begin" {
				a := attempt{f.Name(), n}
				all[a] = append(all[a], time.Unix(0, at))
			}
		}
	}
	return all
}

// An attempt at training a network: its key, and the number.
type attempt struct {
	key string
	n   int
}

// A lab is where a test has its study, its workers and its server.
type lab struct {
	testing.TB
	dir       string // of the study
	config    string
	trainings string
	address   string // of the server
	gate      string
	millis    int
	late      int // results that came late, once the study is checked
}

const distributedStudy = `name: distributed
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
search: {algorithm: ALGORITHM, evaluations: EVALUATIONS, seed: 5}
`

// evaluations is how many networks a study trains.
func evaluations() int {
	if testing.Short() {
		return 16
	}
	return 40
}

// newLab makes a lab for a study with that algorithm. The server's port is free.
func newLab(t testing.TB, algorithm string) *lab {
	t.Helper()
	top := t.TempDir()
	l := &lab{
		TB: t, dir: filepath.Join(top, "study"), config: filepath.Join(top, "c.yaml"), trainings: filepath.Join(top, "trainings"), millis: 60,
	}
	l.must(os.Mkdir(l.trainings, 0o700))
	free, err := net.Listen("tcp", "127.0.0.1:0")
	l.must(err)
	l.address = free.Addr().String()
	l.must(free.Close())
	l.write(l.config, algorithm, fmt.Sprintf(`{nats: "nats://%s", parallel: 8}`, l.address))
	return l
}

func (l *lab) write(config, algorithm, accuracy string) {
	l.Helper()
	text := strings.NewReplacer("ALGORITHM", algorithm, "ACCURACY", accuracy, "EVALUATIONS", strconv.Itoa(evaluations())).Replace(distributedStudy)
	l.must(os.WriteFile(config, []byte(text), 0o600))
}

func (l *lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

func (l *lab) url() string       { return "nats://" + l.address }
func (l *lab) tokenFile() string { return filepath.Join(l.dir, "nats", queue.TokenFile) }

// A process is the program.
type process struct {
	*exec.Cmd
	lab   *lab
	ended chan struct{}
	err   error // once it has ended

	mu   sync.Mutex
	said bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(b)
}

// text returns what the process has said so far.
func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// start starts nas. It is killed at the end of the test.
func (l *lab) start(args ...string) *process {
	l.Helper()
	p := &process{Cmd: exec.Command("nas", args...), lab: l, ended: make(chan struct{})}
	p.Stdout, p.Stderr = p, p
	p.WaitDelay = 5 * time.Second
	p.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", queueless,
		envTrainings+"="+l.trainings, envMillis+"="+strconv.Itoa(l.millis), envGate+"="+l.gate)
	l.must(p.Start())
	go func() {
		p.err = p.Wait()
		close(p.ended)
	}()
	l.Cleanup(p.kill)
	return p
}

// queueless is for tests of machines that have a server of their own.
const queueless = envNATSToken + "="

func (p *process) kill() {
	_ = p.Process.Kill() // it may have ended
	<-p.ended
}

// over reports whether a process has ended.
func (p *process) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// ends waits for the end of a process, which must have that exit code and say all
// of that.
func (p *process) ends(code int, says ...string) {
	p.lab.Helper()
	select {
	case <-p.ended:
	case <-time.After(2 * time.Minute):
		p.lab.Fatalf("%v goes on and on:\n%s", p.Args, p.text())
	}
	if got := p.ProcessState.ExitCode(); got != code {
		p.lab.Fatalf("%v: exit code %d, want %d:\n%s", p.Args, got, code, p.text())
	}
	for _, s := range says {
		if !strings.Contains(p.text(), s) {
			p.lab.Errorf("%v does not say %q:\n%s", p.Args, s, p.text())
		}
	}
}

// await waits until a process has said something.
func (p *process) await(text string) {
	p.lab.Helper()
	until(p.lab, fmt.Sprintf("%v says %q", p.Args, text), func() bool {
		if p.over() && !strings.Contains(p.text(), text) {
			p.lab.Fatalf("%v has ended without %q:\n%s", p.Args, text, p.text())
		}
		return strings.Contains(p.text(), text)
	})
}

// until waits for a condition.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	for begin := time.Now(); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// run begins the study with a server inside, and resume goes on with it.
func (l *lab) run(more ...string) *process {
	l.Helper()
	return l.start(append([]string{"run", l.config, "--out", l.dir, "--embedded-nats", l.address}, more...)...)
}

func (l *lab) resume(more ...string) *process {
	l.Helper()
	return l.start(append([]string{"resume", l.dir, "--embedded-nats", l.address}, more...)...)
}

// worker starts a worker with two slots.
func (l *lab) worker(more ...string) *process {
	l.Helper()
	args := []string{"worker", "--nats", l.url(), "--token-file", l.tokenFile(), "--command", "nas-test-trainer", "--slots", "2"}
	return l.start(append(args, more...)...)
}

func (l *lab) workers() []*process {
	l.Helper()
	all := make([]*process, 4)
	for i := range all {
		all[i] = l.worker("--name", fmt.Sprintf("w%d", i))
	}
	return all
}

// answering waits until so many workers are at work.
func (l *lab) answering(n int) {
	l.Helper()
	token, err := os.ReadFile(l.tokenFile())
	l.must(err)
	c, err := queue.Connect(l.Context(), queue.Options{URL: l.url(), Token: strings.TrimSpace(string(token))})
	l.must(err)
	defer c.Close()
	until(l, "workers answer", func() bool {
		s, err := c.Status(l.Context(), "")
		l.must(err)
		return len(s.Workers) == n
	})
}

// drained ends workers, which have nothing to do.
func drained(workers []*process) {
	for _, w := range workers {
		w.lab.must(w.Process.Signal(syscall.SIGTERM))
	}
	for _, w := range workers {
		w.ends(0, "worker ends")
	}
}

// jetstream connects to the server.
func (l *lab) jetstream() (_ jetstream.JetStream, close func()) {
	l.Helper()
	token, err := os.ReadFile(l.tokenFile())
	l.must(err)
	c, err := nats.Connect(l.url(), nats.Token(strings.TrimSpace(string(token))))
	l.must(err)
	js, err := jetstream.New(c)
	l.must(err)
	return js, c.Close
}

const jobs = "NAS_TRIALS_" + queue.DefaultQueue

// claim has the server wait for that long for a word of a worker, as an administrator
// may: workers keep to what they find. It must be called before they begin.
func (l *lab) claim(d time.Duration) {
	l.Helper()
	js, done := l.jetstream()
	defer done()
	until(l, "there is a queue", func() bool {
		consumer, err := js.Consumer(l.Context(), jobs, "workers")
		if err != nil {
			return false
		}
		config := consumer.CachedInfo().Config
		config.AckWait = d
		_, err = js.UpdateConsumer(l.Context(), jobs, config)
		l.must(err)
		return true
	})
}

// waiting returns the jobs that are on the queue: waiting, or with a worker that has
// not acknowledged them. The keys end in TRIAL.ATTEMPT.
func (l *lab) waiting() map[string]uint64 {
	l.Helper()
	js, done := l.jetstream()
	defer done()
	ctx, cancel := context.WithTimeout(l.Context(), 20*time.Second)
	defer cancel()
	s, err := js.Stream(ctx, jobs)
	l.must(err)
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(">"))
	l.must(err)
	return info.State.Subjects
}

// found returns what a study has found, by file, but for how it got there.
func found(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	for _, name := range []string{"front.csv", "front.json", "records.jsonl", "trials.csv"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(data)
	}
	rows, err := csv.NewReader(strings.NewReader(files["trials.csv"])).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, row := range rows {
		for i, name := range rows[0] {
			if !slices.Contains([]string{"attempts", "seconds", "worker"}, name) {
				b.WriteString(row[i] + ",")
			}
		}
		b.WriteString("\n")
	}
	files["trials.csv"] = b.String()
	return files
}

var (
	references   = make(map[string]map[string]string) // what local studies have found, by algorithm
	referencesMu sync.Mutex
)

// reference returns what a study finds that trains on this machine.
func reference(t testing.TB, algorithm string) map[string]string {
	t.Helper()
	referencesMu.Lock()
	defer referencesMu.Unlock()
	if r := references[algorithm]; r != nil {
		return r
	}
	l := newLab(t, algorithm)
	l.millis = 1
	l.write(l.config, algorithm, "{command: [nas-test-trainer], parallel: 3}")
	l.start("run", l.config, "--out", l.dir, "--quiet").ends(0)
	r := found(t, l.dir)
	if n := strings.Count(r["trials.csv"], ",failed,"); n == 0 || n > evaluations()/2 || !strings.Contains(r["trials.csv"], "shapes of") {
		t.Fatalf("%d of %d trials failed:\n%s", n, evaluations(), r["trials.csv"])
	}
	references[algorithm] = r
	return r
}

// check compares the study with one that trained on this machine, and looks at what
// is stored: each candidate has one result that counts, and others are those that a
// test has come late.
func (l *lab) check(algorithm string) {
	l.Helper()
	if diff := cmp.Diff(reference(l, algorithm), found(l, l.dir)); diff != "" {
		l.Errorf("found another than on this machine:\n%.5000s", diff)
	}
	db, err := studydb.OpenRead(filepath.Join(l.dir, "study.db"))
	l.must(err)
	defer db.Close()
	trials, err := db.Trials()
	l.must(err)
	for _, trial := range trials {
		if trial.State != studydb.Done && trial.State != studydb.Failed {
			l.Errorf("trial %d is %s", trial.ID, trial.State)
		}
	}
	if len(trials) != evaluations() {
		l.Errorf("%d trials, want %d", len(trials), evaluations())
	}
	others, err := db.Others()
	l.must(err)
	for _, o := range others {
		if !o.Late {
			continue
		}
		l.late++
		if o.Result.Accuracy != lateAccuracy {
			l.Errorf("trial %d: there was another result: %+v", o.Trial, o.Result)
		}
	}
	repeated := 0
	for a, at := range l.begins() {
		if a.n > 2 {
			l.Errorf("%s: there was an attempt %d", a.key, a.n)
		}
		repeated += len(at) - 1
	}
	l.Logf("%d trials; %d trainings were repeated, %d results came late", len(trials), repeated, l.late)
}

// once checks that no training was repeated.
func (l *lab) once() {
	l.Helper()
	for a, at := range l.begins() {
		if len(at) > 1 {
			l.Errorf("attempt %d at %s was trained %d times", a.n, a.key, len(at))
		}
	}
}

// algorithms are those whose studies are run.
func algorithms() []string {
	if testing.Short() {
		return []string{"guided"}
	}
	return []string{"guided", "nsga2, population: 8"}
}

// Workers find what this machine finds alone.
func TestDistributed(t *testing.T) {
	for _, algorithm := range algorithms() {
		t.Run(algorithm[:5], func(t *testing.T) {
			l := newLab(t, algorithm)
			run := l.run()
			run.await("workers: nas worker --nats " + l.url() + " --token-file " + l.tokenFile() + " --command")
			if info, err := os.Stat(l.tokenFile()); err != nil || info.Mode() != 0o600 {
				t.Errorf("the token's file: %v, %v", info.Mode(), err)
			}
			workers := l.workers()
			run.ends(0, "evaluation limit after", "trials.csv says why")
			l.check(algorithm)
			if text := run.text(); strings.Contains(text, "level=") {
				t.Errorf("nothing has happened that deserves a word of the log:\n%s", text)
			}
			l.once()
			drained(workers)
		})
	}
}

var trialLine = regexp.MustCompile(`msg="trial (started|ended|failed)" .*trial=(\d+)`)

// running returns the trials that a worker has, by its log.
func (p *process) running() map[string]bool {
	all := make(map[string]bool)
	for _, m := range trialLine.FindAllStringSubmatch(p.text(), -1) {
		if m[1] == "started" {
			all[m[2]] = true
		} else {
			delete(all, m[2])
		}
	}
	return all
}

// Workers are killed at random, while they train, and others take their place.
func TestDistributedKilledWorkers(t *testing.T) {
	const algorithm = "guided"
	kills := 8
	if testing.Short() {
		kills = 2
	}
	l := newLab(t, algorithm)
	l.millis = 300
	run := l.run()
	run.await("workers: ")
	l.claim(1500 * time.Millisecond)
	workers := l.workers()
	killed := make(map[string]bool) // trials that a kill has hit: after three the trial would be given up
	done := 0
	for done < kills {
		time.Sleep(rand.N(200 * time.Millisecond))
		if run.over() {
			t.Fatalf("the study has ended after %d kills:\n%s", done, run.text())
		}
		i := rand.IntN(len(workers))
		hits := workers[i].running()
		again := false
		for trial := range hits {
			again = again || killed[trial]
		}
		if len(hits) == 0 || again {
			continue
		}
		workers[i].kill()
		for trial := range hits {
			killed[trial] = true
		}
		done++
		workers[i] = l.worker("--name", fmt.Sprintf("w%d", 4+done))
	}
	run.ends(0, "evaluation limit after")
	l.check(algorithm)
	t.Logf("%d workers were killed with %d trials", done, len(killed))
	drained(workers)
}

// lateAccuracy is what no training in time comes to.
const lateAccuracy = 0.999999

// A worker that was silent for too long answers when others have done its trials. It
// says something else than they did, which does not count.
func TestDistributedLate(t *testing.T) {
	const algorithm = "guided"
	l := newLab(t, algorithm)
	l.millis = 500
	run := l.run()
	run.await("workers: ")
	l.claim(time.Second)
	gate := filepath.Join(t.TempDir(), "gate")
	l.gate = gate
	slow := l.worker("--name", "slow")
	until(t, "two trainings begin", func() bool { return len(l.begins()) == 2 })
	l.must(slow.Process.Signal(syscall.SIGSTOP))
	l.gate = ""
	taken := l.begins()
	workers := l.workers()
	db, err := studydb.OpenRead(filepath.Join(l.dir, "study.db"))
	l.must(err)
	defer db.Close()
	until(t, "others have done its trials", func() bool {
		trials, err := db.Trials(studydb.Done, studydb.Failed)
		l.must(err)
		done := 0
		for _, trial := range trials {
			if _, ok := taken[attempt{trial.Key, 1}]; ok {
				done++
			}
		}
		return done == len(taken)
	})
	l.must(slow.Process.Signal(syscall.SIGTERM)) // it is to take no other trials
	l.must(slow.Process.Signal(syscall.SIGCONT))
	slow.await("taking no more trials")
	answer := fmt.Sprintf(`{"accuracy": %v}`, lateAccuracy)
	l.must(os.WriteFile(gate+".new", []byte(answer), 0o600))
	l.must(os.Rename(gate+".new", gate))
	slow.ends(0, "worker ends")
	run.ends(0, "evaluation limit after")
	l.check(algorithm)
	if l.late == 0 {
		t.Errorf("no result came late:\n%s", slow.text())
	}
	drained(workers)
}

// The coordinator is killed at random, and the server in it, and goes on later,
// while workers train.
func TestDistributedKilledCoordinator(t *testing.T) {
	for _, algorithm := range algorithms() {
		t.Run(algorithm[:5], func(t *testing.T) { killCoordinator(t, algorithm) })
	}
}

func killCoordinator(t *testing.T, algorithm string) {
	kills := 4
	if testing.Short() {
		kills = 2
	}
	l := newLab(t, algorithm)
	l.millis = 300
	run := l.run()
	run.await("workers: ")
	l.claim(3 * time.Second)
	l.gate = filepath.Join(t.TempDir(), "gate")
	workers := l.workers()
	l.answering(len(workers)) // one that has not begun yet ends when there is no server
	l.must(os.WriteFile(l.gate, nil, 0o600))

	// What was on the queue when the server was killed may be trained again: it was
	// with a worker whose claim ended, or whose acknowledgement was lost. What was not
	// on it any more must not be: its result was stored.
	type kill struct {
		begun   map[string]bool
		waiting map[string]bool
		resumed time.Time
	}
	var all []kill
	for range kills {
		before := len(l.begins())
		if len(all) == 0 {
			before = 0
		}
		until(t, "workers train", func() bool { return len(l.begins()) > before || run.over() })
		time.Sleep(rand.N(400 * time.Millisecond))
		if run.over() && len(all) > 0 { // there was little left
			break
		}
		k := kill{begun: make(map[string]bool), waiting: make(map[string]bool)}
		for _, s := range started(workers) {
			k.begun[s.job] = true
		}
		for subject := range l.waiting() {
			words := strings.Split(subject, ".")
			k.waiting[strings.Join(words[len(words)-2:], ".")] = true
		}
		run.kill()
		time.Sleep(100*time.Millisecond + rand.N(500*time.Millisecond))
		k.resumed = time.Now()
		run = l.resume()
		all = append(all, k)
		run.await("workers: ")
	}
	run.ends(0, "evaluation limit after")
	l.check(algorithm)
	for i, k := range all {
		for _, s := range started(workers) {
			if k.begun[s.job] && !k.waiting[s.job] && s.at.After(k.resumed) {
				t.Errorf("kill %d: trial.attempt %s was trained again %v after the study went on, although it had ended",
					i+1, s.job, s.at.Sub(k.resumed))
			}
		}
	}
	repeated := 0
	for _, at := range l.begins() {
		repeated += len(at) - 1
	}
	t.Logf("%d kills", len(all))
	if most := len(all) * 8; repeated > most {
		t.Errorf("%d trainings were repeated, want %d at most: a kill and slot", repeated, most)
	}
	drained(workers)
}

var startedLine = regexp.MustCompile(`time=(\S+) .*msg="trial started" .*trial=(\d+) attempt=(\d+)`)

// A start is that of a training, by the log of its worker.
type start struct {
	job string // TRIAL.ATTEMPT
	at  time.Time
}

// started returns the trainings that workers have started.
func started(workers []*process) []start {
	var all []start
	for _, w := range workers {
		for _, m := range startedLine.FindAllStringSubmatch(w.text(), -1) {
			at, err := time.Parse(time.RFC3339Nano, m[1])
			w.lab.must(err)
			all = append(all, start{m[2] + "." + m[3], at})
		}
	}
	return all
}

// A study has one coordinator.
func TestDistributedSecondCoordinator(t *testing.T) {
	const algorithm = "guided"
	l := newLab(t, algorithm)
	first := l.run()
	first.await("workers: ")
	l.claim(30 * time.Second)

	const busy = "another process has the study open"
	l.start("resume", l.dir, "--nats", l.url(), "--token-file", l.tokenFile()).ends(2, busy, fmt.Sprintf("in use by process %d", first.Process.Pid))
	l.start("run", l.config, "--out", l.dir, "--force").ends(2, busy)

	// The copy of a study is the same study, and has all that the first knows.
	copied := l.dir + "-copy"
	l.must(os.CopyFS(copied, os.DirFS(l.dir)))
	l.start("resume", copied, "--nats", l.url(), "--token-file", l.tokenFile()).ends(2, busy, fmt.Sprintf("is coordinated by process %d", first.Process.Pid))

	workers := l.workers()
	first.ends(0, "evaluation limit after")
	l.check(algorithm)
	drained(workers)
}

// With a server of its own, a study goes on at once when its coordinator was killed,
// and nothing is trained twice: workers and server have noticed nothing.
func TestDistributedServer(t *testing.T) {
	const algorithm = "guided"
	l := newLab(t, algorithm)
	l.millis = 100
	token := strings.Repeat("secret", 4)
	s, err := queue.Serve(queue.ServerOptions{Addr: l.address, Dir: t.TempDir(), Token: token})
	l.must(err)
	defer s.Close()
	l.must(os.MkdirAll(filepath.Dir(l.tokenFile()), 0o700)) // where the workers look for it
	l.must(os.WriteFile(l.tokenFile(), []byte(token), 0o600))
	token = l.tokenFile()
	study := l.dir
	l.dir += "-2"
	run := l.start("run", l.config, "--out", l.dir, "--token-file", token)
	l.dir = study
	workers := l.workers()
	l.dir += "-2"
	kills := 3
	if testing.Short() {
		kills = 1
	}
	for range kills {
		before := len(l.begins())
		until(t, "workers train", func() bool { return len(l.begins()) > before+2 })
		time.Sleep(rand.N(100 * time.Millisecond))
		run.kill()
		run = l.start("resume", l.dir, "--token-file", token)
	}
	run.ends(0, "evaluation limit after")
	l.check(algorithm)
	l.once()
	drained(workers)
}

// SIGTERM ends a worker when its trainings have ended.
func TestDistributedDrain(t *testing.T) {
	const algorithm = "guided"
	l := newLab(t, algorithm)
	run := l.run()
	run.await("workers: ")
	l.gate = filepath.Join(t.TempDir(), "gate")
	slow := l.worker("--name", "slow")
	until(t, "two trainings begin", func() bool { return len(l.begins()) == 2 })
	l.must(slow.Process.Signal(syscall.SIGTERM))
	slow.await("taking no more trials")
	l.must(os.WriteFile(l.gate, nil, 0o600))
	slow.ends(0, "worker ends")
	if n := strings.Count(slow.text(), "trial started"); n != 2 || len(slow.running()) > 0 {
		t.Errorf("the worker has begun %d trainings, want 2:\n%s", n, slow.text())
	}
	workers := l.workers()
	run.ends(0, "evaluation limit after")
	l.check(algorithm)
	l.once()
	// The server is gone with the study: a worker that is idle ends all the same.
	drained(workers)
}

// What cannot work is refused, before anything is made.
func TestDistributedRefused(t *testing.T) {
	l := newLab(t, "guided")
	_, port, err := net.SplitHostPort(l.address)
	l.must(err)
	open := "0.0.0.0:" + port
	embed := func(address string, more ...string) *process {
		return l.start(append([]string{"run", l.config, "--out", l.dir, "--embedded-nats", address}, more...)...)
	}
	embed(open).ends(2, "--embedded-nats: other machines can reach 0.0.0.0:", "give a user and a password, or a token")
	embed("here").ends(2, `address "here": want host:port`)
	embed(open, "--user", "me").ends(2, "a user and a password go together")
	embed(l.address, "--nats", "nats://host:1").ends(2, "--embedded-nats and --nats do not go together")
	embed(l.address, "--creds", "file").ends(2, "--embedded-nats and --creds do not go together")
	taken, err := net.Listen("tcp", l.address)
	l.must(err)
	embed(l.address).ends(1, "address already in use")
	l.must(taken.Close())
	l.start("run", l.config, "--out", l.dir).ends(1, "connect to "+l.url(), "--embedded-nats 127.0.0.1:4222")
	if _, err := os.Stat(l.dir); !os.IsNotExist(err) {
		t.Errorf("the folder is there: %v", err)
	}

	command := []string{"worker", "--nats", l.url(), "--command", "nas-test-trainer"}
	l.start(command...).ends(1, "connect to "+l.url(), "is the server up")
	run := l.run()
	run.await("workers: ")
	l.start(command...).ends(1, "Authorization Violation", "see --token-file")
	wrong := filepath.Join(t.TempDir(), "token")
	l.must(os.WriteFile(wrong, []byte("wrong-secret"), 0o600))
	bad := l.start(append(command, "--token-file", wrong)...)
	bad.ends(1, "Authorization Violation", "see --token-file")
	if strings.Contains(bad.text()+run.text(), "wrong-secret") {
		t.Error("the log has a secret")
	}
	// Nothing was trained yet, which is no fault of the study.
	token, err := os.ReadFile(l.tokenFile())
	l.must(err)
	if strings.Contains(run.text(), strings.TrimSpace(string(token))) {
		t.Error("the log has the token")
	}
	l.claim(30 * time.Second)
	until(t, "trials are queued", func() bool { return len(l.waiting()) > 0 })
	l.must(run.Process.Signal(syscall.SIGTERM))
	run.ends(1, "interrupted before any network was", "nas resume "+l.dir)
	if _, err := os.Stat(filepath.Join(l.dir, "study.db")); err != nil {
		t.Error(err)
	}
	// What the server stores is for the user alone.
	l.must(filepath.WalkDir(filepath.Join(l.dir, "nats"), func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := e.Info(); err != nil || path == filepath.Join(l.dir, "nats") && info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
		return nil
	}))
}
