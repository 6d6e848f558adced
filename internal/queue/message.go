package queue

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/efficientnas/nas/internal/trainer"
)

// Version is the version of the messages. It grows when older programs would
// misunderstand them. A worker answers in the version of the job.
const Version = 1

// Limits of messages.
const (
	// A server takes messages of 1 MiB by default, with their headers.
	maxJob   = 1<<20 - 4<<10
	maxEvent = 256 << 10
	maxReply = 16 << 10 // of a worker that says how it is

	maxKey     = 256 // bytes of an architecture's name
	maxDataset = 4 << 10
	maxNumbers = 64 // metrics or costs of a trial
	maxName    = 64 // bytes of the name of a metric, a cost or a label, and of a label's value
	maxWorker  = 128
	maxLabels  = 32
	maxMessage = 1 << 10
	maxStderr  = 16 << 10
	maxReason  = 32
	maxTrial   = math.MaxInt32
	maxAttempt = 1e6
	maxEpoch   = 1e9
)

// Reasons of a [trainer.Failure] that arise here. Another attempt makes no sense
// for either.
const (
	Lost    trainer.Reason = "lost"    // every worker that took the job was gone before its end
	Refused trainer.Reason = "refused" // no worker can read the job
)

// A Job is a training to do. A trial and an attempt, which [trainer.Request]
// counts, name it within its study.
type Job struct {
	Trial   int             `json:"trial"` // 0 or more
	Request trainer.Request `json:"request"`
	// Timeout shortens that of the worker's command. 0 leaves it as it is.
	Timeout time.Duration `json:"timeout,omitempty"`
}

// Kind says what an [Event] tells.
type Kind string

const (
	Started    Kind = "started"
	Progressed Kind = "progress"
	Ended      Kind = "ended"
)

// An Event is what a worker says of a job. All texts are safe to show on a
// terminal, and all but Stderr are one line; HTML needs escaping.
type Event struct {
	Trial    int               `json:"trial"`
	Attempt  int               `json:"attempt"` // from 1
	Key      string            `json:"key"`     // of the request; empty if no worker could read it
	Kind     Kind              `json:"kind"`
	Worker   Identity          `json:"worker"`
	Progress *trainer.Progress `json:"progress,omitempty"` // of Progressed
	Result   *trainer.Result   `json:"result,omitempty"`   // of Ended: this or Failure
	Failure  *trainer.Failure  `json:"failure,omitempty"`
}

// Identity is who a worker says it is.
type Identity struct {
	Name   string            `json:"name"`
	Host   string            `json:"host"`
	Labels map[string]string `json:"labels,omitempty"`
}

// NewID returns a new name for a study: 128 random bits in hexadecimal.
func NewID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

