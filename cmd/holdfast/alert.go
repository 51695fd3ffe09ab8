package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) alertCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "alert", Aliases: []string{"alerts"}, Short: "See what is wrong, and say who is told of it",
		Long:    "See what is wrong, and say who is told of it. The conditions are listed in docs/alerts.md.",
		Example: "  holdfast alert list\n  holdfast alert mute alt_0123 --for 4h\n  holdfast alert channels add on-call --kind webhook --url https://hooks.example.com/alerts"}
	cmd.AddCommand(c.alertListCommand(), c.alertShowCommand(), c.alertMuteCommand(), c.alertUnmuteCommand(), c.alertAcknowledgeCommand(), c.alertSettingsCommand(), c.channelsCommand())
	return cmd
}

func (c *cli) alertListCommand() *cobra.Command {
	var project string
	var all bool
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the alerts that are firing, or all of the last 90 days", Example: "  holdfast alert list\n  holdfast alert list --project shop --all", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				alerts, err := client.Alerts(cmd.Context(), project, all)
				if err != nil {
					return suggestProject(cmd.Context(), client, project, err)
				}
				return showList(c, alerts, func(w io.Writer) { alertTable(w, alerts) })
			})
		},
	}
	cmd.Flags().StringVar(&project, "project", "", "only alerts of this project")
	cmd.Flags().BoolVar(&all, "all", false, "those that are over, too, the newest first")
	return cmd
}

func alertTable(w io.Writer, alerts []api.Alert) {
	t := newTable(w, "ALERT", "SEVERITY", "CONDITION", "PLACE", "SINCE", "STATE", "MESSAGE")
	for _, a := range alerts {
		t.row(a.ID, a.Severity, a.Condition, placeOf(a), moment(a.FiredAt), alertState(a), a.Message)
	}
	t.flush()
}

// placeOf is where an alert holds, as people write it.
func placeOf(a api.Alert) string {
	if a.Place == "" {
		return "installation"
	}
	return a.Place
}

func alertState(a api.Alert) string {
	switch {
	case !a.ResolvedAt.IsZero():
		return "over"
	case muted(a):
		return "muted"
	case !a.AcknowledgedAt.IsZero():
		return "acknowledged"
	}
	return "firing"
}

func (c *cli) alertShowCommand() *cobra.Command {
	return c.oneAlertCommand("show ALERT", "Show an alert, and what to do", "", func(ctx context.Context, client *api.Client, id string) error {
		a, err := client.Alert(ctx, id)
		if err != nil {
			return err
		}
		return c.show(a, func(w io.Writer) { showAlert(w, a) })
	})
}

func showAlert(w io.Writer, a api.Alert) {
	t := newTable(w, "alert", a.ID)
	t.row("condition", a.Condition+" ("+a.Severity+")")
	t.row("place", placeOf(a))
	for _, line := range [][2]string{{"of", a.Subject}, {"message", a.Message}, {"hint", a.Hint}, {"firing since", moment(a.FiredAt)}, {"over since", moment(a.ResolvedAt)},
		{"told last", moment(a.NotifiedAt)}, {"acknowledged", strings.TrimSpace(moment(a.AcknowledgedAt) + " " + a.AcknowledgedBy)}, {"muted until", moment(a.MutedUntil)}} {
		if line[1] != "" {
			t.row(line[0], line[1])
		}
	}
	t.flush()
}

func (c *cli) oneAlertCommand(use, short, long string, do func(context.Context, *api.Client, string) error) *cobra.Command {
	verb, _, _ := strings.Cut(use, " ")
	return &cobra.Command{Use: use, Short: short, Long: long, Example: "  holdfast alert " + verb + " alt_0123", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error { return do(cmd.Context(), client, args[0]) })
		}}
}

func (c *cli) alertMuteCommand() *cobra.Command {
	var long string
	cmd := c.oneAlertCommand("mute ALERT", "Tell nobody of an alert's condition at its place for a while",
		"Tell nobody of an alert's condition at its place for a while. It fires and is shown as ever, and it does not stop a heartbeat.", func(ctx context.Context, client *api.Client, id string) error {
			d, err := parseSpan(long)
			if err != nil {
				return err
			}
			a, err := client.MuteAlert(ctx, id, api.Seconds(d))
			if err != nil {
				return err
			}
			return c.show(a, func(w io.Writer) {
				fmt.Fprintf(w, "%s of %s is muted until %s\n", a.Condition, printable(placeOf(a)), moment(a.MutedUntil))
			})
		})
	cmd.Example = "  holdfast alert mute alt_0123\n  holdfast alert mute alt_0123 --for 7d"
	cmd.Flags().StringVar(&long, "for", "4h", "for how long, as 30m, 12h or 7d")
	return cmd
}

func (c *cli) alertUnmuteCommand() *cobra.Command {
	return c.oneAlertCommand("unmute ALERT", "End a mute", "", func(ctx context.Context, client *api.Client, id string) error {
		a, err := client.MuteAlert(ctx, id, 0)
		if err != nil {
			return err
		}
		return c.show(a, func(w io.Writer) {
			fmt.Fprintf(w, "%s of %s is not muted any more\n", a.Condition, printable(placeOf(a)))
		})
	})
}

