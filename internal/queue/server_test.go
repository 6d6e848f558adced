package queue

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// There is no open port without authentication.
func TestAuthentication(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, ServerOptions{Dir: dir})
	if s.TokenFile() != filepath.Join(dir, TokenFile) {
		t.Errorf("token in %s", s.TokenFile())
	}
	info, err := os.Stat(s.TokenFile())
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the token's file has mode %v", info.Mode())
	}
	data, err := os.ReadFile(s.TokenFile())
	must(t, err)
	token := strings.TrimSpace(string(data))
	if len(token) != 64 || strings.Contains(s.URL(), token) {
		t.Errorf("token %q, URL %s", token, s.URL())
	}
	for _, o := range []Options{
		{URL: s.URL()},
		{URL: s.URL(), Token: token[:63] + "g"},
		{URL: s.URL(), User: "nas", Password: token},
	} {
		c, err := Connect(t.Context(), o)
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%+v: %v", o, err)
		}
		if err == nil {
			c.Close()
		}
	}
	dial(t, Options{URL: s.URL(), Token: token})
	s.Close()
	if again := serve(t, ServerOptions{Dir: dir}); again.Options().Token != token {
		t.Error("the server has changed its token")
	}

	s = serve(t, ServerOptions{User: "nas", Password: "secret"})
	dial(t, Options{URL: s.URL(), User: "nas", Password: "secret"})
	if _, err := Connect(t.Context(), Options{URL: strings.Replace(s.URL(), "//", "//nas:wrong@", 1)}); !errors.Is(err, nats.ErrAuthorization) || strings.Contains(err.Error(), "wrong") {
		t.Errorf("wrong password: %v", err)
	}
	if s.TokenFile() != "" {
		t.Error("a token was made, although there is a user")
	}
}

func TestServeRefuses(t *testing.T) {
	bad := t.TempDir()
	must(t, os.WriteFile(filepath.Join(bad, TokenFile), []byte("guess\n"), 0o600))
	used := serve(t, ServerOptions{})
	tests := []struct {
		o    ServerOptions
		want string
	}{
		{ServerOptions{Addr: "0.0.0.0:0"}, "other machines can reach 0.0.0.0"},
		{ServerOptions{Addr: "[::]:0"}, "other machines can reach"},
		{ServerOptions{Addr: "192.0.2.1:4222"}, "give a user and a password, or a token"},
		{ServerOptions{Addr: "example.com:4222"}, "other machines can reach"},
		{ServerOptions{Addr: "4222"}, "want host:port"},
		{ServerOptions{Addr: "localhost:70000"}, `port "70000", want 0 to 65535`},
		{ServerOptions{Addr: "localhost:0", User: "nas"}, "a user and a password go together"},
		{ServerOptions{Addr: "localhost:0", Password: "x"}, "a user and a password go together"},
		{ServerOptions{Addr: "localhost:0", User: "nas", Password: "x", Token: "y"}, "not both"},
		{ServerOptions{Addr: "localhost:0", Cert: "x"}, "go together"},
		{ServerOptions{Addr: "localhost:0", Cert: "missing", Key: "missing"}, "no such file"},
		{ServerOptions{Addr: "localhost:0", Dir: bad}, "holds no token of nas"},
		{ServerOptions{Addr: strings.TrimPrefix(used.URL(), "nats://")}, "address already in use"},
	}
	for _, test := range tests {
		if test.o.Dir == "" {
			test.o.Dir = t.TempDir()
		}
		s, err := Serve(test.o)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "NATS server: ") {
			t.Errorf("%+v: got %v, want %s", test.o, err, test.want)
		}
	}
	if _, err := Serve(ServerOptions{}); err == nil {
		t.Error("a server without a folder")
	}
	for addr, want := range map[string]string{":0": "nats://127.0.0.1:", "localhost:0": "nats://localhost:"} {
		if s := serve(t, ServerOptions{Addr: addr}); !strings.HasPrefix(s.URL(), want) {
			t.Errorf("%s: listens at %s", addr, s.URL())
		}
	}
}

