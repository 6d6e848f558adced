package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// DefaultQueue is the name of the queue of those who name none.
const DefaultQueue = "default"

// Options say which server to use and who one is there. At most one of User,
// Token, NKey and Creds is set.
type Options struct {
	URL      string // such as nats://host:4222, or several with commas between; tls:// asks for TLS
	User     string
	Password string
	Token    string
	NKey     string // file with the seed of an nkey
	Creds    string // file with credentials, as nsc writes it

	CA        string // file with the certificates that the server's is checked with; empty: the system's
	Cert, Key string // files of the client's certificate and its key

	Name string       // of the program, for the server's monitoring
	Log  *slog.Logger // what happens to the connection, and to jobs; nil: nowhere

	server *Server // that runs in this process
}

// check returns an error for options that contradict each other.
func (o *Options) check() error {
	ways := 0
	for _, s := range []string{o.User, o.Token, o.NKey, o.Creds} {
		if s != "" {
			ways++
		}
	}
	switch {
	case o.URL == "" && o.server == nil:
		return errors.New("no server is named; want an URL such as nats://host:4222")
	case ways > 1:
		return errors.New("give one of user, token, nkey and credentials, not several")
	case o.Password != "" && o.User == "":
		return errors.New("there is a password, but no user")
	case (o.Cert == "") != (o.Key == ""):
		return errors.New("a client certificate and its key go together")
	}
	return nil
}

// Redact returns the URL of a server, or of several, without passwords.
func Redact(urls string) string {
	parts := strings.Split(urls, ",")
	for i, part := range parts {
		part = strings.TrimSpace(part)
		if u, err := url.Parse(part); err == nil && u.User != nil {
			// A user without a password is a token.
			u.User = url.User("xxxxx")
			part = u.String()
		} else if at := strings.LastIndexByte(part, '@'); at >= 0 {
			part = "xxxxx@" + part[at+1:]
		}
		parts[i] = part
	}
	return line(strings.Join(parts, ","), maxMessage)
}

// Times that tests shorten.
const (
	claimTime   = 30 * time.Second // how long a worker may be silent before its jobs go to others
	leaseTime   = 30 * time.Second // how long a coordinator may be
	requestTime = 5 * time.Second  // for an answer of the server
	pullTime    = time.Second      // how long a request for a job stands, and a worker that drains may wait
)

// A Conn is a connection to a server with JetStream. It reconnects by itself, as
// often as it takes. All methods may be called at once.
type Conn struct {
	nc  *nats.Conn
	js  jetstream.JetStream
	log *slog.Logger
	url string // without secrets

	embedded bool // the server is in this process

	claimTime, leaseTime time.Duration
}

// Connect connects to a server. It fails if there is none at once, or if it has no
// JetStream; later the connection comes back after any time.
func Connect(ctx context.Context, o Options) (*Conn, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("NATS: %w", err)
	}
	c := &Conn{log: o.Log, url: Redact(o.URL), embedded: o.server != nil, claimTime: claimTime, leaseTime: leaseTime}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	options := []nats.Option{
		nats.Name(o.Name),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(time.Second),
		nats.ReconnectJitter(200*time.Millisecond, time.Second),
		nats.IgnoreAuthErrorAbort(), // credentials that are being changed must not cost a result
		nats.Timeout(requestTime),
		nats.DrainTimeout(requestTime),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				c.log.Warn("disconnected from "+c.url+": trying until it is back", "error", line(err.Error(), maxMessage))
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { c.log.Info("connected to " + c.url + " again") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			c.log.Warn("NATS", "error", line(err.Error(), maxMessage))
		}),
	}
	switch {
	case o.User != "":
		options = append(options, nats.UserInfo(o.User, o.Password))
	case o.Token != "":
		options = append(options, nats.Token(o.Token))
	case o.NKey != "":
		option, err := nats.NkeyOptionFromSeed(o.NKey)
		if err != nil {
			return nil, fmt.Errorf("nkey %s: %w", o.NKey, err)
		}
		options = append(options, option)
	case o.Creds != "":
		options = append(options, nats.UserCredentials(o.Creds))
	}
	if o.CA != "" {
		options = append(options, nats.RootCAs(o.CA))
	}
	if o.Cert != "" {
		options = append(options, nats.ClientCert(o.Cert, o.Key))
	}
	address := o.URL
	if o.server != nil {
		// Within the process there is no TLS, which a tls:// would insist on.
		options, address = append(options, nats.InProcessServer(o.server.ns)), ""
	}
	var err error
	if c.nc, err = nats.Connect(address, options...); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", c.url, err)
	}
	if c.js, err = jetstream.New(c.nc, jetstream.WithDefaultTimeout(requestTime)); err == nil {
		_, err = c.js.AccountInfo(ctx)
	}
	if err != nil {
		c.nc.Close()
		if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) {
			err = errors.New("JetStream is not enabled there (nats-server -js)")
		}
		return nil, fmt.Errorf("connect to %s: %w", c.url, err)
	}
	return c, nil
}

