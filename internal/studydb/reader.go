package studydb

import (
	"database/sql"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

// Schema is the version of the schema that this package reads and writes.
const Schema = 1

// applicationID marks a study among SQLite databases: "nass" in ASCII.
const applicationID = 0x6e617373

// schema makes the tables of an empty database.
//
//go:embed schema.sql
var schema string

// tables are those of the schema.
var tables = []string{"archive", "epochs", "files", "generations", "other_results", "state", "study", "trials"}

const (
	// patience is how long to wait for another program that has locked the file.
	patience = 10 * time.Second
	// wholeCheck is the size in bytes up to which each page is checked when a study
	// is opened: that takes about a tenth of a second.
	wholeCheck = 64 << 20
)

// A Reader reads a study, also while a run writes it. Its methods may be called
// from several goroutines at once. Each returns what had been stored when it was
// called.
type Reader struct {
	path string
	db   *sql.DB
}

// OpenRead opens the study at path for reading only. It writes nothing, and can
// do without the right to write.
//
// It fails with [fs.ErrNotExist], [ErrNotStudy], [ErrNewer] or [ErrCorrupt].
func OpenRead(path string) (*Reader, error) {
	if err := checkFile(path); err != nil {
		return nil, err
	}
	r, err := openReader(path, "mode=ro")
	if !hasCode(err, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY) {
		return r, err
	}
	// SQLite needs a file beside study.db to read along with a writer, and cannot
	// make it here. Where there is no log of a writer, there is no need.
	if (&Reader{path: path}).hasLog() {
		return nil, fmt.Errorf("%w: a run was killed, or goes on: read a copy of study.db and study.db-wal in a folder that can be written", err)
	}
	return openReader(path, "mode=ro&immutable=1")
}

func openReader(path, mode string) (*Reader, error) {
	db, err := sql.Open("sqlite", source(path, mode))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	r := &Reader{path: path, db: db}
	if err := r.check(); err != nil {
		db.Close()
		return nil, err
	}
	return r, nil
}

// source returns the name of the database at path for the driver.
func source(path, mode string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive
	}
	name := url.URL{Scheme: "file", Path: path}
	pragmas := fmt.Sprintf("_pragma=busy_timeout(%d)", patience.Milliseconds())
	for _, pragma := range []string{
		"trusted_schema(OFF)", "cell_size_check(ON)", // the file may come from anywhere
		"synchronous(FULL)", "fullfsync(ON)", "checkpoint_fullfsync(ON)", "foreign_keys(ON)",
	} {
		pragmas += "&_pragma=" + pragma
	}
	return name.String() + "?" + mode + "&" + pragmas
}

// checkFile refuses what need not be opened to see that it is no study. It opens
// nothing, as to close study.db would end the locks that this process may have on
// it.
func checkFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: there is no study: %w", path, fs.ErrNotExist)
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s: %w: it is a folder", path, ErrNotStudy)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s: %w: it is no ordinary file", path, ErrNotStudy)
	case info.Size() == 0:
		return fmt.Errorf("%s: %w: it is empty", path, ErrNotStudy)
	}
	return nil
}

// check refuses a database that is no study, or not one to be trusted.
func (r *Reader) check() error {
	var application, version int64
	if err := r.db.QueryRow("PRAGMA application_id").Scan(&application); err != nil {
		return explain(r.path, err)
	}
	if err := r.db.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		return explain(r.path, err)
	}
	switch {
	case application != applicationID:
		return fmt.Errorf("%s: %w: it is the SQLite database of another application", r.path, ErrNotStudy)
	case version > Schema:
		return fmt.Errorf("%s: %w: schema %d, this one knows up to %d", r.path, ErrNewer, version, Schema)
	case version < 1:
		return fmt.Errorf("%s: %w: its schema is %d", r.path, ErrCorrupt, version)
	}
	there, err := list(r, "SELECT name FROM sqlite_schema WHERE type = 'table'", func(rows *sql.Rows, name *string) error { return rows.Scan(name) })
	if err != nil {
		return err
	}
	for _, table := range tables {
		if !slices.Contains(there, table) {
			return fmt.Errorf("%s: %w: it has no table %q", r.path, ErrCorrupt, table)
		}
	}
	info, err := os.Stat(r.path)
	if err != nil {
		return err
	}
	// SQLite takes what is missing of the last page for zeros. While there is a log,
	// the page may be in that.
	var page int64
	if err := r.db.QueryRow("PRAGMA page_size").Scan(&page); err != nil {
		return explain(r.path, err)
	}
	if info.Size()%page != 0 && !r.hasLog() {
		return fmt.Errorf("%s: %w; restore it from a copy: it ends within a page", r.path, ErrCorrupt)
	}
	if info.Size() > wholeCheck {
		return nil
	}
	var verdict string
	if err := r.db.QueryRow("PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return explain(r.path, err)
	}
	if verdict != "ok" {
		return fmt.Errorf("%s: %w; restore it from a copy: %s", r.path, ErrCorrupt, strings.TrimPrefix(verdict, "*** in database main ***\n"))
	}
	return nil
}

