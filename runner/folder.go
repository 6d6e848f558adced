package runner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/efficientnas/nas/internal/strict"
	"github.com/efficientnas/nas/internal/studydb"
	"github.com/efficientnas/nas/predictor"
)

// A Study is a study that is kept in a results folder from its first moment: its
// file study.db has what it takes to go on after an interruption of any kind. One
// process at a time has it open.
type Study struct {
	config *Config
	db     *studydb.Writer
	files  map[string][]byte // that the configuration names
	kept   keptOptions
	ended  string // why it has ended; empty if it goes on

	dir      string
	made     []string // parents of dir that did not exist, the deepest first
	replaced string   // folder of the results that were there before; empty if there were none
}

// keptOptions are what a study is run with beyond its configuration.
type keptOptions struct {
	Evaluations int    `json:"evaluations"`
	Force       bool   `json:"force,omitempty"` // see Options
	Table       string `json:"table,omitempty"` // SHA-256 of the table, in hex
}

const (
	studyDB     = "study.db"
	optionsJSON = "options.json" // in study.db
)

// What stands in the way of a study's folder.
var (
	// ErrInUse is returned for a folder that holds a study already.
	ErrInUse = errors.New("the folder holds results already")
	// ErrUnfinished is returned for one whose study can go on.
	ErrUnfinished = errors.New("the folder holds a study that has not ended")
	// ErrBusy is returned for a study that another process has open.
	ErrBusy = errors.New("another process has the study open")
)

// Create begins a study in the folder dir, which must be new or empty. With force,
// a study that is there is replaced: when the new one has ended, what was there
// is removed, but not if networks were trained for it.
//
// It fails with [ErrInUse], [ErrUnfinished] or [ErrBusy], and always if the folder holds anything else
// than results. o are those that the study is to be run with.
func Create(c *Config, dir string, o Options, force bool) (_ *Study, err error) {
	s := &Study{config: c, dir: filepath.Clean(dir), kept: keptOptions{Evaluations: c.Search.Evaluations, Force: o.Force}}
	there, err := s.occupied()
	if err != nil {
		return nil, err
	}
	if there != nil && !force {
		return nil, fmt.Errorf("%s: %w", dir, there)
	}
	files, err := c.namedFiles()
	if err != nil {
		return nil, err
	}
	if c.Accuracy.Table != "" {
		if s.kept.Table, err = digest(c.Accuracy.Table); err != nil {
			return nil, c.Accuracy.sourceAt.Errorf("accuracy: the table: %v", err)
		}
	}
	s.files = files
	stored := maps.Clone(files)
	if stored[optionsJSON], err = json.Marshal(s.kept); err != nil {
		return nil, err
	}
	if err := s.makeDir(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.Discard()
		}
	}()
	if there != nil {
		if err := s.replace(); err != nil {
			return nil, err
		}
	}
	s.db, err = studydb.Create(s.path(studyDB), studydb.Study{
		Name: c.Name, Config: string(c.source), Seed: c.Search.Seed, Version: version(), Files: stored,
	})
	if err != nil {
		return nil, busy(err)
	}
	return s, s.writeInputs()
}

// Resume opens the study in the folder dir, to go on with it.
func Resume(dir string) (_ *Study, err error) {
	s := &Study{dir: filepath.Clean(dir)}
	if _, err := os.Stat(s.path(studyDB)); errors.Is(err, fs.ErrNotExist) {
		return nil, strict.Pos{File: dir}.Errorf("there is no study to go on with: the folder has no %s", studyDB)
	}
	if s.db, err = openDB(s.path(studyDB)); err != nil {
		return nil, busy(err)
	}
	defer func() {
		if err != nil {
			s.db.Close()
		}
	}()
	if s.config, s.kept, err = openConfig(s.dir, s.db.Reader); err != nil {
		return nil, err
	}
	s.files = s.config.files
	if table := s.config.Accuracy.Table; table != "" {
		now, err := digest(table)
		if err != nil {
			return nil, err
		}
		if now != s.kept.Table {
			return nil, strict.Pos{File: table}.Errorf("the table has changed since the study began: it would not come to the same results")
		}
	}
	checkpoint, err := s.db.Checkpoint()
	if err != nil {
		return nil, err
	}
	s.ended = checkpoint.Ended
	return s, s.writeInputs()
}

