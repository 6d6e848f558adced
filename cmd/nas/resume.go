package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/efficientnas/nas/runner"
)

func newResumeCommand() *cobra.Command {
	var o runOptions
	c := &cobra.Command{
		Use:   "resume DIR",
		Short: "Go on with a study that was interrupted",
		Long: `Resume goes on with the study of a results folder exactly where it stopped, however
that was: the results are those of a study that was never interrupted. Networks
that were trained are not trained again; trainings that were under way begin
anew.

Of a study that has ended, it only writes the results again.`,
		Example: "  nas resume results/digits",
		Args:    cobra.ExactArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return o.resume(c, args[0]) },
	}
	o.shared(c)
	return c
}

func (o *runOptions) resume(c *cobra.Command, dir string) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	study, err := runner.Resume(dir)
	if errors.Is(err, runner.ErrBusy) {
		return hinted{err, "it goes on there; `nas status " + dir + "` shows how far it is"}
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, study.Close()) }()
	if ended := study.Ended(); ended != "" && !o.quiet {
		fmt.Fprintf(c.ErrOrStderr(), "the study has ended already (%s)\n", ended)
	}
	return o.finish(c, study, dir)
}
