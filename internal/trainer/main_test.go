package trainer

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// envMode makes the test binary a trainer: one that behaves as the mode says.
const envMode = "NAS_TEST_TRAINER"

// envPIDs names a file that trainers and their children append their process ID
// to.
const envPIDs = "NAS_TEST_PIDS"

func TestMain(m *testing.M) {
	if mode := os.Getenv(envMode); mode != "" {
		actAsTrainer(mode)
		os.Exit(0)
	}
	code := m.Run()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "after all tests:", err)
		code = 1
	}
	if err := findChildren(); err != nil {
		fmt.Fprintln(os.Stderr, "after all tests:", err)
		code = 1
	}
	os.Exit(code)
}

// command returns a command whose trainer behaves as mode says.
func command(t testing.TB, mode string) *Command {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	return &Command{
		Args:    []string{exe},
		Env:     map[string]string{envMode: mode, "GORACE": "atexit_sleep_ms=0"}, // else each sleeps a second
		Timeout: time.Minute,                                                     // no test gets there but those that say so
		Grace:   20 * time.Second,
	}
}

func request() Request {
	return Request{
		Key:          "n1",
		Architecture: []byte(`{"name":"small","stages":[]}`),
		Costs:        map[string]float64{"macs": 600_000_000},
		Dataset:      "digits",
		Budget:       Budget{Epochs: 3},
		Seed:         7,
		Attempt:      2,
	}
}

func repeat(s string, n int) string { return strings.Repeat(s, n) }
