package trainer

import (
	"strings"
	"testing"
)

func TestSafeText(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", ""},
		{"plain\ttext\n", "plain\ttext\n"},
		{"größer 精度 ✓\u00a0x", "größer 精度 ✓\u00a0x"},
		{"a\r\nb\rc", "a\nb\nc"},
		{"\x1b[1;31mred\x1b[0m \x1b[2K\x1b[1Aup", "red up"},
		{"\x1b]0;title\x07a\x1b]8;;http://x\x1b\\b", "ab"},
		{"\x1b]0;no end\nnext", "\nnext"},
		{"\x1bPdevice\x1b\\a\x1bcb\x1b(Bc", "abc"},
		{"\u009b31mred\u009d0;t\u009cx", "redx"},
		{"a\x00b\x07c\bd\x7fe\u0085f", "abcdef"},
		{"\u202egnp.exe\u2066\ufeff\u2028x", "gnp.exex"},
		{"bad \xff\xfe utf-8 \xe4", "bad � utf-8 �"},
		{"\x1b\x1b[31m[32mx", "[32mx"},
		{"end\x1b", "end"},
	}
	for _, test := range tests {
		if got := SafeText(test.text); got != test.want {
			t.Errorf("%q: got %q, want %q", test.text, got, test.want)
		}
	}
}

func TestTail(t *testing.T) {
	tests := []struct {
		name   string
		writes []string
		want   string
	}{
		{"nothing", nil, ""},
		{"all", []string{"a\n", "b"}, "a\nb"},
		{"full", []string{repeat("a", maxTail-1), "b"}, repeat("a", maxTail-1) + "b"},
		{"from a line on", []string{"first\nsecond\n", repeat("a", maxTail-2), "b"}, repeat("a", maxTail-2) + "b"},
		{"one long line", []string{"x", repeat("a", 3*maxTail)}, repeat("a", maxTail)},
		{"a line that ends", []string{repeat("a", maxTail) + "\n"}, repeat("a", maxTail-1) + "\n"},
		{"within a letter", []string{"x" + repeat("€", maxTail/3+1)}, repeat("€", maxTail/3)},
	}
	for _, test := range tests {
		var whole tail
		for _, w := range test.writes {
			if n, err := whole.Write([]byte(w)); n != len(w) || err != nil {
				t.Errorf("%s: wrote %d, %v", test.name, n, err)
			}
		}
		if got := whole.String(); got != test.want {
			t.Errorf("%s: got %d bytes, %.40q", test.name, len(got), got)
		}
		var single tail
		for _, b := range []byte(strings.Join(test.writes, "")) {
			_, _ = single.Write([]byte{b})
		}
		if got := single.String(); got != test.want {
			t.Errorf("%s, by bytes: got %d bytes, %.40q", test.name, len(got), got)
		}
	}
}

func TestFailureError(t *testing.T) {
	tests := []struct {
		failure Failure
		want    string
	}{
		{Failure{Reason: Exited, Message: "exit status 1"}, "exit status 1"},
		{Failure{Reason: Exited, Message: "exit status 1", Stderr: "\n \n"}, "exit status 1"},
		{Failure{Reason: Exited, Message: "exit status 1", Stderr: "a\nb: c \n\n"}, "exit status 1: b: c"},
		{Failure{Reason: Signalled, Message: "killed by SIGSEGV", Stderr: "a"}, "killed by SIGSEGV: a"},
		{Failure{Reason: TimedOut, Message: "not done after 1s", Stderr: "a"}, "not done after 1s"},
		{
			Failure{Reason: Exited, Message: "m", Stderr: repeat("a", maxReasonLine-1) + "€"},
			"m: " + repeat("a", maxReasonLine-1) + "...",
		},
	}
	for _, test := range tests {
		if got := test.failure.Error(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestRetry(t *testing.T) {
	tests := []struct {
		failure Failure
		want    bool
	}{
		{Failure{Reason: NotStarted}, true},
		{Failure{Reason: Signalled}, true},
		{Failure{Reason: Exited, Code: 1}, true},
		{Failure{Reason: Exited, Code: 137}, true},
		{Failure{Reason: Exited, Code: 65}, false},
		{Failure{Reason: Exited, Code: 126}, false},
		{Failure{Reason: Exited, Code: 127}, false},
		{Failure{Reason: TimedOut}, false},
		{Failure{Reason: NoResult}, false},
		{Failure{Reason: BadResult}, false},
		{Failure{Reason: TooMuch}, false},
		{Failure{Reason: "of another version"}, false},
	}
	for _, test := range tests {
		if got := test.failure.Retry(); got != test.want {
			t.Errorf("%+v: got %v", test.failure, got)
		}
	}
}
