package runner

import (
	"bytes"
	"database/sql"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/efficientnas/nas/internal/studydb"
	"github.com/efficientnas/nas/search"
	"github.com/efficientnas/nas/space"
)

// interrupted returns a study that was interrupted and closed, the folder where its
// trainers say what they were asked, and what it finds if it goes on.
func interrupted(t testing.TB, text, log string, until int) (dir string, want map[string]string) {
	t.Helper()
	s := start(t, text)
	run(t, s, 1, until)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole := filepath.Join(t.TempDir(), "whole")
	if err := os.CopyFS(whole, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	w, err := Resume(whole)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	run(t, w, 1, 0)
	if err := os.RemoveAll(log); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(log, 0o755); err != nil {
		t.Fatal(err)
	}
	return s.dir, outcomeOf(t, whole)
}

// expect resumes a study, and compares what it finds.
func expect(t testing.TB, dir string, want map[string]string) {
	t.Helper()
	s, err := Resume(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	run(t, s, 2, 0)
	got := outcomeOf(t, dir)
	for name := range want {
		if diff := cmp.Diff(want[name], got[name]); diff != "" {
			t.Errorf("repaired, %s is another:\n%s", name, diff)
		}
	}
}

// execute changes a study's file behind its back.
func execute(t testing.TB, path, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := db.Exec(query)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := r.RowsAffected(); strings.HasPrefix(query, "UPDATE") && (err != nil || n != 1) {
		t.Fatalf("%s: %d rows, %v", query, n, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestBrokenStudy breaks the file of a study in every way. It is refused with an
// error that names the file and says what is wrong with it, before anything is trained, and
// stays what it is. With the file as it was, the study goes on.
func TestBrokenStudy(t *testing.T) {
	long(t)
	t.Parallel()
	trained, log := trainedBy(t, "good", "", 14)
	trainedDir, trainedWant := interrupted(t, trained, log, 8)
	text := strings.NewReplacer("ALGORITHM", "nsga2, population: 20", "EVALUATIONS", "300").Replace(predicted)
	predictedDir, predictedWant := interrupted(t, text, log, 200)

	write := func(data string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	truncate := func(share float64) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(path, int64(share*float64(info.Size()))); err != nil {
				t.Fatal(err)
			}
		}
	}
	query := func(q string) func(*testing.T, string) {
		return func(t *testing.T, path string) { execute(t, path, q) }
	}
	for _, c := range []struct {
		name      string
		predicted bool // which of the studies
		destroy   func(t *testing.T, path string)
		is        error  // nil for any
		want      string // in the error
	}{
		{"empty", false, truncate(0), studydb.ErrNotStudy, "it is empty"},
		{"truncated within a page", false, truncate(0.7), studydb.ErrCorrupt, ""},
		{"truncated after a page", false, func(t *testing.T, path string) {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(path, info.Size()/2/4096*4096); err != nil {
				t.Fatal(err)
			}
		}, studydb.ErrCorrupt, ""},
		{"pages overwritten", false, func(t *testing.T, path string) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for i := len(data) / 4; i < len(data)*3/4; i++ {
				data[i] = byte(i * i >> 3)
			}
			write(string(data))(t, path)
		}, studydb.ErrCorrupt, ""},
		{"text", false, write(strings.Repeat("once upon a time\n", 1000)), studydb.ErrNotStudy, ""},
		{"another database", false, func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			execute(t, path, "CREATE TABLE study (id INTEGER)")
		}, studydb.ErrNotStudy, "another application"},
		{"newer schema", false, query("PRAGMA user_version = 99"), studydb.ErrNewer, "schema 99"},
		{"genome too short", false, query("UPDATE trials SET genome = x'0000' WHERE id = (SELECT min(id) FROM trials)"), studydb.ErrCorrupt, "trial "},
		{"genome of no network", false, query("UPDATE trials SET genome = zeroblob(length(genome) - 2) || x'ffff' WHERE id = (SELECT min(id) FROM trials)"), studydb.ErrCorrupt, "trial "},
		{"genome of another network", false, query("UPDATE trials SET genome = (SELECT genome FROM trials ORDER BY id DESC) WHERE id = (SELECT min(id) FROM trials)"), studydb.ErrCorrupt, "trial "},
		{"genome, and no state", false, query(`DELETE FROM state; UPDATE trials SET genome = x'0000' WHERE id = (SELECT max(id) FROM trials)`), studydb.ErrCorrupt, "trial "},
		{"result forgotten", false, query("UPDATE trials SET state = 'queued', accuracy = NULL WHERE id = (SELECT min(id) FROM trials)"), studydb.ErrCorrupt, "trial "},
		{"no state", false, query("UPDATE state SET data = x'7b'"), studydb.ErrCorrupt, ""},
		{"options", false, query("UPDATE files SET data = x'7b' WHERE name = 'options.json'"), nil, "options.json"},
		{"state of a search", true, query("UPDATE state SET data = substr(data, 1, length(data) / 2)"), studydb.ErrCorrupt, ""},
		{"genome on the front", true, query("UPDATE archive SET genome = x'00' WHERE id = (SELECT min(id) FROM archive)"), studydb.ErrCorrupt, "of the front"},
		{"estimate on the front", true, query("UPDATE archive SET extra = '[' WHERE id = (SELECT min(id) FROM archive)"), studydb.ErrCorrupt, "of the front"},
	} {
		t.Run(c.name, func(t *testing.T) {
			from, want := trainedDir, trainedWant
			if c.predicted {
				from, want = predictedDir, predictedWant
			}
			dir := filepath.Join(t.TempDir(), "study")
			if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, studyDB)
			sound, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			c.destroy(t, path)
			broken, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(broken, sound) {
				t.Fatal("the file was not changed")
			}
			refused := func(doing string, err error) {
				t.Helper()
				switch {
				case err == nil:
					t.Errorf("%s: no error", doing)
				case c.is != nil && !errors.Is(err, c.is):
					t.Errorf("%s: %v, want %v", doing, err, c.is)
				case !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), c.want):
					t.Errorf("%s: %v, want it to name %s and %q", doing, err, path, c.want)
				}
			}
			_, err = ReadResults(dir)
			if c.name != "result forgotten" && c.name != "state of a search" && !c.predicted { // whose files are there
				refused("read", err)
			}
			s, err := Resume(dir)
			if err == nil {
				_, err = s.Run(t.Context(), Options{})
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
			refused("resume", err)
			if n := len(trainings(t, log)); n > 0 {
				t.Errorf("%d networks were trained for a broken study", n)
			}
			// It is somebody's study all the same.
			config, err := LoadConfig(filepath.Join(from, configYAML))
			if err != nil {
				t.Fatal(err)
			}
			if s, err := Create(config, dir, Options{}, false); !errors.Is(err, ErrInUse) && !errors.Is(err, ErrUnfinished) {
				t.Errorf("create: %v", err)
				s.Close()
			}
			if c.is == studydb.ErrNotStudy || c.is == studydb.ErrNewer || strings.Contains(c.name, "a page") {
				if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, broken) {
					t.Errorf("the file was changed: %v", err)
				}
			}
			for _, suffix := range []string{"-wal", "-shm"} { // as of a copy
				os.Remove(path + suffix)
			}
			write(string(sound))(t, path)
			expect(t, dir, want)
			os.RemoveAll(log)
			os.Mkdir(log, 0o755)
		})
	}
}

