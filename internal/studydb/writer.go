package studydb

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Writer reads and writes a study. Its methods may be called from several
// goroutines at once.
//
// When a method returns without an error, what it was given is on the disk, and
// survives the death of the process and a power failure. With an error, nothing
// of that call is stored, and the call may be repeated. Calls at the same time
// share the wait for the disk: many goroutines that finish a trial each are about
// as fast as one that finishes many in one call.
type Writer struct {
	*Reader
	lock *lock
	db   *sql.DB
	conn *sql.Conn // the only one that writes

	queue   sync.Mutex
	waiting []*request

	commit     sync.Mutex // one at a time; guards what follows
	statements map[string]*sql.Stmt
}

// Create creates a study and opens it. It appears whole or not at all.
//
// It fails with [fs.ErrExist] if the study, or what is left of one, is there, with
// [ErrReadOnly] or [ErrFull] if it cannot be written, and with an [*InUseError].
func Create(path string, s Study) (w *Writer, err error) {
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	l, err := acquire(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			l.release()
		}
	}()
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrExist)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if (&Reader{path: path}).hasLog() {
		// SQLite would take it for the log of the new study.
		return nil, fmt.Errorf("%s-wal: %w: it is a part of a study whose %s is gone; move it away", path, fs.ErrExist, filepath.Base(path))
	}
	partial := path + ".new"
	remove := func() error {
		var errs []error
		for _, suffix := range []string{"", "-journal", "-wal", "-shm"} {
			if err := os.Remove(partial + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	}
	if err := remove(); err != nil { // left by a process that was killed
		return nil, err
	}
	if err := build(partial, s); err != nil {
		remove()
		return nil, explain(path, err)
	}
	if err := cmp.Or(os.Rename(partial, path), syncFolder(filepath.Dir(path))); err != nil {
		return nil, err
	}
	return open(path, l)
}

// build makes the database of a new study.
func build(path string, s Study) (err error) {
	db, err := sql.Open("sqlite", source(path, "mode=rwc"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	head := fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;", applicationID, Schema)
	if _, err := tx.Exec(head + schema); err != nil {
		return err
	}
	if s.Created.IsZero() {
		s.Created = time.Now()
	}
	if _, err := tx.Exec("INSERT INTO study VALUES (1, ?, ?, ?, ?, ?)", s.Name, s.Config, int64(s.Seed), s.Version, formatTime(s.Created)); err != nil {
		return err
	}
	for name, data := range s.Files {
		if _, err := tx.Exec(insertFile, name, blob(data)); err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	_, err = db.Exec("PRAGMA journal_mode = WAL")
	return err
}

// Open opens a study to go on with it. One process at a time can.
//
// It fails as [OpenRead] does, with [ErrReadOnly], and with an [*InUseError].
func Open(path string) (*Writer, error) {
	if err := checkFile(path); err != nil {
		return nil, err
	}
	l, err := acquire(path)
	if err != nil {
		return nil, err
	}
	w, err := open(path, l)
	if err != nil {
		l.release()
	}
	return w, err
}

func open(path string, l *lock) (_ *Writer, err error) {
	w := &Writer{lock: l, statements: make(map[string]*sql.Stmt)}
	defer func() {
		if err != nil {
			w.closeAll()
		}
	}()
	// The one that only reads looks first: it changes nothing in a file that is
	// to be refused.
	if w.Reader, err = openReader(path, "mode=ro"); err != nil {
		return nil, err
	}
	if w.db, err = sql.Open("sqlite", source(path, "mode=rw")); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	ctx := context.Background()
	if w.conn, err = w.db.Conn(ctx); err != nil {
		return nil, explain(path, err)
	}
	var mode string
	if err := w.conn.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode); err != nil {
		return nil, explain(path, err)
	}
	if mode != "wal" {
		return nil, fmt.Errorf("%s: the file system cannot hold a study: SQLite's journal is %q there, not a write-ahead log", path, mode)
	}
	// Who may not write shall hear of it now. Nothing less than a write tells.
	if err := w.transact(func() error { _, err := w.exec("UPDATE study SET id = id"); return err }); err != nil {
		return nil, explain(path, err)
	}
	return w, nil
}

// Close closes the study and lets others open it.
func (w *Writer) Close() error {
	w.commit.Lock() // what is being written is finished first
	defer w.commit.Unlock()
	if w.lock == nil {
		return nil
	}
	err := errors.Join(w.closeAll(), w.lock.release())
	w.lock = nil
	return err
}

func (w *Writer) closeAll() error {
	var errs []error
	for _, s := range w.statements {
		errs = append(errs, s.Close())
	}
	if w.Reader != nil {
		errs = append(errs, w.Reader.Close())
	}
	if w.conn != nil {
		errs = append(errs, w.conn.Close())
	}
	if w.db != nil {
		errs = append(errs, w.db.Close()) // the last: it puts the log into study.db
	}
	return errors.Join(errs...)
}

// Queue stores trials that are to be measured. One that is there already, with
// the same number and key, stays what it is. One whose number or key is that of
// another fails with [ErrConflict].
func (w *Writer) Queue(proposals ...Proposal) error {
	for i := range proposals {
		if err := proposals[i].check(); err != nil {
			return fmt.Errorf("%s: %w", w.path, err)
		}
	}
	return w.write(func() error { return w.enqueue(proposals) })
}

func (w *Writer) enqueue(proposals []Proposal) error {
	now := formatTime(time.Now())
	for i := range proposals {
		p := &proposals[i]
		parents, err := json.Marshal(p.Parents)
		if err != nil {
			return err
		}
		var predicted, sd any
		if p.Predicted != nil {
			predicted, sd = p.Predicted.Accuracy, p.Predicted.SD
		}
		n, err := w.exec(`INSERT INTO trials (id, key, architecture, genome, generation, parents, operator, costs, predicted_accuracy, predicted_sd, state, queued)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'queued', ?) ON CONFLICT DO NOTHING`,
			p.ID, p.Key, string(p.Architecture), blob(p.Genome), p.Generation, string(parents), p.Operator, text(p.Costs), predicted, sd, now)
		if err != nil {
			return err
		}
		if n == 1 {
			continue
		}
		var id int
		var key string
		err = w.row("SELECT id, key FROM trials WHERE id = ? OR key = ? ORDER BY id = ? AND key = ? DESC LIMIT 1", p.ID, p.Key, p.ID, p.Key).Scan(&id, &key)
		if err != nil {
			return err
		}
		if id != p.ID || key != p.Key {
			return fmt.Errorf("%w: trial %d with key %q, and trial %d with key %q is there", ErrConflict, p.ID, p.Key, id, key)
		}
	}
	return nil
}

// Start says that a worker begins another attempt at trials. Those that are
// finished stay so.
func (w *Writer) Start(worker string, trials ...int) error {
	return w.write(func() error {
		now := formatTime(time.Now())
		for _, id := range trials {
			n, err := w.exec(`UPDATE trials SET state = 'running', attempts = attempts + 1, worker = ?, started = ?
				WHERE id = ? AND state IN ('queued', 'running')`, clean(worker), now, id)
			if err != nil {
				return err
			}
			if n == 0 {
				if _, err := w.state(id); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Progress stores what trainings report. A second report of an attempt's epoch
// replaces the first. What is said of trials that are not running is left out.
func (w *Writer) Progress(epochs ...Epoch) error {
	for i := range epochs {
		if err := epochs[i].check(); err != nil {
			return fmt.Errorf("%s: %w", w.path, err)
		}
	}
	return w.write(func() error {
		for _, e := range epochs {
			n, err := w.exec(`INSERT INTO epochs SELECT id, attempts, ?, ? FROM trials WHERE id = ? AND state = 'running'
				ON CONFLICT DO UPDATE SET accuracy = excluded.accuracy`, e.Epoch, e.Accuracy, e.Trial)
			if err != nil {
				return err
			}
			if n == 0 {
				if _, err := w.state(e.Trial); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Requeue puts trials that are running, but that nobody trains any more, back into
// the queue: those that an interruption ended. What they are to be started for
// again is no failure. Trials that are not running stay what they are.
func (w *Writer) Requeue(trials ...int) error {
	return w.write(func() error {
		for _, id := range trials {
			if _, err := w.exec("UPDATE trials SET state = 'queued' WHERE id = ? AND state = 'running'", id); err != nil {
				return err
			}
		}
		return nil
	})
}

// Retry puts trials that are running, but failed in a way that may be chance,
// back into the queue. The results say why; they do not count, and are kept among
// [Reader.Others]. Those of trials that are not running change nothing.
func (w *Writer) Retry(results ...Result) error {
	results, err := w.checked(results)
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.Error == "" {
			return fmt.Errorf("%s: trial %d: to be retried it needs an error that says why", w.path, r.Trial)
		}
	}
	return w.write(func() error {
		for i := range results {
			r := &results[i]
			n, err := w.exec("UPDATE trials SET state = 'queued', error = ?, stderr = ? WHERE id = ? AND state = 'running'", r.Error, r.Stderr, r.Trial)
			if err != nil {
				return err
			}
			if n == 1 {
				err = w.keep(r, "retried")
			} else {
				_, err = w.state(r.Trial)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// A Verdict says what became of a result.
type Verdict int

const (
	Accepted Verdict = iota // it is the trial's
	Repeated                // the trial had the same already
	Late                    // the trial had another: that stays, and this one is among [Reader.Others]
)

// String returns the verdict in a word.
func (v Verdict) String() string {
	switch v {
	case Accepted:
		return "accepted"
	case Repeated:
		return "repeated"
	case Late:
		return "late"
	}
	return fmt.Sprintf("Verdict(%d)", int(v))
}

// Finish stores results, whether the trials were started or not, and says for each
// what became of it. Each trial has one result, the first. Results are the same if
// they differ in nothing but worker, seconds and stderr.
//
// It fails with [ErrUnknown] if a trial is not there.
func (w *Writer) Finish(results ...Result) ([]Verdict, error) {
	results, err := w.checked(results)
	if err != nil {
		return nil, err
	}
	verdicts := make([]Verdict, len(results))
	err = w.write(func() error {
		for i := range results {
			var err error
			if verdicts[i], err = w.finish(&results[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return verdicts, nil
}

func (w *Writer) finish(r *Result) (Verdict, error) {
	var accuracy any // none if it failed
	if r.State() == Done {
		accuracy = r.Accuracy
	}
	var objectives any
	if len(r.Objectives) > 0 {
		list, err := json.Marshal(r.Objectives)
		if err != nil {
			return 0, err
		}
		objectives = string(list)
	}
	n, err := w.exec(`UPDATE trials SET state = ?, finished = ?, worker = CASE ? WHEN '' THEN worker ELSE ? END,
			accuracy = ?, metrics = ?, objectives = ?, violation = ?, error = ?, seconds = ?, stderr = ?
		WHERE id = ? AND state IN ('queued', 'running')`,
		string(r.State()), formatTime(time.Now()), r.Worker, r.Worker,
		accuracy, text(r.Metrics), objectives, r.Violation, r.Error, r.Seconds, r.Stderr, r.Trial)
	if err != nil || n == 1 {
		return Accepted, err
	}
	stored, err := w.row(selectTrials+" WHERE id = ?", r.Trial).trial()
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("trial %d: %w", r.Trial, ErrUnknown)
	}
	if err != nil {
		return 0, err
	}
	if same(stored.Result, *r) {
		return Repeated, nil
	}
	return Late, w.keep(r, "late")
}

// same reports whether two results of a trial are one.
func same(a, b Result) bool {
	return a.Accuracy == b.Accuracy && a.Violation == b.Violation && a.Error == b.Error &&
		slices.Equal(a.Objectives, b.Objectives) && bytes.Equal(a.Metrics, b.Metrics)
}

// keep stores a result that does not count, unless it is there already.
func (w *Writer) keep(r *Result, kind string) error {
	result, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = w.exec("INSERT INTO other_results SELECT id, attempts, ?, ?, ? FROM trials WHERE id = ? ON CONFLICT DO NOTHING",
		kind, formatTime(time.Now()), string(result), r.Trial)
	return err
}

// checked returns results whose text can be stored, or an error if there is one
// that nobody could read.
func (w *Writer) checked(results []Result) ([]Result, error) {
	list := make([]Result, len(results))
	for i, r := range results {
		if r.Error != "" {
			r.Accuracy = 0 // it may be the reason, and no number
		}
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("%s: %w", w.path, err)
		}
		r.Error, r.Stderr, r.Worker = clean(r.Error), clean(r.Stderr), clean(r.Worker)
		list[i] = r
	}
	return list, nil
}

const insertFile = "INSERT INTO files VALUES (?, ?) ON CONFLICT DO UPDATE SET data = excluded.data"

// Save replaces the search's state, together with all else in c, as one: what is
// read back, also after a crash, belongs together.
//
// It takes some milliseconds, and longer for large states and archives. Where
// evaluations are cheap, save about once a second.
func (w *Writer) Save(c Checkpoint) error {
	var errs []error
	for i := range c.Queue {
		errs = append(errs, c.Queue[i].check())
	}
	for i := range c.Generations {
		errs = append(errs, c.Generations[i].check())
	}
	for i := range c.Archive {
		errs = append(errs, c.Archive[i].check())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%s: %w", w.path, err)
	}
	return w.write(func() error { return w.save(&c) })
}

func (w *Writer) save(c *Checkpoint) error {
	if err := w.enqueue(c.Queue); err != nil {
		return err
	}
	for _, g := range c.Generations {
		_, err := w.exec("INSERT OR REPLACE INTO generations VALUES (?, ?, ?, ?, ?)", g.Evaluations, g.Hypervolume, g.Front, g.BestAccuracy, g.Seconds)
		if err != nil {
			return err
		}
	}
	if c.Archive != nil {
		if _, err := w.exec("DELETE FROM archive"); err != nil {
			return err
		}
	}
	for i := range c.Archive {
		m := &c.Archive[i]
		objectives, err := json.Marshal(m.Objectives)
		if err != nil {
			return err
		}
		if _, err := w.exec("INSERT INTO archive VALUES (?, ?, ?, ?, ?)", m.ID, m.Key, blob(m.Genome), string(objectives), text(m.Extra)); err != nil {
			return fmt.Errorf("member %d: %w", m.ID, err)
		}
	}
	for name, data := range c.Files {
		if _, err := w.exec(insertFile, name, blob(data)); err != nil {
			return err
		}
	}
	_, err := w.exec("INSERT OR REPLACE INTO state VALUES (1, ?, ?, ?, ?)", c.Evaluations, blob(c.State), c.Ended, formatTime(time.Now()))
	return err
}

// A request is something to write, and what came of it.
type request struct {
	do   func() error // may run more than once
	done bool         // guarded by Writer.commit, as is err
	err  error
}

// write has do called within a transaction, and returns when that is durable.
//
// Who comes first writes for all who have come meanwhile. So the disk is waited
// for once, and nobody waits for company.
func (w *Writer) write(do func() error) error {
	r := &request{do: do}
	w.queue.Lock()
	w.waiting = append(w.waiting, r)
	w.queue.Unlock()

	w.commit.Lock()
	defer w.commit.Unlock()
	if !r.done {
		w.queue.Lock()
		group := w.waiting
		w.waiting = nil
		w.queue.Unlock()
		w.commitGroup(group)
	}
	if r.err != nil {
		return explain(w.path, r.err)
	}
	return nil
}

// commitGroup writes requests in one transaction. If that fails, each gets one of
// its own, and so the error that is its own.
func (w *Writer) commitGroup(group []*request) {
	err := w.transact(func() error {
		for _, r := range group {
			if err := r.do(); err != nil {
				return err
			}
		}
		return nil
	})
	for _, r := range group {
		r.done, r.err = true, err
		if err != nil && len(group) > 1 {
			r.err = w.transact(r.do)
		}
	}
}

var errClosed = errors.New("the study is closed")

// transact calls do within a transaction.
func (w *Writer) transact(do func() error) (err error) {
	if w.lock == nil {
		return errClosed
	}
	if _, err := w.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err = do(); err == nil {
		_, err = w.exec("COMMIT")
	}
	if err != nil {
		w.exec("ROLLBACK") // fails if SQLite has done so already
	}
	return err
}

// statement returns the query prepared on the writing connection.
func (w *Writer) statement(query string) (*sql.Stmt, error) {
	s := w.statements[query]
	if s == nil {
		var err error
		if s, err = w.conn.PrepareContext(context.Background(), query); err != nil {
			return nil, err
		}
		w.statements[query] = s
	}
	return s, nil
}

// exec returns the number of rows that the query has changed.
func (w *Writer) exec(query string, args ...any) (int64, error) {
	s, err := w.statement(query)
	if err != nil {
		return 0, err
	}
	result, err := s.Exec(args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// row is what a query returns that returns one row at most.
type row struct {
	rows *sql.Rows
	err  error
}

func (w *Writer) row(query string, args ...any) row {
	s, err := w.statement(query)
	if err != nil {
		return row{err: err}
	}
	rows, err := s.Query(args...)
	return row{rows, err}
}

// read has scan read the row. Without one it returns [sql.ErrNoRows].
func (r row) read(scan func(*sql.Rows) error) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		return cmp.Or(r.rows.Err(), sql.ErrNoRows)
	}
	return damaged(scan(r.rows))
}

func (r row) Scan(dest ...any) error {
	return r.read(func(rows *sql.Rows) error { return rows.Scan(dest...) })
}

func (r row) trial() (t Trial, err error) {
	err = r.read(func(rows *sql.Rows) error { return scanTrial(rows, &t) })
	return t, err
}

// state returns the state of a trial, or [ErrUnknown].
func (w *Writer) state(id int) (s State, err error) {
	err = w.row("SELECT state FROM trials WHERE id = ?", id).Scan(&s)
	if errors.Is(err, sql.ErrNoRows) {
		return s, fmt.Errorf("trial %d: %w", id, ErrUnknown)
	}
	return s, err
}

// Put adds a file to the study, or replaces it.
func (w *Writer) Put(name string, data []byte) error {
	return w.write(func() error { _, err := w.exec(insertFile, name, blob(data)); return err })
}

// Compact gives back the space that was used before and no longer is.
func (w *Writer) Compact() error {
	w.commit.Lock()
	defer w.commit.Unlock()
	if w.lock == nil {
		return errClosed
	}
	_, err := w.exec("VACUUM")
	if err != nil {
		return explain(w.path, err)
	}
	return nil
}

// blob returns data as what is not null.
func blob(data []byte) []byte {
	if data == nil {
		return []byte{}
	}
	return data
}

// text returns JSON as text, null if there is none.
func text(j json.RawMessage) any {
	if len(j) == 0 {
		return nil
	}
	return string(j)
}

// clean returns what others have said as text that any program can read.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
