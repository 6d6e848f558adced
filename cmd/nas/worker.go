package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/efficientnas/nas/internal/queue"
	"github.com/efficientnas/nas/internal/trainer"
)

type workerOptions struct {
	nats           natsFlags
	queue, name    string
	command        string
	slots          int
	labels, env    []string
	timeout, grace time.Duration
	drainTimeout   time.Duration
}

func newWorkerCommand() *cobra.Command {
	var o workerOptions
	c := &cobra.Command{
		Use:   `worker --nats URL (--command "PROGRAM ARG..." | -- PROGRAM ARG...)`,
		Short: "Train candidates for studies that run elsewhere",
		Long: `Worker takes trials from a queue of a NATS server and trains them with the
command that is named here. What a trial says decides what is trained, never
which program does it. The program is one for nas run too: it reads a request
and prints an accuracy; see docs/evaluators.md.

--command is split into words at spaces. '...' keeps everything between the
quotes, "..." too, but \" and \\ are a quote and a backslash in it. Nothing else
is special, and no shell is started. Words after -- are taken as they are.

A first Ctrl-C or SIGTERM makes the worker take no more trials and end when those
that run are done; a second one, or the end of --drain-timeout, gives them back, and
others train them from the beginning.

` + natsHelp,
		Example: `  nas worker --nats nats://host:4222 --token-file token --command "python3 train.py" --slots 2 --label gpu=a100
  nas worker --nats tls://host:4222 --creds lab.creds --timeout 2h -- python3 train.py --data /data`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 && c.ArgsLenAtDash() != 0 {
				return fmt.Errorf("unexpected argument %q: the training command stands in --command or after --", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return o.run(c, args) },
	}
	f := c.Flags()
	o.nats.add(c)
	f.StringVar(&o.queue, "queue", queue.DefaultQueue, "queue to take trials from")
	f.StringVar(&o.command, "command", "", "training command")
	f.IntVar(&o.slots, "slots", 1, "trainings at a time")
	f.StringVar(&o.name, "name", "", "name of this worker (default the host and the process ID)")
	f.StringArrayVar(&o.labels, "label", nil, "what is to be known of this machine, as KEY=VALUE; may be repeated")
	f.StringArrayVar(&o.env, "env", nil, "environment variable for the command, as NAME=VALUE; may be repeated")
	f.DurationVar(&o.timeout, "timeout", 0, "how long a trial may take, such as 2h (default as long as it wants)")
	f.DurationVar(&o.grace, "grace", trainer.DefaultGrace, "how long a training that is told to end may take for it")
	f.DurationVar(&o.drainTimeout, "drain-timeout", 0, "how long to wait for running trials after a signal (default until they end)")
	return c
}

func (o *workerOptions) run(c *cobra.Command, args []string) error {
	w, err := o.worker(args)
	if err != nil {
		return err
	}
	options, err := o.nats.required()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil))
	options.Name, options.Log = "nas worker "+w.Name, log

	ctx, cancel := context.WithCancelCause(c.Context())
	defer cancel(nil)
	connecting, connected := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	conn, err := queue.Connect(connecting, options)
	connected()
	if err != nil {
		return natsError(err, "is the server up, and `nas run` if that is the server (--embedded-nats)? can this machine reach it?")
	}
	defer conn.Close()

	drain := make(chan struct{})
	w.Drain = drain
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	go func() {
		select {
		case <-signals:
		case <-ctx.Done():
			return
		}
		log.Info("taking no more trials; a second signal gives those back that run")
		close(drain)
		var late <-chan time.Time
		if o.drainTimeout > 0 {
			late = time.After(o.drainTimeout)
		}
		select {
		case <-signals:
			cancel(errors.New("stopped by a second signal; trials that ran were given back"))
		case <-late:
			cancel(fmt.Errorf("not done %v after a signal; trials that ran were given back", o.drainTimeout))
		case <-ctx.Done():
		}
	}()
	log.Info("worker begins", "queue", o.queue, "server", queue.Redact(options.URL), "slots", o.slots)
	err = conn.Work(ctx, w)
	if err == nil {
		log.Info("worker ends")
	}
	return err
}

// worker returns what the flags say.
func (o *workerOptions) worker(args []string) (queue.Worker, error) {
	fail := func(err error) (queue.Worker, error) { return queue.Worker{}, usageError{err} }
	if (o.command == "") == (len(args) == 0) {
		return fail(errors.New("either --command or a command after -- is required, and not both"))
	}
	if o.command != "" {
		var err error
		if args, err = splitCommand(o.command); err != nil {
			return fail(fmt.Errorf("--command: %w", err))
		}
	}
	if o.slots < 1 || o.slots > queue.MaxSlots {
		return fail(fmt.Errorf("--slots must be from 1 to %d, found %d", queue.MaxSlots, o.slots))
	}
	if o.drainTimeout < 0 {
		return fail(fmt.Errorf("--drain-timeout must be 0 or more, found %v", o.drainTimeout))
	}
	labels, err := pairs("label", o.labels)
	if err != nil {
		return fail(err)
	}
	env, err := pairs("env", o.env)
	if err != nil {
		return fail(err)
	}
	w := queue.Worker{
		Queue: o.queue, Slots: o.slots, Name: o.name, Labels: labels,
		Command: trainer.Command{Args: args, Env: env, Timeout: o.timeout, Grace: o.grace},
	}
	if err := w.Check(); err != nil {
		return fail(err)
	}
	return w, nil
}

// pairs reads the values of a flag of the form KEY=VALUE.
func pairs(flag string, values []string) (map[string]string, error) {
	m := make(map[string]string, len(values))
	for _, v := range values {
		key, value, ok := strings.Cut(v, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("--%s %q: want KEY=VALUE", flag, v)
		}
		if _, twice := m[key]; twice {
			return nil, fmt.Errorf("--%s: %q is given twice", flag, key)
		}
		m[key] = value
	}
	return m, nil
}

// splitCommand splits a command line into words at spaces, tabs and line ends. In
// '...' nothing is special; in "..." only \" and \\ are, which stand for the second
// character. Elsewhere a backslash is one, as paths of Windows have it.
func splitCommand(s string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord := false
	var quote byte // that is open; 0 if none is
	for i := 0; i < len(s); i++ {
		switch ch := s[i]; {
		case quote == '"' && ch == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
			word.WriteByte(s[i])
		case quote != 0 && ch == quote:
			quote = 0
		case quote == 0 && (ch == '\'' || ch == '"'):
			quote, inWord = ch, true
		case quote == 0 && strings.IndexByte(" \t\r\n", ch) >= 0:
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteByte(ch)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote %c is not closed in %.200q", quote, s)
	}
	if inWord {
		words = append(words, word.String())
	}
	if len(words) == 0 {
		return nil, errors.New("there is no word in it")
	}
	return words, nil
}
