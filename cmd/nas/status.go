package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/efficientnas/nas/internal/queue"
	"github.com/efficientnas/nas/internal/trainer"
	"github.com/efficientnas/nas/report"
	"github.com/efficientnas/nas/runner"
)

type statusOptions struct {
	nats   natsFlags
	queue  string
	format string
}

func newStatusCommand() *cobra.Command {
	var o statusOptions
	c := &cobra.Command{
		Use:   "status [DIR] [--nats URL]",
		Short: "How far a study is, and who works for it",
		Long: `Status shows how the study of a results folder stands, also while it runs: how
many networks are evaluated, how fast that goes and how long it will take, what
is being trained, and what failed last. It reads study.db and changes nothing.

With --nats, or without a folder, it asks a NATS server for its queue: how many
jobs wait, and which workers are there. For a folder whose study has its networks
trained by workers, any of the flags about the server does, and the rest is what
the study says.

Throughput is that of the last hour of training, or of as long as it took the
last 20 networks. Interruptions do not count. A network that is being trained
counts by the share of a mean training that it has done. The time left is that of
all evaluations that are asked for; a study may end earlier.

` + natsHelp,
		Example: "  nas status results/digits\n  nas status --nats nats://host:4222 --token-file token",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return o.run(c, args) },
	}
	o.nats.add(c)
	f := c.Flags()
	f.StringVar(&o.queue, "queue", "", `queue to ask for (default that of the study, or "`+queue.DefaultQueue+`")`)
	f.StringVar(&o.format, "format", "text", "text or json")
	return c
}

// status is what is printed as JSON.
type status struct {
	Study *runner.Status `json:"study,omitempty"`
	Queue *queueStatus   `json:"queue,omitempty"`
}

// queueStatus is [queue.Status] with names for programs.
type queueStatus struct {
	Name    string         `json:"name"`
	URL     string         `json:"url"`
	Waiting int            `json:"waiting"`
	Taken   int            `json:"taken"`
	Results int            `json:"results"`
	Workers []workerStatus `json:"workers"`
}

type workerStatus struct {
	Name   string            `json:"name"`
	Host   string            `json:"host"`
	Labels map[string]string `json:"labels"`
	Slots  int               `json:"slots"`
	Busy   int               `json:"busy"`
	Done   int               `json:"done"`
	Failed int               `json:"failed"`
	Since  time.Time         `json:"since"`
}

func (o *statusOptions) run(c *cobra.Command, args []string) error {
	if err := oneOf("format", o.format, "text", "json"); err != nil {
		return err
	}
	flags := c.Flags()
	ask := len(args) == 0 || flags.Changed("queue")
	for _, name := range natsNames {
		ask = ask || flags.Changed(name)
	}
	var s status
	var err error
	if len(args) > 0 {
		if s.Study, err = runner.ReadStatus(args[0]); err != nil {
			return err
		}
	}
	if ask {
		if s.Queue, err = o.ask(c, s.Study); err != nil {
			return err
		}
	}
	w := c.OutOrStdout()
	if o.format == "json" {
		return json.NewEncoder(w).Encode(s)
	}
	if s.Study != nil {
		if err := printStudy(w, s.Study, s.Queue == nil); err != nil {
			return err
		}
	}
	if s.Queue == nil {
		return nil
	}
	if s.Study != nil {
		fmt.Fprintln(w)
	}
	return printQueue(w, s.Queue)
}

// ask asks the server for the queue, which may be that of a study.
func (o *statusOptions) ask(c *cobra.Command, study *runner.Status) (*queueStatus, error) {
	options, err := o.nats.options()
	if err != nil {
		return nil, err
	}
	name := o.queue
	if study != nil && study.Trials != nil {
		if options.URL == "" {
			options.URL = study.Trials.NATS
		}
		if name == "" {
			name = study.Trials.Queue
		}
	}
	if options.URL == "" {
		return nil, usageError{fmt.Errorf("name the folder of a study, or, with --nats or %s, a server such as nats://host:4222", envNATSURL)}
	}
	if name == "" {
		name = queue.DefaultQueue
	}
	if err := queue.CheckName(name); err != nil {
		return nil, usageError{fmt.Errorf("--queue: %w", err)}
	}
	options.Name, options.Log = "nas status", slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil))
	conn, err := queue.Connect(c.Context(), options)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	q, err := conn.Status(c.Context(), name)
	if err != nil {
		return nil, err
	}
	s := &queueStatus{Name: name, URL: queue.Redact(options.URL), Waiting: q.Waiting, Taken: q.Taken, Results: q.Results, Workers: []workerStatus{}}
	for i := range q.Workers {
		w := &q.Workers[i]
		labels := make(map[string]string)
		for k, v := range w.Labels {
			labels[plain(k)] = plain(v)
		}
		s.Workers = append(s.Workers, workerStatus{plain(w.Name), plain(w.Host), labels, w.Slots, w.Busy, w.Done, w.Failed, w.Since})
	}
	return s, nil
}

// plain returns what a worker says as one line that can be shown.
func plain(s string) string { return strings.Join(strings.Fields(trainer.SafeText(s)), " ") }