// openConfig returns the configuration of a study in the folder dir.
func openConfig(dir string, r *studydb.Reader) (*Config, keptOptions, error) {
	var kept keptOptions
	study, err := r.Study()
	if err != nil {
		return nil, kept, err
	}
	c, err := parseConfig(filepath.Join(dir, configYAML), []byte(study.Config), study.Files)
	if err != nil {
		return nil, kept, err
	}
	if err := json.Unmarshal(study.Files[optionsJSON], &kept); err != nil {
		return nil, kept, fmt.Errorf("%s: %s: %w", filepath.Join(dir, studyDB), optionsJSON, err)
	}
	c.Search.Seed, c.Search.Evaluations = study.Seed, kept.Evaluations
	return c, kept, nil
}

// Config returns the study's configuration.
func (s *Study) Config() *Config { return s.config }

// Ended returns why the study has ended, or an empty string if it can go on.
func (s *Study) Ended() string { return s.ended }

// Replaced returns, once the study has ended, the folder of an earlier one that it
// replaces, if that is kept since networks were trained for it; else an empty string.
func (s *Study) Replaced() string { return s.replaced }

// Close closes the study's file.
func (s *Study) Close() error { return s.db.Close() }

// Discard gives up a study that was created, without leaving a trace, and puts
// back what it was to replace. One that has had networks trained stays, and so does
// one with networks on the front.
func (s *Study) Discard() {
	if s.db != nil {
		counts, err := s.db.Count()
		front, frontErr := s.db.Archive()
		s.db.Close()
		if err != nil || frontErr != nil || len(counts)+len(front) > 0 {
			return
		}
	}
	if s.db != nil { // else what is there is another's
		for _, name := range slices.Concat(outputs, studyFiles) {
			os.RemoveAll(s.path(name))
		}
	}
	if s.replaced != "" {
		moveAll(s.replaced, s.dir)
		os.Remove(s.replaced)
	}
	for _, dir := range s.made {
		os.Remove(dir) // if it is empty
	}
}

func (s *Study) path(name string) string { return filepath.Join(s.dir, name) }

// studyFiles are those of study.db, and of the server that the study may have.
var studyFiles = []string{natsDir, studyDB, studyDB + "-wal", studyDB + "-shm", studyDB + ".lock", studyDB + ".new"}

// unborn are those that a process leaves that was killed before it had made study.db.
var unborn = []string{studyDB + ".lock", studyDB + ".new", studyDB + ".new-journal", studyDB + ".new-wal", studyDB + ".new-shm"}

// occupied returns what kind of study is in the folder already, nil if there is
// none. It fails if there is anything else than a study.
func (s *Study) occupied() (there, err error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	has := func(name string) bool {
		return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == name })
	}
	switch {
	case has(studyDB):
		db, err := openDB(s.path(studyDB))
		var inUse *studydb.InUseError
		if errors.As(err, &inUse) {
			return nil, busy(err)
		}
		if err != nil {
			return ErrInUse, nil // whatever it is, nobody has it open
		}
		defer db.Close()
		if c, err := db.Checkpoint(); err == nil && c.Ended == "" {
			return ErrUnfinished, nil
		}
		return ErrInUse, nil
	case has(frontCSV):
		return ErrInUse, nil
	case slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		return !slices.Contains(unborn, e.Name()) && !strings.HasPrefix(e.Name(), replacedPrefix)
	}):
		return nil, strict.Pos{File: s.dir}.Errorf("the folder is not empty, and holds no results that could be replaced")
	}
	return nil, nil
}

// openDB opens study.db to write. A process that was killed may have the lock a
// moment longer: until what it was just about to start, a trainer, is gone too.
func openDB(path string) (*studydb.Writer, error) {
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		w, err := studydb.Open(path)
		var inUse *studydb.InUseError
		if !errors.As(err, &inUse) || !isGone(inUse) || time.Since(begin) > 5*time.Second {
			return w, err
		}
	}
}