// TestNoStudy says that there is none.
func TestNoStudy(t *testing.T) {
	dir := t.TempDir()
	for _, dir := range []string{dir, filepath.Join(dir, "nowhere")} {
		if _, err := Resume(dir); err == nil || !strings.Contains(err.Error(), dir+": there is no study to go on with") {
			t.Errorf("got %v", err)
		}
		if _, err := ReadResults(dir); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("got %v", err)
		}
	}
}

// TestUnbornStudy begins a study where a process was killed before it had made one.
func TestUnbornStudy(t *testing.T) {
	long(t)
	c, err := load(t, study)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range unborn {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("half a file"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Resume(dir); err == nil || !strings.Contains(err.Error(), "there is no study to go on with") {
		t.Errorf("resume: %v", err)
	}
	finish(t, c, dir, false)
	if left, err := filepath.Glob(filepath.Join(dir, studyDB+".*")); err != nil || len(left) > 0 {
		t.Errorf("%v is left: %v", left, err)
	}
}

// TestCreateTogether begins a study in one folder several times at once. One gets
// it, and the others leave it alone.
func TestCreateTogether(t *testing.T) {
	c, err := load(t, study)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		dir := filepath.Join(t.TempDir(), "study")
		studies, errs := make([]*Study, 4), make([]error, 4)
		var all sync.WaitGroup
		for i := range studies {
			all.Go(func() { studies[i], errs[i] = Create(c, dir, Options{}, i%2 == 0) })
		}
		all.Wait()
		var first *Study
		for i, s := range studies {
			switch {
			case errs[i] == nil && first == nil:
				first = s
			case errs[i] == nil:
				t.Fatal("two have the study")
			case !errors.Is(errs[i], ErrBusy):
				t.Errorf("another was told: %v", errs[i])
			}
		}
		if first == nil {
			t.Fatal("none has the study")
		}
		if err := first.Close(); err != nil {
			t.Error(err)
		}
		s, err := Resume(dir)
		if err != nil {
			t.Fatalf("the study was taken away: %v", err)
		}
		s.Close()
	}
}

// measuredTable returns a table of all networks of a space, but every eleventh, and
// their accuracies, by the genes in words.
func measuredTable(t testing.TB, c *Config) (table string, accuracies map[string]float64) {
	t.Helper()
	var b strings.Builder
	w := csv.NewWriter(&b)
	header := []string{"accuracy"}
	for _, gene := range c.Space.Genes() {
		header = append(header, gene.Name)
	}
	w.Write(header)
	accuracies = make(map[string]float64)
	all, err := c.Space.All()
	if err != nil {
		t.Fatal(err)
	}
	i := 0
	for g := range all {
		words := c.Space.Words(g)
		if i++; i%11 == 0 {
			continue
		}
		a := 0.3 + float64(lot(strings.Join(words, " "), 250))/500
		accuracies[strings.Join(words, " ")] = a
		w.Write(append([]string{strconv.FormatFloat(a, 'f', -1, 64)}, words...))
	}
	w.Flush()
	return b.String(), accuracies
}

// tabled returns the configuration of a study of a table, which is written to the
// path.
func tabled(t *testing.T, path, algorithm string) (*Config, map[string]float64) {
	t.Helper()
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text := strings.NewReplacer("ALGORITHM", algorithm, "EVALUATIONS", "100000",
		"ACCURACY", fmt.Sprintf("{table: %q}", path)).Replace(trained)
	write("accuracy\n")
	c, err := load(t, text)
	if err != nil {
		t.Fatal(err)
	}
	table, accuracies := measuredTable(t, c)
	write(table)
	return c, accuracies
}

// TestTable compares the front of a table with that of comparing each network of
// the space with each.
func TestTable(t *testing.T) {
	long(t)
	path := filepath.Join(t.TempDir(), "table.csv")
	c, accuracies := tabled(t, path, "nsga2, population: 30")
	var points []string // MACs and accuracy
	infeasible, size := 0, 0
	all, err := c.Space.All()
	if err != nil {
		t.Fatal(err)
	}
	type point struct {
		macs     int64
		accuracy float64
	}
	var list []point
	for g := range all {
		size++
		_, graph, err := (&session{config: c}).lower(&search.Candidate[space.Genome]{Genome: g})
		if err != nil {
			t.Fatal(err)
		}
		p := point{macs: fp32().lowered(graph, false, false).MACs}
		var known bool
		if p.accuracy, known = accuracies[strings.Join(c.Space.Words(g), " ")]; p.macs > 700e3 {
			infeasible++
		} else if known {
			list = append(list, p)
		}
	}
	for _, p := range list {
		if !slices.ContainsFunc(list, func(q point) bool {
			return q.macs <= p.macs && q.accuracy >= p.accuracy && q != p
		}) {
			points = append(points, fmt.Sprintf("%d %.6f", p.macs, p.accuracy))
		}
	}
	slices.Sort(points)
	points = slices.Compact(points)

	dir := filepath.Join(t.TempDir(), "study")
	r := finish(t, c, dir, false)
	var got []string
	for _, m := range r.Front {
		got = append(got, fmt.Sprintf("%d %.6f", m.Costs.MACs, m.Accuracy))
		if m.Source != "measured" || m.Bound != m.Accuracy || !math.IsNaN(m.AccuracySD) {
			t.Errorf("on the front is %+v", m)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(points, got); diff != "" {
		t.Errorf("front:\n%s", diff)
	}
	if r.Run.Status != "exhausted" || r.Run.Evaluations != size || r.Run.Infeasible != infeasible || infeasible == 0 {
		t.Errorf("%s after %d evaluations of %d, %d infeasible of %d", r.Run.Status, r.Run.Evaluations, size, r.Run.Infeasible, infeasible)
	}
	if unknown := size - infeasible - len(list); r.Run.Failed != unknown || unknown == 0 {
		t.Errorf("%d failed, want %d, which the table lacks", r.Run.Failed, unknown)
	}
}

// TestTableChanged does not go on with another table, but does with the one that was there.
func TestTableChanged(t *testing.T) {
	long(t)
	path := filepath.Join(t.TempDir(), "table.csv")
	c, _ := tabled(t, path, "evolution")
	whole := filepath.Join(t.TempDir(), "whole")
	finish(t, c, whole, false)
	s, err := Create(c, filepath.Join(t.TempDir(), "study"), Options{}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { s.Close() }()
	run(t, s, 2, 256)
	s.Close()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func() error{
		"the table has changed since the study began": func() error { return os.WriteFile(path, append(data, '\n'), 0o644) },
		"no such file": func() error { return os.Remove(path) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if _, err := Resume(s.dir); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), what) {
			t.Errorf("got %v, want %s", err, what)
		}
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	expect(t, s.dir, outcomeOf(t, whole))
}
