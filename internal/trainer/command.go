package trainer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Version is the version of the protocol. It grows when a trainer written for an
// older one would no longer work.
const Version = 1

// DefaultGrace is the grace of a [Command] that states none.
const DefaultGrace = 10 * time.Second

// Environment variables that a trainer is given; a [Command] must not set them.
const (
	EnvRequest      = "NAS_REQUEST"      // path of a file that holds what is on standard input
	EnvArchitecture = "NAS_ARCHITECTURE" // path of a file that holds the architecture alone
	EnvTrialDir     = "NAS_TRIAL_DIR"    // folder of this trial, empty but for these files, removed afterwards
)

// Command is how to train a network. It is read only: any number of trials may
// run at once.
type Command struct {
	// Args are the program and its arguments. There is no shell: nothing in them is
	// expanded. A program without a slash is looked up in PATH. It runs in the
	// current directory of this process.
	Args []string

	// Env adds to the environment of this process, or overrides it.
	Env map[string]string

	// Timeout is how long one trial may take; 0 means as long as it wants.
	Timeout time.Duration

	// Grace is how long processes that are told to end (SIGTERM) may take before
	// they are killed; 0 means [DefaultGrace]. Windows knows no such request.
	Grace time.Duration
}

// Request is what a trainer is asked to do.
type Request struct {
	Key          string             `json:"key"`               // name of the architecture in the study
	Architecture json.RawMessage    `json:"architecture"`      // an object
	Layers       json.RawMessage    `json:"layers,omitempty"`  // its operations in order: an array, as arch.Graph writes it
	Costs        map[string]float64 `json:"costs,omitempty"`   // by metric, such as macs
	Dataset      string             `json:"dataset,omitempty"` // a name or a path, as the user wrote it
	Budget       Budget             `json:"budget,omitzero"`   // what to spend
	Seed         uint32             `json:"seed"`              // 32 bits, which every library takes
	Attempt      int                `json:"attempt"`           // from 1
}

// MarshalJSON returns what a trainer reads: the request, and [Version] as "version".
func (r Request) MarshalJSON() ([]byte, error) {
	type fields Request // without this method
	return json.Marshal(struct {
		Version int `json:"version"`
		fields
	}{Version, fields(r)})
}

// Budget is what a trainer should spend on a trial. Nothing enforces it but the
// time-out of the [Command].
type Budget struct {
	Epochs int `json:"epochs,omitempty"` // 0: the trainer's choice
	// Seconds is set by [Command.Run] to the time-out. 0: no limit.
	Seconds float64 `json:"seconds,omitempty"`
}

// Progress is an accuracy reached while training.
type Progress struct {
	Epoch    int     `json:"epoch"`    // trained so far, 0 to 1e9
	Accuracy float64 `json:"accuracy"` // a fraction of 1
}

// Result is what a trial measured.
type Result struct {
	Accuracy float64            `json:"accuracy"`          // a fraction of 1
	Epoch    int                `json:"epoch,omitempty"`   // the last one reported; 0 if none was
	Metrics  map[string]float64 `json:"metrics,omitempty"` // further finite numbers of the same line
	Stopped  bool               `json:"stopped,omitempty"` // ended early: Accuracy is that of Epoch
	Duration time.Duration      `json:"duration"`          // of the training, in nanoseconds
	Stderr   string             `json:"stderr,omitempty"`  // its end, by [SafeText]
}

// ConfigError says why a command cannot be run at all.
type ConfigError struct{ Err error }

func (e *ConfigError) Error() string { return "training command: " + e.Err.Error() }

// Unwrap returns what went wrong.
func (e *ConfigError) Unwrap() error { return e.Err }

// Check returns a [ConfigError] that lists all that is wrong with the command, for
// example that there is no such program. It starts nothing.
func (c *Command) Check() error {
	_, err := c.check()
	return err
}