// hasLog reports whether a writer has left, or goes on writing, a log beside the
// file, whose pages are newer than those of the file.
func (r *Reader) hasLog() bool {
	info, err := os.Stat(r.path + "-wal")
	return err == nil && info.Size() > 0
}

// Close closes the study.
func (r *Reader) Close() error { return r.db.Close() }

// Study returns the study and its files.
func (r *Reader) Study() (Study, error) {
	var s Study
	var created string
	err := r.db.QueryRow("SELECT name, config, seed, version, created FROM study").Scan(&s.Name, &s.Config, &s.Seed, &s.Version, &created)
	if errors.Is(err, sql.ErrNoRows) {
		return s, fmt.Errorf("%s: %w: it does not say which study it is", r.path, ErrCorrupt)
	}
	if err != nil {
		return s, explain(r.path, err)
	}
	if s.Created, err = parseTime(created); err != nil {
		return s, explain(r.path, damaged(err))
	}
	type file struct {
		name string
		data []byte
	}
	files, err := list(r, "SELECT name, data FROM files", func(rows *sql.Rows, f *file) error { return rows.Scan(&f.name, &f.data) })
	for _, f := range files {
		if s.Files == nil {
			s.Files = make(map[string][]byte)
		}
		s.Files[f.name] = f.data
	}
	return s, err
}

const selectTrials = `SELECT id, key, architecture, genome, generation, parents, operator, costs, predicted_accuracy, predicted_sd,
	state, attempts, worker, queued, started, finished,
	t.accuracy, metrics, objectives, violation, error, seconds, stderr, e.epoch, e.accuracy
	FROM trials t LEFT JOIN epochs e ON e.trial = t.id AND e.attempt = t.attempts
		AND e.epoch = (SELECT max(epoch) FROM epochs WHERE trial = t.id AND attempt = t.attempts)`

// Trials returns the trials in one of the states, or all, by their numbers.
func (r *Reader) Trials(states ...State) ([]Trial, error) {
	if len(states) == 0 {
		return list(r, selectTrials+" ORDER BY id", scanTrial)
	}
	args := make([]any, len(states))
	for i, s := range states {
		args[i] = string(s)
	}
	in := " WHERE state IN (?" + strings.Repeat(", ?", len(states)-1) + ") ORDER BY id"
	return list(r, selectTrials+in, scanTrial, args...)
}

// Trial returns a trial, or [ErrUnknown].
func (r *Reader) Trial(id int) (Trial, error) {
	trials, err := list(r, selectTrials+" WHERE id = ?", scanTrial, id)
	if err != nil {
		return Trial{}, err
	}
	if len(trials) == 0 {
		return Trial{}, fmt.Errorf("%s: trial %d: %w", r.path, id, ErrUnknown)
	}
	return trials[0], nil
}

func scanTrial(rows *sql.Rows, t *Trial) error {
	var architecture, parents, queued string
	var costs, started, finished, metrics, objectives sql.NullString
	var predicted, predictedSD, accuracy, epochAccuracy sql.NullFloat64
	var epoch sql.NullInt64
	err := rows.Scan(&t.ID, &t.Key, &architecture, &t.Genome, &t.Generation, &parents, &t.Operator, &costs, &predicted, &predictedSD,
		&t.State, &t.Attempts, &t.Worker, &queued, &started, &finished,
		&accuracy, &metrics, &objectives, &t.Result.Violation, &t.Result.Error, &t.Result.Seconds, &t.Result.Stderr, &epoch, &epochAccuracy)
	if err != nil {
		return err
	}
	t.Architecture, t.Costs = json.RawMessage(architecture), raw(costs)
	if predicted.Valid {
		t.Predicted = &Prediction{predicted.Float64, predictedSD.Float64}
	}
	t.Result.Trial, t.Result.Worker = t.ID, t.Worker
	t.Result.Accuracy, t.Result.Metrics = accuracy.Float64, raw(metrics)
	if epoch.Valid {
		t.Last = Epoch{t.ID, t.Attempts, int(epoch.Int64), epochAccuracy.Float64}
	}
	var errs [5]error
	errs[0] = json.Unmarshal([]byte(parents), &t.Parents)
	if objectives.Valid {
		errs[1] = json.Unmarshal([]byte(objectives.String), &t.Result.Objectives)
	}
	t.Queued, errs[2] = parseTime(queued)
	t.Started, errs[3] = parseTime(started.String)
	t.Finished, errs[4] = parseTime(finished.String)
	if err := errors.Join(errs[:]...); err != nil {
		return fmt.Errorf("trial %d: %w", t.ID, err)
	}
	return nil
}

