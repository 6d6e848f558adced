package runner

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/efficientnas/nas/internal/studydb"
	"github.com/efficientnas/nas/search"
	"github.com/efficientnas/nas/space"
)

// A checkpoint is what a search of cheap evaluations goes on from, beside the front
// and the history, which study.db has in tables of their own.
type checkpoint struct {
	Method   []byte
	Search   search.Snapshot[space.Genome]
	Beyond   []int64
	Explored []Explored
	Seconds  float64
}

// extra is what is kept of a member of the front that the front's table has no
// columns for.
type extra struct {
	Accuracy float64  `json:"accuracy"`
	SD       *float64 `json:"accuracy_sd"` // nil if it is not known
}

// explore runs a study whose evaluations are cheap: about once a second it keeps
// the state of the search, the front and the history.
func (s *Study) explore(ctx context.Context, x *session) (*Results, error) {
	saved, err := s.restore(x)
	if err != nil {
		return nil, err
	}
	if s.ended != "" {
		return x.results(search.Result[space.Genome]{Counts: saved.Counts, Front: saved.Front}, s.ended)
	}
	k := keeper{study: s, session: x, stored: len(x.history), next: time.Now().Add(keepEvery)}
	settings := x.settings()
	settings.Resume = saved
	settings.Recorder = func(p search.Progress[space.Genome]) error {
		if err := x.record(p); err != nil || ctx.Err() != nil || time.Now().Before(k.next) {
			return err
		}
		return k.keep(p.Snapshot())
	}
	result, err := search.Run(ctx, x.method, x.evaluator, settings)
	if err != nil {
		return nil, err
	}
	if result.Status == search.Interrupted {
		// The state may be that of half a batch. What is kept is that of a whole one:
		// so the history does not tell of the interruption.
		return x.results(result, result.Status.String())
	}
	if len(result.Front) > 0 {
		s.ended = result.Status.String()
		if err := k.keep(search.Snapshot[space.Genome]{Counts: result.Counts, Front: result.Front}); err != nil {
			return nil, err
		}
	}
	return x.results(result, result.Status.String())
}

// A keeper keeps a search as it goes on, less often than once a second where that
// takes long.
type keeper struct {
	study   *Study
	session *session
	stored  int // how much of the history is kept
	next    time.Time
}

// keepEvery is how often the state of a search is kept. Tests keep it more often.
var keepEvery = time.Second

const keepShare = 20 // of the time one part in so many goes into keeping

// keep keeps the search as it is at p.
func (k *keeper) keep(p search.Snapshot[space.Genome]) error {
	begin := time.Now()
	x := k.session
	c := checkpoint{Search: p, Explored: x.evaluator.explored, Seconds: x.seconds()}
	if k.study.ended == "" { // else nobody needs it any more
		var err error
		if c.Method, err = x.method.MarshalBinary(); err != nil {
			return err
		}
	}
	for i := range x.evaluator.beyond {
		c.Beyond = append(c.Beyond, x.evaluator.beyond[i].Load())
	}
	var data bytes.Buffer
	if err := gob.NewEncoder(&data).Encode(c); err != nil {
		return fmt.Errorf("keep the search: %w", err)
	}
	save := studydb.Checkpoint{Evaluations: p.Evaluations, State: data.Bytes(), Ended: k.study.ended, Archive: []studydb.Member{}}
	for _, h := range x.history[k.stored:] {
		save.Generations = append(save.Generations, generation(h))
	}
	for _, o := range p.Front {
		m, err := x.archived(o)
		if err != nil {
			return err
		}
		save.Archive = append(save.Archive, m)
	}
	if err := k.study.db.Save(save); err != nil {
		return err
	}
	if k.study.ended != "" {
		return k.study.db.Compact()
	}
	k.stored = len(x.history)
	k.next = time.Now().Add(max(keepEvery, keepShare*time.Since(begin)))
	return nil
}

func generation(p Progress) studydb.Generation {
	return studydb.Generation{Evaluations: p.Evaluations, Hypervolume: p.Hypervolume, Front: p.Front, BestAccuracy: p.Best, Seconds: p.Seconds}
}

// archived returns a member of the front as study.db has it.
func (x *session) archived(o search.Outcome[space.Genome]) (studydb.Member, error) {
	estimate := x.evaluator.estimates[o.ID]
	e := extra{Accuracy: estimate.Accuracy}
	if !math.IsNaN(estimate.SD) {
		e.SD = &estimate.SD
	}
	text, err := json.Marshal(e)
	return studydb.Member{ID: o.ID, Key: trialKey(o.Key), Genome: encodeGenome(o.Genome), Objectives: o.Objectives, Extra: text}, err
}

