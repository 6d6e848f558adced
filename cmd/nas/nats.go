package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/efficientnas/nas/internal/queue"
)

// Environment variables with secrets, which must not stand on a command line: it
// can be read by everybody on the machine.
const (
	envNATSURL      = "NAS_NATS_URL"
	envNATSToken    = "NAS_NATS_TOKEN"
	envNATSPassword = "NAS_NATS_PASSWORD"
)

// natsFlags say which NATS server to use, and who one is there.
type natsFlags struct {
	url, user, passwordFile, tokenFile, nkey, creds, ca, cert, key string
}

// natsHelp explains the flags.
const natsHelp = `Secrets come from files or from the environment: --password-file or ` + envNATSPassword + `,
--token-file or ` + envNATSToken + `, --nkey, --creds. They are never given as flags, which
everybody on the machine can read.`

// natsNames are the names of the flags.
var natsNames = []string{"nats", "user", "password-file", "token-file", "nkey", "creds", "ca", "cert", "key"}

func (n *natsFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&n.url, "nats", "", "server, such as nats://host:4222, or several with commas between (default $"+envNATSURL+")")
	f.StringVar(&n.user, "user", "", "user at the server")
	f.StringVar(&n.passwordFile, "password-file", "", "file with the user's password (default $"+envNATSPassword+")")
	f.StringVar(&n.tokenFile, "token-file", "", "file with a token (default $"+envNATSToken+")")
	f.StringVar(&n.nkey, "nkey", "", "file with the seed of an nkey")
	f.StringVar(&n.creds, "creds", "", "file with credentials, as nsc writes it")
	f.StringVar(&n.ca, "ca", "", "file with the certificates to check the server's with (default the system's)")
	f.StringVar(&n.cert, "cert", "", "file with a client certificate")
	f.StringVar(&n.key, "key", "", "file with the key of --cert")
}

// required returns what the flags, and the environment, say, which must name a
// server.
func (n *natsFlags) required() (queue.Options, error) {
	o, err := n.options()
	if err == nil && o.URL == "" {
		err = usageError{fmt.Errorf("--nats or %s is required: the server's URL, such as nats://host:4222", envNATSURL)}
	}
	return o, err
}

// options returns what the flags, and the environment, say.
func (n *natsFlags) options() (queue.Options, error) {
	o := queue.Options{
		URL: n.url, User: n.user, NKey: n.nkey, Creds: n.creds, CA: n.ca, Cert: n.cert, Key: n.key,
	}
	if n.url != "" && hasPassword(n.url) {
		return o, hinted{
			usageError{fmt.Errorf("--nats %s: there is a secret in the URL, which everybody on this machine can read", queue.Redact(n.url))},
			"put the whole URL into " + envNATSURL + ", or use --token-file, or --user and --password-file",
		}
	}
	if o.URL == "" {
		o.URL = os.Getenv(envNATSURL)
	}
	if (n.cert == "") != (n.key == "") {
		return o, usageError{fmt.Errorf("--cert and --key go together")}
	}
	if n.passwordFile != "" && n.user == "" {
		return o, usageError{fmt.Errorf("--password-file needs --user")}
	}
	var ways []string
	for _, way := range []struct{ flag, value string }{
		{"--user", n.user}, {"--token-file", n.tokenFile}, {"--nkey", n.nkey}, {"--creds", n.creds},
	} {
		if way.value != "" {
			ways = append(ways, way.flag)
		}
	}
	if len(ways) > 1 {
		return o, usageError{fmt.Errorf("%s do not go together: one says who one is", strings.Join(ways, " and "))}
	}
	var err error
	switch {
	case n.user != "":
		o.Password, err = secret(n.passwordFile, envNATSPassword)
	case len(ways) == 0 || n.tokenFile != "":
		o.Token, err = secret(n.tokenFile, envNATSToken)
	}
	if err != nil {
		return o, usageError{err}
	}
	for _, file := range []string{n.nkey, n.creds, n.ca, n.cert, n.key} {
		if file == "" {
			continue
		}
		if _, err := os.Stat(file); err != nil {
			return o, usageError{err}
		}
	}
	return o, nil
}

// embeddable returns an error for flags that mean nothing to a server in this
// process at that address, and for an address that it would refuse.
func (n *natsFlags) embeddable(address string) error {
	for _, f := range []struct{ flag, value string }{
		{"--nats", n.url}, {"--nkey", n.nkey}, {"--creds", n.creds}, {"--ca", n.ca},
	} {
		if f.value != "" {
			return usageError{fmt.Errorf("--embedded-nats and %s do not go together: the server is in this process", f.flag)}
		}
	}
	o, err := n.options()
	if err != nil {
		return err
	}
	server := queue.ServerOptions{Addr: address, User: o.User, Password: o.Password, Token: o.Token, Cert: o.Cert, Key: o.Key}
	if err := server.Check(); err != nil {
		return usageError{fmt.Errorf("--embedded-nats: %w", err)}
	}
	return nil
}

// natsError adds what can be done to an error of a connection that failed.
func natsError(err error, noServer string) error {
	switch {
	case errors.Is(err, nats.ErrNoServers):
		return hinted{err, noServer}
	case errors.Is(err, nats.ErrAuthorization):
		return hinted{err, "the server knows nobody by these credentials, or wants some: see --token-file, --user, --nkey and --creds"}
	}
	return err
}

// hasPassword reports whether one of the URLs names a password or a token.
func hasPassword(urls string) bool {
	for part := range strings.SplitSeq(urls, ",") {
		if u, err := url.Parse(strings.TrimSpace(part)); err != nil && strings.Contains(part, "@") || err == nil && u.User != nil {
			return true
		}
	}
	return false
}

// secret returns the first line of a file, or the variable if no file is named.
func secret(file, variable string) (string, error) {
	if file == "" {
		return os.Getenv(variable), nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	text, _, _ := strings.Cut(string(data), "\n")
	if text = strings.TrimRight(text, "\r"); text == "" {
		return "", fmt.Errorf("%s: the first line is empty, want the secret", file)
	}
	return text, nil
}