// Count returns the number of trials in each state; those without are left out.
func (r *Reader) Count() (map[State]int, error) {
	type count struct {
		state State
		n     int
	}
	counts, err := list(r, "SELECT state, count(*) FROM trials GROUP BY state", func(rows *sql.Rows, c *count) error { return rows.Scan(&c.state, &c.n) })
	m := make(map[State]int)
	for _, c := range counts {
		m[c.state] = c.n
	}
	return m, err
}

// Epochs returns what the trainings of a trial reported, of all attempts, in
// order.
func (r *Reader) Epochs(trial int) ([]Epoch, error) {
	return list(r, "SELECT trial, attempt, epoch, accuracy FROM epochs WHERE trial = ? ORDER BY attempt, epoch",
		func(rows *sql.Rows, e *Epoch) error { return rows.Scan(&e.Trial, &e.Attempt, &e.Epoch, &e.Accuracy) }, trial)
}

// Others returns the results that do not count, in order of trials and of time.
func (r *Reader) Others() ([]Other, error) {
	return list(r, "SELECT trial, attempt, kind, received, result FROM other_results ORDER BY trial, rowid", func(rows *sql.Rows, o *Other) error {
		var trial int
		var kind, received, result string
		if err := rows.Scan(&trial, &o.Attempt, &kind, &received, &result); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(result), &o.Result); err != nil {
			return fmt.Errorf("another result of trial %d: %w", trial, err)
		}
		var err error
		o.Late = kind == "late"
		o.Received, err = parseTime(received)
		return err
	})
}

// Checkpoint returns the search's state, without what is read back by itself:
// with [Reader.Trials], Generations, Archive and Study. Without one it is the
// zero Checkpoint.
func (r *Reader) Checkpoint() (Checkpoint, error) {
	var c Checkpoint
	var saved string
	err := r.db.QueryRow("SELECT evaluations, data, ended, saved FROM state").Scan(&c.Evaluations, &c.State, &c.Ended, &saved)
	if errors.Is(err, sql.ErrNoRows) {
		return c, nil
	}
	if err != nil {
		return c, explain(r.path, err)
	}
	if c.Saved, err = parseTime(saved); err != nil {
		return c, explain(r.path, damaged(err))
	}
	return c, nil
}

// Generations returns all generations in order.
func (r *Reader) Generations() ([]Generation, error) {
	return list(r, "SELECT evaluations, hypervolume, front, best_accuracy, seconds FROM generations ORDER BY evaluations",
		func(rows *sql.Rows, g *Generation) error {
			return rows.Scan(&g.Evaluations, &g.Hypervolume, &g.Front, &g.BestAccuracy, &g.Seconds)
		})
}

// Archive returns the front's members by their numbers.
func (r *Reader) Archive() ([]Member, error) {
	return list(r, "SELECT id, key, genome, objectives, extra FROM archive ORDER BY id", func(rows *sql.Rows, m *Member) error {
		var objectives string
		var extra sql.NullString
		if err := rows.Scan(&m.ID, &m.Key, &m.Genome, &objectives, &extra); err != nil {
			return err
		}
		m.Extra = raw(extra)
		if err := json.Unmarshal([]byte(objectives), &m.Objectives); err != nil {
			return fmt.Errorf("member %d: %w", m.ID, err)
		}
		return nil
	})
}

// list returns what scan makes of each row of a query.
func list[T any](r *Reader, query string, scan func(*sql.Rows, *T) error, args ...any) ([]T, error) {
	rows, err := r.db.Query(query, args...)
	if err != nil {
		return nil, explain(r.path, err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		var v T
		if err := scan(rows, &v); err != nil {
			return nil, explain(r.path, damaged(err))
		}
		all = append(all, v)
	}
	if err := rows.Err(); err != nil {
		return nil, explain(r.path, err)
	}
	return all, nil
}

// raw returns JSON text, nil if there is none.
func raw(s sql.NullString) json.RawMessage {
	if !s.Valid {
		return nil
	}
	return json.RawMessage(s.String)
}

const timeFormat = "2006-01-02T15:04:05.000Z"

func formatTime(t time.Time) string { return t.UTC().Format(timeFormat) }

// parseTime returns a time, the zero time if there is none.
func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	return time.Parse(timeFormat, s)
}
