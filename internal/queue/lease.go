package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A LeaseError says that another coordinator runs the study.
type LeaseError struct {
	Study string
	Host  string // of the coordinator, as text that is safe to show
	PID   int
	Since time.Time
}

func (e *LeaseError) Error() string {
	return fmt.Sprintf("study %s is coordinated by process %d on %s since %s; if that one is gone, its lease ends within %v",
		e.Study, e.PID, e.Host, e.Since.Local().Format(time.DateTime), leaseTime)
}

// errLeaseLost is a lease that another holds by now.
var errLeaseLost = errors.New("another coordinator has taken over the study")

// holder is the value of a lease.
type holder struct {
	Token string    `json:"token"`
	Host  string    `json:"host"`
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
}

// A lease is the right to coordinate a study. The server forgets it unless it is
// renewed.
type lease struct {
	bucket   jetstream.KeyValue
	key      string
	value    []byte
	token    string
	revision uint64
	study    string
	ours     bool // the server is in this process: who had the lease before, from its store, is gone
}

// isGone reports whether the holder is known to be gone: a process of this machine
// that has ended. That this one has its number says the same.
func (h *holder) isGone() bool {
	if host, err := os.Hostname(); err != nil || line(host, maxWorker) != h.Host || h.PID <= 0 {
		return false
	}
	if h.PID == os.Getpid() {
		return true
	}
	p, err := os.FindProcess(h.PID)
	if err != nil {
		return true
	}
	defer func() { _ = p.Release() }() // it holds nothing that could be lost
	return errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone)
}

// acquire takes the lease of a study, also from a holder with the predecessor's
// token who is gone.
func (c *Conn) acquire(ctx context.Context, queue, study, predecessor string) (*lease, error) {
	bucket, err := c.js.KeyValue(ctx, leases)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		bucket, err = c.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: leases, Description: "who coordinates which study of nas", TTL: c.leaseTime, MaxValueSize: 4 << 10,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("key-value bucket %s: %w", leases, err)
	}
	host, _ := os.Hostname() // a name is a help, not a must
	l := &lease{bucket: bucket, key: queue + "." + study, token: NewID(), study: study, ours: c.embedded}
	if l.value, err = json.Marshal(holder{l.token, line(host, maxWorker), os.Getpid(), time.Now().UTC().Truncate(time.Second)}); err != nil {
		return nil, err
	}
	return l, l.take(ctx, predecessor)
}

// take writes the lease, unless that of another stands who may be there.
func (l *lease) take(ctx context.Context, predecessor string) error {
	for { // until nobody interferes
		revision, err := l.bucket.Create(ctx, l.key, l.value)
		if err == nil {
			l.revision = revision
			return nil
		}
		if !errors.Is(err, jetstream.ErrKeyExists) {
			return fmt.Errorf("lease of study %s: %w", l.study, err)
		}
		entry, err := l.bucket.Get(ctx, l.key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			continue // it has just ended
		}
		if err != nil {
			return fmt.Errorf("lease of study %s: %w", l.study, err)
		}
		var h holder
		_ = json.Unmarshal(entry.Value(), &h) // what is no lease has no holder
		if free := h.Token == l.token || h.Token == predecessor && (l.ours || h.isGone()); h.Token == "" || !free {
			return &LeaseError{Study: l.study, Host: line(h.Host, maxWorker), PID: h.PID, Since: h.Since}
		}
		revision, err = l.bucket.Update(ctx, l.key, l.value, entry.Revision())
		if err == nil {
			l.revision = revision
			return nil
		}
		if !wrongSequence(err) {
			return fmt.Errorf("lease of study %s: %w", l.study, err)
		}
	}
}

// renew makes the lease last anew. It returns errLeaseLost if another has it.
func (l *lease) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	revision, err := l.bucket.Update(ctx, l.key, l.value, l.revision)
	if err == nil {
		l.revision = revision
	} else if wrongSequence(err) {
		// It has ended while the server was out of reach, or an answer was lost.
		err = l.take(ctx, "")
	}
	if errors.As(err, new(*LeaseError)) {
		return fmt.Errorf("%w: %w", errLeaseLost, err)
	}
	// Other errors are those of a server out of reach: as long as it is, nobody
	// else gets the lease either.
	return nil
}

// release gives the lease back.
func (l *lease) release(ctx context.Context) error {
	err := l.bucket.Delete(ctx, l.key, jetstream.LastRevision(l.revision))
	if err != nil && !wrongSequence(err) {
		return fmt.Errorf("lease of study %s: %w", l.study, err)
	}
	return nil
}

// codeWrongLastSequenceConstant is a second code that servers have for
// [jetstream.JSErrCodeStreamWrongLastSequence].
const codeWrongLastSequenceConstant jetstream.ErrorCode = 10164

// wrongSequence reports whether the server has refused to write because something
// else stands there than expected.
func wrongSequence(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, jetstream.ErrKeyRevisionMismatch) || errors.As(err, &api) &&
		(api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == codeWrongLastSequenceConstant)
}