func (c *cli) alertAcknowledgeCommand() *cobra.Command {
	cmd := c.oneAlertCommand("acknowledge ALERT", "Say that you look after an alert: nobody is reminded of it any more",
		"Say that you look after an alert: nobody is reminded of it any more. An alert about damaged objects at a location, whose end cannot be seen, is over with that.",
		func(ctx context.Context, client *api.Client, id string) error {
			a, err := client.AcknowledgeAlert(ctx, id)
			if err != nil {
				return err
			}
			return c.show(a, func(w io.Writer) {
				fmt.Fprintf(w, "%s of %s is acknowledged by %s\n", a.Condition, printable(placeOf(a)), printable(a.AcknowledgedBy))
			})
		})
	cmd.Aliases = []string{"ack"}
	return cmd
}

// threshold is one of the alert settings as the command line knows it.
type threshold struct {
	name, about string
	get         func(api.AlertSettings) string
	set         func(*api.AlertSettings, string) error
}

func spanThreshold(name, about string, field func(*api.AlertSettings) *int64) threshold {
	return threshold{name, about, func(s api.AlertSettings) string { return idle(*field(&s)) }, func(s *api.AlertSettings, text string) error {
		d, err := parseSpan(text)
		*field(s) = api.Seconds(d)
		return err
	}}
}

func bytesThreshold(name, about string, field func(*api.AlertSettings) *int64) threshold {
	return threshold{name, about, func(s api.AlertSettings) string { return size(*field(&s)) }, func(s *api.AlertSettings, text string) (err error) {
		*field(s), err = parseSize(text)
		return err
	}}
}

// thresholds are the alert settings, in the order in which they are shown.
func thresholds() []threshold {
	return []threshold{
		spanThreshold("backup-age", "production without a backup for longer", func(s *api.AlertSettings) *int64 { return &s.BackupAge }),
		spanThreshold("verify-age", "production without a proved backup for longer", func(s *api.AlertSettings) *int64 { return &s.VerifyAge }),
		spanThreshold("wal-lag", "WAL that arrives later", func(s *api.AlertSettings) *int64 { return &s.WALLag }),
		bytesThreshold("slot-bytes", "a replication slot that keeps more WAL, as 4GiB", func(s *api.AlertSettings) *int64 { return &s.SlotBytes }),
		{"disk-free", "less of the databases' disk that is free, in percent", func(s api.AlertSettings) string { return strconv.Itoa(s.DiskFree) + "%" }, func(s *api.AlertSettings, text string) (err error) {
			s.DiskFree, err = strconv.Atoi(strings.TrimSuffix(text, "%"))
			return err
		}},
		bytesThreshold("disk-budget", "databases that are larger together, as 500GiB; 0: no bound", func(s *api.AlertSettings) *int64 { return &s.DiskBudget }),
		spanThreshold("long-transaction", "a transaction that is open for longer", func(s *api.AlertSettings) *int64 { return &s.LongTransaction }),
		spanThreshold("lock-wait", "a session that waits for a lock for longer", func(s *api.AlertSettings) *int64 { return &s.LockWait }),
		spanThreshold("certificate-ends", "a certificate of the front door that ends sooner", func(s *api.AlertSettings) *int64 { return &s.CertificateEnds }),
		spanThreshold("remind-after", "tell again of what is firing and was not acknowledged after that; 0s: never", func(s *api.AlertSettings) *int64 { return &s.RemindAfter }),
	}
}

func (c *cli) alertSettingsCommand() *cobra.Command {
	asked := map[string]*string{}
	cmd := &cobra.Command{
		Use: "settings", Short: "Show or change from when on a condition holds", Args: cobra.NoArgs,
		Long:    "Show or change from when on a condition holds. They are those of the installation, for every project.",
		Example: "  holdfast alert settings\n  holdfast alert settings --wal-lag 5m --disk-free 15%\n  holdfast alert settings --disk-budget 500GiB",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				settings, err := client.AlertSettings(cmd.Context())
				if err != nil {
					return err
				}
				changed := false
				for _, t := range thresholds() {
					if !cmd.Flags().Changed(t.name) {
						continue
					}
					changed = true
					if err := t.set(&settings, *asked[t.name]); err != nil {
						return usage(cmd, fmt.Errorf("--%s %s: %w", t.name, *asked[t.name], err))
					}
				}
				if changed {
					if err := client.SetAlertSettings(cmd.Context(), settings); err != nil {
						return err
					}
				}
				return c.show(settings, func(w io.Writer) {
					table := newTable(w, "SETTING", "VALUE", "AN ALERT FIRES FOR")
					for _, t := range thresholds() {
						table.row(t.name, t.get(settings), t.about)
					}
					table.flush()
				})
			})
		},
	}
	for _, t := range thresholds() {
		asked[t.name] = cmd.Flags().String(t.name, "", t.about)
	}
	return cmd
}

// parseSize reads bytes as people write them, in powers of 1024: 500GiB, 20MB, 1024.
func parseSize(text string) (int64, error) {
	text = strings.ToUpper(strings.TrimSpace(text))
	number := strings.TrimRight(text, "KMGTIB ")
	power, known := map[string]int{"": 0, "K": 1, "M": 2, "G": 3, "T": 4}[strings.TrimSuffix(strings.TrimSuffix(strings.TrimSpace(text[len(number):]), "B"), "I")]
	n, err := strconv.ParseFloat(number, 64)
	bytes := n * float64(int64(1)<<(10*power))
	if err != nil || !known || !(bytes >= 0 && bytes < 1<<60) { // NaN is neither
		return 0, errors.New("write it as 500GiB or 20MiB")
	}
	return int64(bytes), nil
}