// isGone reports whether a process of this machine has ended that has a study's
// lock.
func isGone(e *studydb.InUseError) bool {
	if host, err := os.Hostname(); err != nil || e.Host != host || e.PID <= 0 {
		return false
	}
	p, err := os.FindProcess(e.PID)
	if err != nil {
		return false
	}
	defer p.Release()
	return errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone)
}

// busy returns err as [ErrBusy] if that is what it is.
func busy(err error) error {
	var inUse *studydb.InUseError
	if errors.As(err, &inUse) {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return err
}

// makeDir makes the folder.
func (s *Study) makeDir() error {
	for dir := s.dir; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		s.made = append(s.made, dir)
	}
	return os.MkdirAll(s.dir, 0o755)
}

// replace moves the results that are in the folder into one within it.
func (s *Study) replace() error {
	for i := 1; ; i++ {
		dir := s.path(replacedPrefix + strconv.Itoa(i))
		err := os.Mkdir(dir, 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		s.replaced = dir
		return moveAll(s.dir, dir)
	}
}

// moveAll moves the files of a study, as far as they are there.
func moveAll(from, to string) error {
	for _, name := range slices.Concat(outputs, studyFiles) {
		if err := os.Rename(filepath.Join(from, name), filepath.Join(to, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// dropReplaced removes the results that were replaced in this folder, but not those
// for which something was measured, or of which that cannot be told.
func (s *Study) dropReplaced() error {
	s.replaced = ""
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		dir := s.path(e.Name())
		if !strings.HasPrefix(e.Name(), replacedPrefix) {
			continue
		}
		if holdsTrials(filepath.Join(dir, studyDB)) {
			s.replaced = dir
		} else if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return nil
}

// replacedPrefix begins the names of the folders of what was replaced.
const replacedPrefix = "replaced-"

// holdsTrials reports whether the study at path has trials, or may have.
func holdsTrials(path string) bool {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return false // of results without a study
	}
	r, err := studydb.OpenRead(path)
	if err != nil {
		return true
	}
	defer r.Close()
	counts, err := r.Count()
	return err != nil || len(counts) > 0
}

// namedFiles returns the files that the configuration names, by the names that
// they have beside the results.
func (c *Config) namedFiles() (map[string][]byte, error) {
	files := make(map[string][]byte)
	if c.spaceFile != nil {
		files[spaceYAML] = c.spaceFile
	}
	for name, path := range map[string]string{predictorJSON: c.Accuracy.Predictor, warmStartJSON: c.Search.WarmStart} {
		if path == predictor.ImagenetName || path == "" {
			continue
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // who opens it says so, and where it is named
		}
		if err != nil {
			return nil, err
		}
		files[name] = data
	}
	return files, nil
}

// writeInputs writes the configuration and what it names beside study.db, where
// people look for them.
func (s *Study) writeInputs() error {
	if err := writeFile(s.path(configYAML), func(w io.Writer) error { _, err := w.Write(s.config.source); return err }); err != nil {
		return err
	}
	for _, name := range []string{spaceYAML, predictorJSON, warmStartJSON} {
		data, ok := s.files[name]
		if !ok {
			continue
		}
		if err := writeFile(s.path(name), func(w io.Writer) error { _, err := w.Write(data); return err }); err != nil {
			return err
		}
	}
	return nil
}

// digest returns the SHA-256 of a file.
func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// version returns that of this program.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(unknown version)"
}

// Run runs the study, from its beginning or from where it was interrupted, until
// it ends or ctx is done, and writes the results. One that has ended already only
// writes them again. See [Run] for how it ends.
func (s *Study) Run(ctx context.Context, o Options) (*Results, error) {
	o.Force = o.Force || s.kept.Force
	x, err := newSession(s.config, o)
	if err != nil {
		return nil, err
	}
	run := s.explore
	if s.config.Accuracy.Trials != nil {
		run = s.measure
	}
	r, err := run(ctx, x)
	if err != nil {
		return nil, err
	}
	return r, s.Write(r)
}