// printStudy prints how a study stands; hint is whether to say how to ask for its workers.
func printStudy(w io.Writer, s *runner.Status, hint bool) error {
	line := func(what, format string, args ...any) {
		fmt.Fprintf(w, "%-11s %s\n", what, fmt.Sprintf(format, args...))
	}
	from := map[string]string{
		"predictor": "accuracies are predicted", "table": "accuracies stand in a table",
		"command": "networks are trained here", "nats": "networks are trained by workers",
	}
	line("study", "%s: %s by %s, begun %s", s.Name, from[s.Source], s.Algorithm, when(s.Created))
	switch p := s.Process; {
	case s.State == "ended":
		line("state", "ended: %s", s.Ended)
	case p == nil:
		line("state", "not running; `nas resume` goes on with it")
	case p.PID == 0:
		line("state", "running in another process")
	default:
		line("state", "running in process %d on %s since %s", p.PID, p.Host, when(p.Since))
	}
	networks := fmt.Sprintf("%d of %d evaluated", s.Evaluations, s.Total)
	if t := s.Trials; t != nil {
		running := "running"
		if s.State != "running" {
			running = "interrupted"
		}
		networks += fmt.Sprintf(": %d trained, %d failed; %d %s, %d queued", t.Done, t.Failed, t.Running, running, t.Queued)
		if t.Repeated > 0 {
			networks += fmt.Sprintf("; failed attempts that were repeated: %d", t.Repeated)
		}
	}
	line("networks", "%s", networks)
	if s.Best != nil {
		line("best", "%.2f %%", 100**s.Best)
	}
	if q := s.Search; q != nil && !q.Saved.IsZero() {
		line("front", "%d networks, hypervolume %.4g, after %s of searching", q.Front, q.Hypervolume, span(q.Seconds))
		line("as of", "%s", when(q.Saved))
	}
	if s.PerHour != nil {
		speed := fmt.Sprintf("%.1f networks an hour", *s.PerHour)
		if *s.PerHour >= 36000 {
			speed = fmt.Sprintf("%.0f networks a second", *s.PerHour/3600)
		}
		if s.Trials != nil && s.Trials.MeanSeconds != nil {
			speed += fmt.Sprintf(", %s a training", span(*s.Trials.MeanSeconds))
		}
		line("throughput", "%s", speed)
	}
	if s.SecondsLeft != nil {
		more := " at most"
		if s.State != "running" {
			more += ", once it goes on"
		}
		line("time left", "%s%s", span(*s.SecondsLeft), more)
	}
	t := s.Trials
	if t == nil {
		return nil
	}
	if t.NATS != "" && hint {
		line("workers", "at %s, queue %s; --nats asks for them", t.NATS, t.Queue)
	}
	if len(t.Trainings) > 0 {
		fmt.Fprintln(w)
		table := report.NewTable("rllrlrr", "trial", "id", "worker", "attempt", "since", "epoch", "top-1 %")
		for _, r := range t.Trainings {
			epoch, accuracy := "", ""
			if r.Epoch != nil && r.Accuracy != nil {
				epoch, accuracy = strconv.Itoa(*r.Epoch), fmt.Sprintf("%.2f", 100**r.Accuracy)
			}
			table.Row(strconv.Itoa(r.Trial), r.ID, r.Worker, strconv.Itoa(r.Attempt), when(r.Since), epoch, accuracy)
		}
		if err := table.Write(w); err != nil {
			return err
		}
	}
	if len(t.Failures) > 0 {
		fmt.Fprintln(w, "\nlast failures, the latest first")
		for _, f := range t.Failures {
			repeated := ""
			if f.Repeated {
				repeated = ", repeated"
			}
			fmt.Fprintf(w, "%s  trial %d, attempt %d on %s%s: %s\n", when(f.At), f.Trial, f.Attempt, f.Worker, repeated, f.Error)
		}
	}
	return nil
}

func printQueue(w io.Writer, q *queueStatus) error {
	fmt.Fprintf(w, "%-11s %s at %s: %d jobs waiting, %d taken, %d results not yet handled\n", "queue", q.Name, q.URL, q.Waiting, q.Taken, q.Results)
	if len(q.Workers) == 0 {
		fmt.Fprintf(w, "%-11s none answered\n", "workers")
		return nil
	}
	var slots, busy int
	table := report.NewTable("lllrrrrl", "worker", "host", "labels", "slots", "busy", "done", "failed", "since")
	for _, r := range q.Workers {
		var labels []string
		for _, k := range slices.Sorted(maps.Keys(r.Labels)) {
			labels = append(labels, k+"="+r.Labels[k])
		}
		table.Row(r.Name, r.Host, strings.Join(labels, " "), strconv.Itoa(r.Slots), strconv.Itoa(r.Busy),
			strconv.Itoa(r.Done), strconv.Itoa(r.Failed), when(r.Since))
		slots, busy = slots+r.Slots, busy+r.Busy
	}
	fmt.Fprintf(w, "%-11s %d answered, %d of %d slots busy\n\n", "workers", len(q.Workers), busy, slots)
	return table.Write(w)
}

// when returns a time as people here read it.
func when(t time.Time) string { return t.Local().Format(time.DateTime) }

// span returns a time in one or two units.
func span(seconds float64) string {
	s := int64(min(seconds, 1e12) + 0.5)
	switch {
	case seconds < 10:
		return fmt.Sprintf("%.1f s", seconds)
	case s < 120:
		return fmt.Sprintf("%d s", s)
	case s < 2*3600:
		return fmt.Sprintf("%d min", (s+30)/60)
	case s < 2*24*3600:
		return fmt.Sprintf("%d h %d min", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%d days %d h", s/86400, s%86400/3600)
}