// Close ends the connection once what was published is sent. Coordinators and
// workers must have ended.
func (c *Conn) Close() {
	if c.nc.IsConnected() {
		_ = c.nc.FlushTimeout(requestTime) // nothing that must arrive is left unconfirmed
	}
	c.nc.Close()
}

// Names on the server.

func trialsStream(queue string) string  { return "NAS_TRIALS_" + queue }
func resultsStream(queue string) string { return "NAS_RESULTS_" + queue }

const (
	leases  = "NAS_LEASES"
	workers = "workers"
)

func trialSubject(queue string, a address) string { return "nas.trials." + queue + "." + a.String() }
func resultSubject(queue, study string) string    { return "nas.results." + queue + "." + study }
func stopSubject(queue string, a address) string  { return "nas.stop." + queue + "." + a.String() }
func cancelSubject(queue, study string) string    { return "nas.cancel." + queue + "." + study }
func statusSubject(queue string) string           { return "nas.status." + queue }

// Limits of what is stored.
const (
	maxAge     = 30 * 24 * time.Hour
	maxWaiting = 100_000 // jobs of a queue, events of a study
)

// streams returns the streams of a queue, which it makes if they are missing.
func (c *Conn) streams(ctx context.Context, queue string) (trials, results jetstream.Stream, err error) {
	if err := CheckName(queue); err != nil {
		return nil, nil, err
	}
	trials, err = c.stream(ctx, jetstream.StreamConfig{
		Name:        trialsStream(queue),
		Description: "trials that nas wants to be trained",
		Subjects:    []string{"nas.trials." + queue + ".*.*.*"},
		Retention:   jetstream.WorkQueuePolicy,
		Storage:     jetstream.FileStorage,
		MaxMsgSize:  1 << 20,
		MaxMsgs:     maxWaiting,
		MaxAge:      maxAge,
		Discard:     jetstream.DiscardNew,
	})
	if err != nil {
		return nil, nil, err
	}
	results, err = c.stream(ctx, jetstream.StreamConfig{
		Name:        resultsStream(queue),
		Description: "what became of trials of nas",
		Subjects:    []string{"nas.results." + queue + ".*"},
		Retention:   jetstream.WorkQueuePolicy,
		Storage:     jetstream.FileStorage,
		MaxMsgSize:  maxEvent + 4<<10,
		MaxAge:      maxAge,
		// A study that nobody handles fills its own share only.
		MaxMsgs:              -1,
		MaxMsgsPerSubject:    maxWaiting,
		Discard:              jetstream.DiscardNew,
		DiscardNewPerSubject: true,
	})
	return trials, results, err
}

func (c *Conn) stream(ctx context.Context, config jetstream.StreamConfig) (jetstream.Stream, error) {
	s, err := c.js.Stream(ctx, config.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		s, err = c.js.CreateStream(ctx, config)
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", config.Name, err)
	}
	if got := s.CachedInfo().Config.Retention; got != config.Retention {
		return nil, fmt.Errorf("stream %s has retention %v, want %v: it is not one that nas made", config.Name, got, config.Retention)
	}
	return s, nil
}

// workers returns the consumer that all workers of a queue share.
func (c *Conn) workers(ctx context.Context, trials jetstream.Stream) (jetstream.Consumer, error) {
	consumer, err := trials.Consumer(ctx, workers)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		consumer, err = trials.CreateConsumer(ctx, jetstream.ConsumerConfig{
			Durable:       workers,
			AckPolicy:     jetstream.AckExplicitPolicy,
			AckWait:       c.claimTime,
			MaxDeliver:    -1, // the workers themselves bound it, and say so to the coordinator
			MaxAckPending: -1, // as many as there are slots
		})
	}
	if err != nil {
		return nil, fmt.Errorf("consumer %s of %s: %w", workers, trials.CachedInfo().Config.Name, err)
	}
	return consumer, nil
}

// sleep waits, and reports false if ctx was done before.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
