package search

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
)

// stateHeader precedes the state of a method. A state is for a method that was
// made alike.
type stateHeader struct {
	Version int
	Method  string
	Setup   string // settings and directions
}

const stateVersion = 1

// marshalState returns the state v of a method in the form that
// [Method.MarshalBinary] returns: a gob with a checksum behind it.
func marshalState(method string, setup, v any) ([]byte, error) {
	var b bytes.Buffer
	e := gob.NewEncoder(&b)
	header := stateHeader{stateVersion, method, fmt.Sprintf("%+v", setup)}
	if err := errors.Join(e.Encode(header), e.Encode(v)); err != nil {
		return nil, fmt.Errorf("search: save %s: %w", method, err)
	}
	return appendChecksum(b.Bytes()), nil
}

// unmarshalState stores in v the state that marshalState returned for a method that
// was made alike.
func unmarshalState(data []byte, method string, setup, v any) error {
	fail := func(problem any) error { return fmt.Errorf("search: load %s: %v", method, problem) }
	body := data[:max(0, len(data)-crc32.Size)]
	if !bytes.Equal(appendChecksum(body), data) {
		return fail("the state is damaged")
	}
	d := gob.NewDecoder(bytes.NewReader(body))
	var header stateHeader
	if err := d.Decode(&header); err != nil {
		return fail(err)
	}
	switch want := fmt.Sprintf("%+v", setup); {
	case header.Version > stateVersion:
		return fail(fmt.Sprintf("the state is of version %d, this program knows those up to %d", header.Version, stateVersion))
	case header.Method != method:
		return fail("the state is that of " + header.Method)
	case header.Setup != want:
		return fail(fmt.Sprintf("the state is that of a search with other settings: %s instead of %s", header.Setup, want))
	}
	if err := d.Decode(v); err != nil {
		return fail(err)
	}
	return nil
}

func appendChecksum(body []byte) []byte {
	sum := crc32.ChecksumIEEE(body)
	return append(body[:len(body):len(body)], byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24))
}

// savedOutcome is an [Outcome] as gob can write it: of an error it keeps the message.
type savedOutcome[G any] struct {
	Candidate  Candidate[G]
	Objectives []float64
	Violation  float64
	Failed     bool
	Err        string
}

func saveOutcomes[G any](outcomes []Outcome[G]) []savedOutcome[G] {
	saved := make([]savedOutcome[G], len(outcomes))
	for i, o := range outcomes {
		saved[i] = savedOutcome[G]{Candidate: o.Candidate, Objectives: o.Objectives, Violation: o.Violation}
		if o.Err != nil {
			saved[i].Failed, saved[i].Err = true, o.Err.Error()
		}
	}
	return saved
}

func loadOutcomes[G any](saved []savedOutcome[G]) []Outcome[G] {
	outcomes := make([]Outcome[G], len(saved))
	for i, s := range saved {
		outcomes[i] = Outcome[G]{s.Candidate, Evaluation{Objectives: s.Objectives, Violation: s.Violation}}
		if s.Failed {
			outcomes[i].Err = errors.New(s.Err)
		}
	}
	return outcomes
}

// savedQueue is a [queue] as gob can write it.
type savedQueue[G any] struct {
	First    int
	Outcomes []savedOutcome[G]
}

func (q *queue[G]) save() savedQueue[G] { return savedQueue[G]{q.first, saveOutcomes(q.outcomes)} }

func loadQueue[G any](s savedQueue[G]) queue[G] {
	q := queue[G]{first: s.First, outcomes: loadOutcomes(s.Outcomes)}
	for _, o := range q.outcomes {
		if o.done() {
			q.told++
		}
	}
	return q
}

// check returns an error unless q is as a method may have left it.
func (q *queue[G]) check(objectives int) error {
	if q.first < 0 {
		return fmt.Errorf("the first candidate is %d", q.first)
	}
	for i, o := range q.outcomes {
		if o.done() {
			if err := o.check(objectives); err != nil {
				return err
			}
		}
		if o.ID != q.first+i {
			return fmt.Errorf("candidate %d is where %d should be", o.ID, q.first+i)
		}
	}
	return nil
}

// check returns an error unless o is what a method was told.
func (o Outcome[G]) check(objectives int) error {
	if o.Err == nil {
		if err := o.checked(objectives).Err; err != nil {
			return fmt.Errorf("candidate %d: %w", o.ID, err)
		}
	}
	return nil
}

// savedDistinct is what a [distinct] knows, its space apart, as gob can write it.
type savedDistinct struct {
	Seen      []string
	Exhausted bool
}

func (d *distinct[G]) save() savedDistinct {
	return savedDistinct{slices.Sorted(maps.Keys(d.seen)), d.exhausted}
}

func (d *distinct[G]) load(s savedDistinct) {
	d.exhausted = s.Exhausted
	d.seen = make(map[string]struct{}, len(s.Seen))
	for _, key := range s.Seen {
		d.seen[key] = struct{}{}
	}
}