func TestConnectRefuses(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	closed := listener.Addr().String()
	must(t, listener.Close())
	s := serve(t, ServerOptions{})
	tests := []struct {
		o    Options
		want string
	}{
		{Options{}, "no server is named"},
		{Options{URL: "nats://me:secret@" + closed}, "connect to nats://xxxxx@" + closed + ": nats: no servers available"},
		{Options{URL: s.URL(), User: "a", Token: "b"}, "not several"},
		{Options{URL: s.URL(), Password: "a"}, "no user"},
		{Options{URL: s.URL(), Cert: "a"}, "go together"},
		{Options{URL: s.URL(), NKey: "missing"}, "nkey missing: "},
		{Options{URL: s.URL(), Creds: "missing"}, "missing"},
		{Options{URL: s.URL(), CA: "missing"}, "missing"},
	}
	for _, test := range tests {
		c, err := Connect(t.Context(), test.o)
		if err == nil {
			c.Close()
		}
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: got %v, want %s", test.o, err, test.want)
		}
	}
}

// With TLS, the server is checked, and the process itself needs no certificate.
func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	file := func(name, kind string, data []byte) string {
		path := filepath.Join(t.TempDir(), name)
		must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600))
		return path
	}
	cert := file("cert", "CERTIFICATE", der)
	s := serve(t, ServerOptions{Token: "secret", Cert: cert, Key: file("key", "PRIVATE KEY", private)})
	connect(t, s)
	dial(t, Options{URL: s.URL(), Token: "secret", CA: cert})
	if _, err := Connect(t.Context(), Options{URL: s.URL(), Token: "secret"}); err == nil {
		t.Error("a certificate that nobody vouches for was taken")
	}
}

// A key's file says who one is, to a server that knows the key.
func TestNKey(t *testing.T) {
	pair, err := nkeys.CreateUser()
	must(t, err)
	seed, err := pair.Seed()
	must(t, err)
	public, err := pair.PublicKey()
	must(t, err)
	path := filepath.Join(t.TempDir(), "seed")
	must(t, os.WriteFile(path, seed, 0o600))
	ns, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir(),
		Nkeys: []*server.NkeyUser{{Nkey: public}},
	})
	must(t, err)
	s := &Server{ns: ns}
	t.Cleanup(s.Close)
	ns.Start()
	if !ns.ReadyForConnections(startTime) {
		t.Fatal("the server does not start")
	}
	dial(t, Options{URL: s.URL(), NKey: path})
	if _, err := Connect(t.Context(), Options{URL: s.URL()}); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("without a key: %v", err)
	}
}

// What a server has to say is passed on, and one without JetStream is refused.
func TestServerLog(t *testing.T) {
	var log bytes.Buffer
	s := serve(t, ServerOptions{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if _, err := Connect(t.Context(), Options{URL: s.URL()}); err == nil {
		t.Error("a stranger was let in")
	}
	s.Close()
	if !strings.Contains(log.String(), "authentication error") {
		t.Errorf("the server has said %q", log.String())
	}

	ns, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true})
	must(t, err)
	s = &Server{ns: ns}
	t.Cleanup(s.Close)
	ns.Start()
	if !ns.ReadyForConnections(startTime) {
		t.Fatal("the server does not start")
	}
	if _, err := Connect(t.Context(), Options{URL: s.URL()}); err == nil || !strings.Contains(err.Error(), "JetStream is not enabled") {
		t.Errorf("without JetStream: %v", err)
	}
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"nats://host:4222":                   "nats://host:4222",
		"nats://me:secret@host:4222":         "nats://xxxxx@host:4222",
		"tls://secret@a:1, nats://b:2":       "tls://xxxxx@a:1,nats://b:2",
		"me:secret@host:4222":                "xxxxx@host:4222",
		"nats://me:sec%ret@host\x1b[31m/bad": "xxxxx@host/bad",
	} {
		if got := Redact(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
