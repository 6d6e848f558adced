package studydb

import (
	"database/sql"
	"os"
	"regexp"
	"strings"
	"testing"
)

// The manual names every table and column, and its queries run.
func TestManual(t *testing.T) {
	manual := string(must1[[]byte](t)(os.ReadFile("../../docs/study-db.md")))
	w := create(t)
	fill(t, w, 30)
	must(t, w.Queue(proposal(40)))
	must(t, w.Start("a", 40))
	must(t, w.Retry(Result{Trial: 40, Error: "died", Worker: "a"}))
	must(t, w.Start("b", 40))
	must(t, w.Progress(Epoch{Trial: 40, Epoch: 3, Accuracy: 0.5}))
	must(t, w.Save(Checkpoint{Evaluations: 1500, Generations: []Generation{{Evaluations: 800}, {Evaluations: 1500}}}))

	for _, table := range tables {
		_, section, found := strings.Cut(manual, "\n### "+table+":")
		if !found {
			t.Errorf("no section about table %s", table)
			continue
		}
		section, _, _ = strings.Cut(section, "\n### ")
		columns := must1[[]string](t)(list(w.Reader, "SELECT name FROM pragma_table_info(?)", func(rows *sql.Rows, s *string) error { return rows.Scan(s) }, table))
		for _, column := range columns {
			if !regexp.MustCompile("(?m)^\\|[^|]*`" + column + "`").MatchString(section) {
				t.Errorf("nothing about column %s of table %s", column, table)
			}
		}
	}
	queries := regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(manual, -1)
	if len(queries) < 5 {
		t.Errorf("%d queries", len(queries))
	}
	for _, q := range queries {
		rows := must1[*sql.Rows](t)(w.Reader.db.Query(q[1]))
		n := 0
		for rows.Next() {
			n++
		}
		if err := rows.Err(); err != nil || n == 0 {
			t.Errorf("%s: %d rows, %v", q[1], n, err)
		}
	}
	var running struct {
		id, attempts, epoch int
		worker              string
		minutes, accuracy   float64
	}
	must(t, w.Reader.db.QueryRow(queries[2][1]).Scan(&running.id, &running.worker, &running.attempts, &running.minutes, &running.epoch, &running.accuracy))
	if running.id != 40 || running.worker != "b" || running.epoch != 3 || running.accuracy != 0.5 {
		t.Errorf("what runs: %+v", running)
	}
}