var (
	isID    = regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString
	isQueue = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`).MatchString
)

// CheckName returns an error unless a queue may have the name: 1 to 64 letters,
// digits, hyphens and underscores.
func CheckName(queue string) error {
	if !isQueue(queue) {
		return fmt.Errorf("queue %q: a name is 1 to 64 letters, digits, - and _", queue)
	}
	return nil
}

// address names a job on the server.
type address struct {
	study          string
	trial, attempt int
}

func (a address) String() string { return fmt.Sprintf("%s.%d.%d", a.study, a.trial, a.attempt) }

// parseAddress reads the end of a subject.
func parseAddress(s string) (address, bool) {
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		return address{}, false
	}
	trial, err1 := strconv.Atoi(parts[1])
	attempt, err2 := strconv.Atoi(parts[2])
	a := address{parts[0], trial, attempt}
	// Numbers have one way to be written.
	return a, err1 == nil && err2 == nil && a.check() == nil && a.String() == s
}

func (a address) check() error {
	switch {
	case !isID(a.study):
		return fmt.Errorf("study %q: want 32 hexadecimal digits", a.study)
	case a.trial < 0 || a.trial > maxTrial:
		return fmt.Errorf("trial is %d, want 0 to %d", a.trial, maxTrial)
	case a.attempt < 1 || a.attempt > maxAttempt:
		return fmt.Errorf("attempt is %d, want 1 to 1e6", a.attempt)
	}
	return nil
}

// A header is what every stored message begins with.
type header struct {
	Version int    `json:"version"`
	Study   string `json:"study"`
}

type jobMessage struct {
	header
	Job
	Request request `json:"request"` // in place of the job's
}

// A request is a [trainer.Request] without its method, which adds the version.
type request struct {
	Version int `json:"version"` // of the protocol of trainers
	requestFields
}

type requestFields trainer.Request

type eventMessage struct {
	header
	Event
}

func encodeJob(study string, j Job) ([]byte, error) {
	if err := j.check(study); err != nil {
		return nil, err
	}
	data, err := json.Marshal(jobMessage{header{Version, study}, j, request{trainer.Version, requestFields(j.Request)}})
	if err != nil {
		return nil, err
	}
	if len(data) > maxJob {
		return nil, fmt.Errorf("the job has %d bytes, at most %d are allowed", len(data), maxJob)
	}
	return data, nil
}

// decodeJob reads a message that was addressed to a.
func decodeJob(data []byte, a address) (Job, error) {
	var m jobMessage
	if err := decode(data, maxJob, &m, &m.Version); err != nil {
		return Job{}, err
	}
	if m.Request.Version != trainer.Version {
		return Job{}, fmt.Errorf("the request has version %d, this nas understands %d", m.Request.Version, trainer.Version)
	}
	j := m.Job
	j.Request = trainer.Request(m.Request.requestFields)
	if got := j.address(m.Study); got != a {
		return Job{}, fmt.Errorf("the job is %.200q, its subject says %v", got, a)
	}
	return j, j.check(m.Study)
}

func (j *Job) address(study string) address { return address{study, j.Trial, j.Request.Attempt} }

func (j *Job) check(study string) error {
	if err := j.address(study).check(); err != nil {
		return err
	}
	r := &j.Request
	if r.Key == "" || len(r.Key) > maxKey || line(r.Key, maxKey) != r.Key {
		return fmt.Errorf("key %.80q: want 1 to %d bytes that can be printed", r.Key, maxKey)
	}
	if len(r.Dataset) > maxDataset || strings.IndexByte(r.Dataset, 0) >= 0 {
		return fmt.Errorf("the dataset's name has %d bytes, want at most %d and no zero byte", len(r.Dataset), maxDataset)
	}
	if a := bytes.TrimSpace(r.Architecture); len(a) == 0 || a[0] != '{' || !json.Valid(a) {
		return errors.New("the architecture is no JSON object")
	}
	if l := bytes.TrimSpace(r.Layers); len(r.Layers) > 0 && (len(l) == 0 || l[0] != '[' || !json.Valid(l)) {
		return errors.New("the layers are no JSON array")
	}
	if len(r.Costs) > maxNumbers {
		return fmt.Errorf("%d costs, want at most %d", len(r.Costs), maxNumbers)
	}
	for name, v := range r.Costs {
		if !isName(name) || math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("cost %.80q is %v, want a finite number and a name of 1 to %d bytes", name, v, maxName)
		}
	}
	if r.Budget.Epochs < 0 {
		return fmt.Errorf("budget is %d epochs, want 0 or more", r.Budget.Epochs)
	}
	if j.Timeout < 0 {
		return fmt.Errorf("time-out is %v, want 0 or more", j.Timeout)
	}
	return nil
}

func encodeEvent(study string, e Event) ([]byte, error) {
	if err := e.clean(); err != nil {
		return nil, err
	}
	return json.Marshal(eventMessage{header{Version, study}, e})
}

// decodeEvent reads an event of a study.
func decodeEvent(data []byte, study string) (Event, error) {
	var m eventMessage
	if err := decode(data, maxEvent, &m, &m.Version); err != nil {
		return Event{}, err
	}
	if m.Study != study {
		return Event{}, fmt.Errorf("the event is of study %.80q, its subject says %s", m.Study, study)
	}
	if err := (address{study, m.Trial, m.Attempt}).check(); err != nil {
		return Event{}, err
	}
	return m.Event, m.Event.clean()
}

// clean shortens texts and makes them safe, and returns an error for what cannot
// be mended. To refuse an end for a text would leave its trial without one.
func (e *Event) clean() error {
	e.Key = line(e.Key, maxKey)
	e.Worker.clean()
	if (e.Progress != nil) != (e.Kind == Progressed) || (e.Result != nil || e.Failure != nil) != (e.Kind == Ended) ||
		e.Result != nil && e.Failure != nil {
		return fmt.Errorf("the event %.20q has the content of another kind, or none", e.Kind)
	}
	if e.Kind != Started && e.Kind != Progressed && e.Kind != Ended {
		return fmt.Errorf("the event's kind is %.20q, want started, progress or ended", e.Kind)
	}
	if e.Progress != nil {
		return checkProgress(*e.Progress)
	}
	if r := e.Result; r != nil {
		metrics := make(map[string]float64)
		for _, name := range slices.Sorted(maps.Keys(r.Metrics)) {
			if v := r.Metrics[name]; isName(name) && !math.IsNaN(v) && !math.IsInf(v, 0) && len(metrics) < maxNumbers {
				metrics[name] = v
			}
		}
		r.Metrics = nil
		if len(metrics) > 0 {
			r.Metrics = metrics
		}
		r.Stderr = end(r.Stderr, maxStderr)
		r.Duration = max(r.Duration, 0)
		return checkProgress(trainer.Progress{Epoch: r.Epoch, Accuracy: r.Accuracy})
	}
	if f := e.Failure; f != nil {
		f.Reason = trainer.Reason(line(string(f.Reason), maxReason))
		f.Message = line(f.Message, maxMessage)
		f.Stderr = end(f.Stderr, maxStderr)
		if !(f.Seconds >= 0) || math.IsInf(f.Seconds, 0) {
			f.Seconds = 0
		}
		if f.Last != nil && checkProgress(*f.Last) != nil {
			f.Last = nil
		}
	}
	return nil
}

func (i *Identity) clean() {
	i.Name, i.Host = line(i.Name, maxWorker), line(i.Host, maxWorker)
	labels := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(i.Labels)) {
		if isName(name) && len(labels) < maxLabels {
			labels[name] = line(i.Labels[name], maxName)
		}
	}
	i.Labels = nil
	if len(labels) > 0 {
		i.Labels = labels
	}
}

func checkProgress(p trainer.Progress) error {
	if !(p.Accuracy >= 0 && p.Accuracy <= 1) {
		return fmt.Errorf("accuracy is %v, want 0 to 1", p.Accuracy)
	}
	if p.Epoch < 0 || p.Epoch > maxEpoch {
		return fmt.Errorf("epoch is %d, want 0 to 1e9", p.Epoch)
	}
	return nil
}

// decode reads one JSON object, and nothing else, into message. Fields that it
// does not know are an error, as they would be of another version.
func decode(data []byte, most int, message any, version *int) error {
	if len(data) > most {
		return fmt.Errorf("the message has %d bytes, at most %d are allowed", len(data), most)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(message)
	if err == nil {
		if _, end := d.Token(); end != io.EOF {
			err = errors.New("something follows the object")
		}
	}
	if err != nil {
		var other struct {
			Version int `json:"version"`
		}
		// That it is newer says more than what it has in addition.
		if json.Unmarshal(data, &other) != nil || other.Version <= Version {
			return fmt.Errorf("the message cannot be read: %s", line(err.Error(), maxMessage))
		}
		*version = other.Version
	}
	if *version != Version {
		return fmt.Errorf("the message has version %d, this nas understands %d", *version, Version)
	}
	return nil
}

// isName reports whether a metric, a cost or a label may be called so.
func isName(s string) bool {
	return s != "" && len(s) <= maxName && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) })
}

// line returns text as one line that is safe to show, and at most so many bytes
// of it.
func line(s string, most int) string {
	if len(s) > 4*most {
		s = s[:4*most]
	}
	s = strings.NewReplacer("\n", " ", "\t", " ").Replace(trainer.SafeText(s))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}

// end returns the last bytes of text, safe to show.
func end(s string, most int) string {
	s = trainer.SafeText(s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[len(s)-most:], "")
	}
	return s
}