// readCheckpoint returns the results of a study as they were kept last in the file
// at path.
func (x *session) readCheckpoint(path string, kept studydb.Checkpoint, r *studydb.Reader) (*Results, error) {
	var c checkpoint
	if err := gob.NewDecoder(bytes.NewReader(kept.State)).Decode(&c); err != nil {
		return nil, damaged(path, err)
	}
	if len(c.Explored) == len(x.evaluator.explored) {
		copy(x.evaluator.explored, c.Explored)
	}
	var err error
	if x.history, err = readHistory(r, x.total); err != nil {
		return nil, err
	}
	front, err := x.readArchive(path, r)
	if err != nil {
		return nil, err
	}
	return x.results(search.Result[space.Genome]{Counts: c.Search.Counts, Front: front}, cmp.Or(kept.Ended, search.Interrupted.String()))
}

// restore makes x what it was when the study was interrupted, and returns where the
// search stood; nil if it has not begun.
func (s *Study) restore(x *session) (*search.Snapshot[space.Genome], error) {
	kept, err := s.db.Checkpoint()
	if err != nil || kept.State == nil {
		return nil, err
	}
	var c checkpoint
	if err := gob.NewDecoder(bytes.NewReader(kept.State)).Decode(&c); err != nil {
		return nil, s.damaged(err)
	}
	if len(c.Explored) != len(x.evaluator.explored) || len(c.Beyond) != len(x.evaluator.beyond) {
		return nil, s.damaged(fmt.Errorf("the state is that of another study"))
	}
	if s.ended == "" {
		if err := x.method.UnmarshalBinary(c.Method); err != nil {
			return nil, s.damaged(err)
		}
	}
	copy(x.evaluator.explored, c.Explored)
	for i, n := range c.Beyond {
		x.evaluator.beyond[i].Store(n)
	}
	x.before = c.Seconds
	if x.history, err = readHistory(s.db.Reader, x.total); err != nil {
		return nil, err
	}
	if _, err := x.readArchive(s.path(studyDB), s.db.Reader); err != nil {
		return nil, err
	}
	return &c.Search, nil
}

// readArchive returns the front that study.db has, in order of proposal, and
// takes in its estimates.
func (x *session) readArchive(path string, r *studydb.Reader) ([]search.Outcome[space.Genome], error) {
	archive, err := r.Archive()
	if err != nil {
		return nil, err
	}
	var front []search.Outcome[space.Genome]
	for _, m := range archive {
		var e extra
		genome, err := x.config.decodeGenome(m.Genome)
		if err == nil {
			err = json.Unmarshal(m.Extra, &e)
		}
		if err != nil {
			return nil, damaged(path, fmt.Errorf("member %d of the front: %w", m.ID, err))
		}
		estimate := Estimate{e.Accuracy, math.NaN()}
		if e.SD != nil {
			estimate.SD = *e.SD
		}
		x.evaluator.estimates[m.ID] = estimate
		front = append(front, search.Outcome[space.Genome]{
			Candidate:  search.Candidate[space.Genome]{ID: m.ID, Genome: genome},
			Evaluation: search.Evaluation{Objectives: m.Objectives},
		})
	}
	return front, nil
}

func readHistory(r *studydb.Reader, total int) ([]Progress, error) {
	generations, err := r.Generations()
	var history []Progress
	for _, g := range generations {
		history = append(history, Progress{
			Evaluations: g.Evaluations, Total: total, Front: g.Front, Hypervolume: g.Hypervolume, Best: g.BestAccuracy, Seconds: g.Seconds,
		})
	}
	return history, err
}

// damaged returns err as one of a study whose file is not as it was written.
func (s *Study) damaged(err error) error { return damaged(s.path(studyDB), err) }

func damaged(path string, err error) error {
	return fmt.Errorf("%s: %w: %w", path, studydb.ErrCorrupt, err)
}

// encodeGenome returns a genome as study.db has it: two bytes a gene, the lower
// one first.
func encodeGenome(g space.Genome) []byte {
	data := make([]byte, 0, 2*len(g))
	for _, option := range g {
		data = binary.LittleEndian.AppendUint16(data, option)
	}
	return data
}

// decodeGenome returns the genome that encodeGenome was given, if it is one of the
// space.
func (c *Config) decodeGenome(data []byte) (space.Genome, error) {
	genes := c.Space.Genes()
	if len(data) != 2*len(genes) {
		return nil, fmt.Errorf("a genome of %d bytes, want %d", len(data), 2*len(genes))
	}
	g := make(space.Genome, len(genes))
	for i := range g {
		g[i] = binary.LittleEndian.Uint16(data[2*i:])
		if int(g[i]) >= len(genes[i].Options) {
			return nil, fmt.Errorf("option %d of %s, which has %d", g[i], genes[i].Name, len(genes[i].Options))
		}
	}
	return g, nil
}