// check returns the path of the program.
func (c *Command) check() (string, error) {
	var problems []error
	add := func(err error) { problems = append(problems, err) }
	path := ""
	if len(c.Args) == 0 || c.Args[0] == "" {
		add(errors.New("no program is named"))
	} else if slices.ContainsFunc(c.Args, hasNUL) {
		add(errors.New("an argument has a zero byte"))
	} else {
		var err error
		if path, err = exec.LookPath(c.Args[0]); err != nil {
			add(notFound(c.Args[0], err))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		switch {
		case name == "" || strings.ContainsRune(name, '=') || hasNUL(name):
			add(fmt.Errorf("%q is no name of an environment variable", name))
		case name == EnvRequest || name == EnvArchitecture || name == EnvTrialDir:
			add(fmt.Errorf("environment variable %s is set by nas", name))
		case hasNUL(c.Env[name]):
			add(fmt.Errorf("environment variable %s has a zero byte", name))
		}
	}
	if c.Timeout < 0 {
		add(fmt.Errorf("time-out is %v, want 0 or more", c.Timeout))
	}
	if c.Grace < 0 {
		add(fmt.Errorf("grace is %v, want 0 or more", c.Grace))
	}
	if problems != nil {
		return "", &ConfigError{errors.Join(problems...)}
	}
	return path, nil
}

func hasNUL(s string) bool { return strings.IndexByte(s, 0) >= 0 }

// notFound says why name cannot be executed, and what could be meant.
func notFound(name string, err error) error {
	var e *exec.Error
	if errors.As(err, &e) {
		err = e.Err
	}
	info, statErr := os.Stat(name)
	isFile := statErr == nil && info.Mode().IsRegular()
	switch {
	case isFile && filepath.Base(name) == name:
		return fmt.Errorf("%q is not in PATH; the file here is ./%s", name, name)
	case isFile && errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%q is not executable (chmod +x, or name its interpreter before it)", name)
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("%q is not in PATH: %w", name, err)
	}
	return fmt.Errorf("%q: %w", name, err)
}

func (c *Command) grace() time.Duration {
	if c.Grace == 0 {
		return DefaultGrace
	}
	return c.Grace
}

// environment returns the environment of the trial in dir.
func (c *Command) environment(dir string) []string {
	env := os.Environ()
	if os.Getenv("PYTHONUNBUFFERED") == "" {
		// Python would keep its progress lines until some kilobytes are full.
		env = append(env, "PYTHONUNBUFFERED=1")
	}
	for name, value := range c.Env {
		env = append(env, name+"="+value) // of two, exec takes the last
	}
	return append(env,
		EnvRequest+"="+filepath.Join(dir, requestFile),
		EnvArchitecture+"="+filepath.Join(dir, architectureFile),
		EnvTrialDir+"="+dir)
}

const (
	requestFile      = "request.json"
	architectureFile = "architecture.json"
)

// encode returns what the trainer reads.
func (c *Command) encode(req Request) ([]byte, error) {
	if !isJSON(req.Architecture, "{") {
		return nil, errors.New("trainer: the request's architecture is no JSON object")
	}
	if len(req.Layers) > 0 && !isJSON(req.Layers, "[") {
		return nil, errors.New("trainer: the request's layers are no JSON array")
	}
	req.Budget.Seconds = c.Timeout.Seconds()
	data, err := json.Marshal(req)
	if err != nil {
		return nil, fmt.Errorf("trainer: request: %w", err)
	}
	return append(data, '\n'), nil
}

// isJSON reports whether data is JSON that begins with the given bracket.
func isJSON(data []byte, bracket string) bool {
	return strings.HasPrefix(strings.TrimSpace(string(data)), bracket) && json.Valid(data)
}

// prepare makes the folder of a trial, with the files that a trainer reads.
func prepare(request, architecture []byte) (dir string, err error) {
	if dir, err = os.MkdirTemp("", "nas-trial-"); err != nil {
		return "", err
	}
	if dir, err = filepath.Abs(dir); err == nil { // TMPDIR may be relative
		err = errors.Join(
			os.WriteFile(filepath.Join(dir, requestFile), request, 0o600),
			os.WriteFile(filepath.Join(dir, architectureFile), architecture, 0o600))
	}
	if err != nil {
		_ = os.RemoveAll(dir) // there is an error to report already
		return "", err
	}
	return dir, nil
}

// Run trains the architecture of req and returns what was measured. It calls
// report, unless nil, for each line of progress, in order and one at a time, and
// ends the training when report returns true; the result is then that of this
// line. report must return soon: the trainer may have to wait for it.
//
// Errors are a [Failure], a [ConfigError], an error that wraps the cause of ctx
// being done, or, for a request that cannot be written as JSON, one of no
// particular type. When Run returns, the processes of the trial have ended and
// its folder is gone.
func (c *Command) Run(ctx context.Context, req Request, report func(Progress) bool) (Result, error) {
	if ctx.Err() != nil {
		return Result{}, cancelled(ctx)
	}
	path, err := c.check()
	if err != nil {
		return Result{}, err
	}
	data, err := c.encode(req)
	if err != nil {
		return Result{}, err
	}
	dir, err := prepare(data, req.Architecture)
	if err != nil {
		return Result{}, &Failure{Reason: NotStarted, Message: "folder of the trial: " + err.Error()}
	}
	defer os.RemoveAll(dir) // what cannot be removed must not cost a result
	p, err := c.start(path, dir, report)
	if err != nil {
		return Result{}, err
	}
	return p.finish(ctx, c.Timeout, c.grace())
}

// cancelled returns the error of a trial whose context is done.
func cancelled(ctx context.Context) error {
	return fmt.Errorf("training cancelled: %w", context.Cause(ctx))
}
