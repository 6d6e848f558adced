package queue

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// ServerOptions say what a [Server] is to be.
type ServerOptions struct {
	// Addr is the address to listen at, host:port. Without a host it is 127.0.0.1;
	// port 0 is any that is free; empty means 127.0.0.1:4222.
	Addr string

	// Dir is the folder of what the server stores. One server at a time may use it:
	// the caller sees to that.
	Dir string

	// Who may connect: a user and a password, or whoever has the token. Both are
	// needed unless the address is a loopback address: there a random token is made.
	User, Password, Token string

	// Cert and Key are files of the certificate and its key, for TLS.
	Cert, Key string

	Log *slog.Logger // what the server has to say; nil: nowhere
}

// TokenFile is the name, in [ServerOptions.Dir], of the file with the token that a
// server has made.
const TokenFile = "token"

// A Server is a NATS server inside this process.
type Server struct {
	ns        *server.Server
	options   Options // to connect
	tokenFile string
}

// syncTime is how old a confirmed message may be before it is on the disk, and not
// only with the operating system. To wait for the disk with each message, as
// SyncAlways does, leaves a tenth of the throughput, and a study does not need it: a
// power failure that takes this server takes the coordinator with it, and that one
// submits again what study.db has no result of.
const syncTime = 100 * time.Millisecond

// startTime is how long a server may take to be ready: it reads what it has stored.
// At every step it is looked whether it has given up.
const (
	startTime = 30 * time.Second
	startStep = 100 * time.Millisecond
)

// Serve starts a server with JetStream. What it has confirmed survives its own
// death, and a power failure but for the last 100 ms. There is never an open port without authentication: without a user
// or a token an address that other machines can reach is refused, and on a
// loopback address the server demands a token that is written to
// [Server.TokenFile], which only the user can read.
func Serve(o ServerOptions) (*Server, error) {
	fail := func(err error) (*Server, error) { return nil, fmt.Errorf("NATS server: %w", err) }
	host, port, err := o.address()
	if err != nil {
		return fail(err)
	}
	if err := o.check(host); err != nil {
		return fail(err)
	}
	if o.Dir == "" {
		return fail(errors.New("no folder to store messages in"))
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return fail(err)
	}
	s := &Server{}
	if o.User == "" && o.Token == "" {
		s.tokenFile = filepath.Join(o.Dir, TokenFile)
		if o.Token, err = makeToken(s.tokenFile); err != nil {
			return fail(err)
		}
	}
	config := &server.Options{
		ServerName:    "nas",
		Host:          host,
		Port:          port,
		Username:      o.User,
		Password:      o.Password,
		Authorization: o.Token,
		JetStream:     true,
		StoreDir:      o.Dir,
		SyncInterval:  syncTime,
		NoSigs:        true, // signals are the program's
		MaxPayload:    server.MAX_PAYLOAD_SIZE,

		DisableJetStreamBanner: true,
	}
	if o.Cert != "" {
		pair, err := tls.LoadX509KeyPair(o.Cert, o.Key)
		if err != nil {
			return fail(err)
		}
		config.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
		config.TLSTimeout = 5 // seconds
	}
	if s.ns, err = server.NewServer(config); err != nil {
		return fail(err)
	}
	log := &serverLog{Logger: o.Log}
	if log.Logger == nil {
		log.Logger = slog.New(slog.DiscardHandler)
	}
	s.ns.SetLoggerV2(log, false, false, false)
	s.ns.Start()
	for waited := time.Duration(0); !s.ns.ReadyForConnections(startStep); waited += startStep {
		why := log.fatal.Load()
		if why == nil && waited < startTime {
			continue
		}
		s.Close()
		if why != nil {
			return fail(errors.New(*why))
		}
		return fail(fmt.Errorf("not ready after %v", startTime))
	}
	log.started.Store(true)
	s.options = Options{URL: s.ns.ClientURL(), User: o.User, Password: o.Password, Token: o.Token, Log: o.Log, server: s}
	return s, nil
}

// address splits Addr.
func (o *ServerOptions) address() (host string, port int, err error) {
	if o.Addr == "" {
		return "127.0.0.1", server.DEFAULT_PORT, nil
	}
	host, text, err := net.SplitHostPort(o.Addr)
	if err != nil {
		return "", 0, fmt.Errorf("address %.200q: want host:port, or :port for this machine only", o.Addr)
	}
	if port, err = strconv.Atoi(text); err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("address %.200q: port %q, want 0 to 65535", o.Addr, text)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

// Check returns an error for what [Serve] would refuse whatever the machine: an
// address that is none, or one that must have credentials and has none.
func (o *ServerOptions) Check() error {
	host, _, err := o.address()
	if err != nil {
		return err
	}
	return o.check(host)
}

func (o *ServerOptions) check(host string) error {
	switch {
	case o.Token != "" && o.User != "":
		return errors.New("give a user and a password, or a token, not both")
	case (o.User == "") != (o.Password == ""):
		return errors.New("a user and a password go together")
	case (o.Cert == "") != (o.Key == ""):
		return errors.New("a certificate and its key go together")
	case o.User == "" && o.Token == "" && !isLoopback(host):
		return fmt.Errorf("other machines can reach %s: give a user and a password, or a token, or listen at 127.0.0.1", net.JoinHostPort(host, "PORT"))
	}
	return nil
}

// isLoopback reports whether only this machine can reach the host. Of names it
// trusts localhost alone, as what others mean may change.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// makeToken returns the token in a file, which it makes if it is missing: workers
// that have the token of before can go on with it.
func makeToken(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err == nil {
		token := strings.TrimSpace(string(data))
		if b, err := hex.DecodeString(token); err != nil || len(b) != 32 {
			return "", fmt.Errorf("%s holds no token of nas; remove it to have a new one", path)
		}
		return token, os.Chmod(path, 0o600)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	token := hex.EncodeToString(b[:])
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(token + "\n")
	return token, errors.Join(err, f.Close())
}

// URL returns the address to connect to, without secrets.
func (s *Server) URL() string { return Redact(s.ns.ClientURL()) }

// TokenFile returns the path of the file with the token that workers need; empty
// if the server was given who may connect.
func (s *Server) TokenFile() string { return s.tokenFile }

// Options returns those to connect to the server from this process, which needs
// no network.
func (s *Server) Options() Options { return s.options }

// Connect connects to the server from this process.
func (s *Server) Connect(ctx context.Context) (*Conn, error) { return Connect(ctx, s.options) }

// Close ends the server. What it has stored stays.
func (s *Server) Close() {
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
}

// serverLog passes on what a server logs.
type serverLog struct {
	*slog.Logger
	fatal   atomic.Pointer[string] // the last reason why it cannot go on
	started atomic.Bool            // before, that reason is the error of Serve
}

func (l *serverLog) text(format string, args []any) string {
	return line(fmt.Sprintf(format, args...), maxMessage)
}
func (l *serverLog) Noticef(format string, args ...any) { l.Debug(l.text(format, args)) }
func (l *serverLog) Debugf(format string, args ...any)  { l.Debug(l.text(format, args)) }
func (l *serverLog) Tracef(format string, args ...any)  { l.Debug(l.text(format, args)) }
func (l *serverLog) Warnf(format string, args ...any)   { l.Warn(l.text(format, args)) }
func (l *serverLog) Errorf(format string, args ...any)  { l.Error(l.text(format, args)) }
func (l *serverLog) Fatalf(format string, args ...any) {
	text := l.text(format, args)
	l.fatal.Store(&text)
	if l.started.Load() {
		l.Error(text)
	}
}
