package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSplitCommand(t *testing.T) {
	tests := []struct {
		in   string
		want []string
		err  string
	}{
		{in: "python3 train.py", want: []string{"python3", "train.py"}},
		{in: " a\tb\n c ", want: []string{"a", "b", "c"}},
		{in: `sh -c 'echo "$X" \n'`, want: []string{"sh", "-c", `echo "$X" \n`}},
		{in: `a "b \"c\" \\ \d"`, want: []string{"a", `b "c" \ \d`}},
		{in: `--data='my data'/x ''`, want: []string{"--data=my data/x", ""}},
		{in: `C:\py\python.exe train.py`, want: []string{`C:\py\python.exe`, "train.py"}},
		{in: "a; b | $(c) ~ *", want: []string{"a;", "b", "|", "$(c)", "~", "*"}},
		{in: `a 'b`, err: "a quote ' is not closed"},
		{in: `a "b\"`, err: `a quote " is not closed`},
		{in: " ", err: "there is no word"},
	}
	for _, test := range tests {
		got, err := splitCommand(test.in)
		if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: error %v, want %s", test.in, err, test.err)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.in, got, test.want)
		}
	}
}

func FuzzSplitCommand(f *testing.F) {
	f.Add(`a 'b c' "d\"e"`)
	f.Fuzz(func(t *testing.T, s string) {
		words, err := splitCommand(s)
		if err != nil {
			return
		}
		// Quoted, the words are what they were.
		var quoted []string
		for _, w := range words {
			quoted = append(quoted, `"`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(w)+`"`)
		}
		again, err := splitCommand(strings.Join(quoted, " "))
		if err != nil || !slices.Equal(again, words) {
			t.Errorf("%q: %q, then %q, %v", s, words, again, err)
		}
	})
}

// All of these are the user's mistakes, found before anything is connected to.
func TestWorkerUsage(t *testing.T) {
	for _, v := range []string{envNATSURL, envNATSToken, envNATSPassword} {
		t.Setenv(v, "")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const server = "--nats=nats://127.0.0.1:1"
	tests := []struct {
		args []string
		want string
	}{
		{[]string{server}, "either --command or a command after -- is required"},
		{[]string{server, "--command", "a", "--", "b"}, "and not both"},
		{[]string{server, exe}, "unexpected argument"},
		{[]string{server, "--command", "no-such-program"}, "not in PATH"},
		{[]string{server, "--command", "'"}, "--command: a quote"},
		{[]string{server, "--slots", "0", "--", exe}, "--slots must be from 1 to 4096, found 0"},
		{[]string{server, "--queue", "a.b", "--", exe}, `queue "a.b"`},
		{[]string{server, "--label", "gpu", "--", exe}, `--label "gpu": want KEY=VALUE`},
		{[]string{server, "--label", "a=1", "--label", "a=2", "--", exe}, `--label: "a" is given twice`},
		{[]string{server, "--env", "NAS_REQUEST=x", "--", exe}, "is set by nas"},
		{[]string{server, "--timeout", "-1s", "--", exe}, "time-out is -1s"},
		{[]string{server, "--drain-timeout", "-1s", "--", exe}, "--drain-timeout must be 0 or more"},
		{[]string{"--", exe}, "--nats or NAS_NATS_URL is required"},
		{[]string{"--nats=nats://me:secret@host", "--", exe}, "there is a secret in the URL"},
		{[]string{server, "--user=a", "--creds=b", "--", exe}, "--user and --creds do not go together"},
		{[]string{server, "--password-file=a", "--", exe}, "--password-file needs --user"},
		{[]string{server, "--cert=a", "--", exe}, "--cert and --key go together"},
		{[]string{server, "--token-file=missing", "--", exe}, "missing"},
		{[]string{server, "--token-file=" + empty, "--", exe}, "the first line is empty"},
		{[]string{server, "--ca=missing", "--", exe}, "missing"},
	}
	for _, test := range tests {
		c := newWorkerCommand()
		c.SetArgs(test.args)
		c.SetOut(io.Discard)
		c.SetErr(io.Discard)
		c.SilenceErrors, c.SilenceUsage = true, true
		err := c.ExecuteContext(t.Context())
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "me:secret") {
			t.Errorf("%q: got %v, want %s", test.args, err, test.want)
		}
		if !errors.As(err, new(usageError)) && !strings.Contains(test.want, "unexpected") { // wrapArgs of the root marks that one
			t.Errorf("%q: %v is not the user's mistake", test.args, err)
		}
	}
}

// Secrets come from files first, then from the environment.
func TestNATSOptions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("from file\r\nmore"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(envNATSURL, "nats://a:1")
	t.Setenv(envNATSToken, "token")
	t.Setenv(envNATSPassword, "password")
	tests := []struct {
		flags                natsFlags
		url, token, password string
	}{
		{natsFlags{}, "nats://a:1", "token", ""},
		{natsFlags{url: "nats://b:2"}, "nats://b:2", "token", ""},
		{natsFlags{tokenFile: file}, "nats://a:1", "from file", ""},
		{natsFlags{user: "me"}, "nats://a:1", "", "password"},
		{natsFlags{user: "me", passwordFile: file}, "nats://a:1", "", "from file"},
		{natsFlags{nkey: file}, "nats://a:1", "", ""},
	}
	for _, test := range tests {
		o, err := test.flags.options()
		if err != nil || o.URL != test.url || o.Token != test.token || o.Password != test.password {
			t.Errorf("%+v: got %+v, %v", test.flags, o, err)
		}
	}
}
