// Command nas searches for efficient convolutional networks. See `nas help`.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/efficientnas/nas/internal/strict"
	"github.com/efficientnas/nas/runner"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitInput  = 2 // the user's input is wrong
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process: results go to stdout, talk and progress to
// stderr. It returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	fmt.Fprintf(stderr, "nas: error: %v\n", err)
	var h hinted
	if errors.As(err, &h) {
		fmt.Fprintf(stderr, "nas: hint: %s\n", h.hint)
	}
	return exitCode(err)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "nas",
		Short:         "Search for efficient convolutional networks",
		Long:          "nas explores a space of convolutional networks and traces the Pareto front of accuracy against cost.",
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return hinted{usageError{err}, "see `" + c.CommandPath() + " --help`"}
	})
	root.AddCommand(
		newRunCommand(), newResumeCommand(), newStatusCommand(), newWorkerCommand(), newShowCommand(), newPlotCommand(),
		newCostCommand(), newExplainCommand(), newSpaceCommand(), newSampleCommand(), newPredictorCommand(),
		newBenchCommand(), newExportCommand(),
	)
	wrapArgs(root)
	return root
}

// wrapArgs makes a wrong number of arguments the user's error, with a hint.
func wrapArgs(c *cobra.Command) {
	for _, sub := range c.Commands() {
		wrapArgs(sub)
	}
	check := c.Args
	if check == nil {
		return
	}
	c.Args = func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return hinted{usageError{err}, "see `" + c.CommandPath() + " --help`"}
		}
		return nil
	}
}

// A usageError is a command line that cannot be understood.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// An outputError is a fault of the system in writing results.
type outputError struct{ error }

func (e outputError) Unwrap() error { return e.error }

// A hinted error comes with advice in a line of its own.
type hinted struct {
	error
	hint string
}

func (e hinted) Unwrap() error { return e.error }

// exitCode tells the user's mistakes from the system's faults.
func exitCode(err error) int {
	var usage usageError
	var output outputError
	var input *strict.Error
	switch {
	case errors.As(err, &usage), errors.As(err, &input),
		errors.Is(err, runner.ErrInUse), errors.Is(err, runner.ErrUnfinished), errors.Is(err, runner.ErrBusy):
		return exitInput
	case errors.As(err, &output):
		return exitFailed
	case errors.Is(err, fs.ErrNotExist):
		return exitInput
	}
	return exitFailed
}

// oneOf checks the value of a flag that takes a word.
func oneOf(flag, value string, words ...string) error {
	for _, w := range words {
		if value == w {
			return nil
		}
	}
	return usageError{fmt.Errorf("--%s: %s", flag, strict.Unknown("word", value, words))}
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(unknown version)"
	}
	return info.Main.Version
}
