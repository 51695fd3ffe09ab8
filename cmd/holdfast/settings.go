package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) branchSettingsCommand() *cobra.Command {
	var ask settingsFlags
	cmd := &cobra.Command{
		Use:   "settings [PROJECT/BRANCH]",
		Short: "Show or change a branch's settings",
		Long: `Without flags it shows the settings that differ from PostgreSQL's defaults. A changed setting takes effect at once where PostgreSQL
allows it, else at the next start (branch show says so, restart brings it about). Unknown and dangerous settings are refused with the reason.`,
		Example: `  holdfast branch settings shop/production
  holdfast branch settings shop/production --list
  holdfast branch settings shop/production --set work_mem=16MB --set statement_timeout=30s
  holdfast branch settings shop/production --unset work_mem
  holdfast branch settings shop/development --idle 10m --connections 50
  holdfast branch settings shop/production --idle never
  holdfast branch settings shop/production --history-window 14d`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			change, any, err := ask.change(cmd)
			if err != nil {
				return err
			}
			return c.onBranch(cmd.Context(), args, func(client *api.Client, ref holdfast.BranchRef) error {
				if any {
					b, err := client.ChangeSettings(cmd.Context(), ref, change)
					if err != nil {
						return err
					}
					if b.NeedsRestart {
						fmt.Fprintf(c.errOut, "it takes effect at the next start; `holdfast restart %s` brings that about\n", ref)
					}
				}
				s, err := client.Settings(cmd.Context(), ref)
				if err != nil {
					return err
				}
				return c.showSettings(s, ask.list)
			})
		},
	}
	cmd.Flags().StringArrayVar(&ask.set, "set", nil, "set a PostgreSQL setting, as NAME=VALUE (can be repeated)")
	cmd.Flags().StringArrayVar(&ask.unset, "unset", nil, "return a PostgreSQL setting to its profile (can be repeated)")
	cmd.Flags().StringVar(&ask.idle, "idle", "", "fall asleep after this long without use: 60s to 7d, or never")
	cmd.Flags().IntVar(&ask.connections, "connections", 0, "how many client sessions are admitted at once")
	cmd.Flags().StringVar(&ask.window, "history-window", "", "how far back the branch can be restored: 6h to 35d")
	cmd.Flags().BoolVar(&ask.list, "list", false, "show every setting that can be set")
	return cmd
}

type settingsFlags struct {
	set, unset  []string
	idle        string
	window      string
	connections int
	list        bool
}

// change turns the flags into a request; any is false when they ask for no change.
func (f settingsFlags) change(cmd *cobra.Command) (change api.SettingsChange, any bool, err error) {
	parameters := map[string]*string{}
	for _, pair := range f.set {
		name, value, found := strings.Cut(pair, "=")
		if name = strings.TrimSpace(name); !found || name == "" {
			return change, false, usage(cmd, fmt.Errorf("--set %q: write it as NAME=VALUE", pair))
		}
		parameters[strings.ToLower(name)] = &value
	}
	for _, name := range f.unset {
		name = strings.ToLower(strings.TrimSpace(name))
		if parameters[name] != nil {
			return change, false, usage(cmd, fmt.Errorf("%s is both set and unset", name))
		}
		parameters[name] = nil
	}
	if len(parameters) > 0 {
		change.Parameters = parameters
	}
	if f.idle != "" {
		seconds := int64(-1)
		if f.idle != "never" && f.idle != "-1" {
			d, err := parseSpan(f.idle)
			if err != nil {
				return change, false, err
			}
			seconds = int64(d.Seconds())
		}
		change.IdleTimeout = &seconds
	}
	if f.window != "" {
		d, err := parseSpan(f.window)
		if err != nil {
			return change, false, err
		}
		seconds := int64(d.Seconds())
		change.Window = &seconds
	}
	if cmd.Flags().Changed("connections") {
		change.Connections = &f.connections
	}
	return change, change.Parameters != nil || change.IdleTimeout != nil || change.Connections != nil || change.Window != nil, nil
}

func (c *cli) showSettings(s api.Settings, all bool) error {
	return c.show(s, func(w io.Writer) {
		t := newTable(w, "SETTING", "VALUE", "PROFILE", "SET HERE")
		t.row("falls asleep after", idle(s.IdleTimeout), "", "")
		t.row("connections", strconv.Itoa(s.Connections), "", "")
		t.row("history is kept for", span(time.Duration(s.Window)*time.Second), "", "")
		for _, p := range s.Parameters {
			if p.Value != "" || all && p.Settable {
				t.row(p.Name, p.Value, p.Profile, yes(p.Changed))
			}
		}
		t.flush()
	})
}
