package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) channelsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "channels", Aliases: []string{"channel"}, Short: "See and set who is told of alerts",
		Long: `See and set who is told of alerts: a program by a signed webhook, people by e-mail or a chat service, and a watch by the beats of a heartbeat,
which stop when something fires or this machine is down. A channel is the installation's and hears of everything, or with --project one of a project.`,
		Example: "  holdfast alert channels list\n  holdfast alert channels test on-call"}
	cmd.AddCommand(c.channelsListCommand(), c.channelsAddCommand(), c.channelsRemoveCommand(), c.channelsTestCommand())
	return cmd
}

func projectFlag(cmd *cobra.Command, project *string) {
	cmd.Flags().StringVar(project, "project", "", "of this project (default: of the installation)")
}

func (c *cli) channelsListCommand() *cobra.Command {
	var project string
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List who is told of alerts", Example: "  holdfast alert channels list\n  holdfast alert channels list --project shop", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				channels, err := client.AlertChannels(cmd.Context(), project)
				if err != nil {
					return suggestProject(cmd.Context(), client, project, err)
				}
				return showList(c, channels, func(w io.Writer) {
					t := newTable(w, "CHANNEL", "KIND", "ADDRESS", "HEARS OF", "LAST DELIVERY", "WAITING", "ERROR")
					for _, ch := range channels {
						address, hears := ch.Address, "everything"
						if len(ch.To) > 0 {
							address += " to " + strings.Join(ch.To, ", ")
						}
						if ch.Severity == string(holdfast.Critical) {
							hears = "critical"
						}
						t.row(ch.Name, ch.Kind, address, hears, moment(ch.DeliveredAt), strconv.Itoa(ch.Waiting), ch.Error)
					}
					t.flush()
				})
			})
		},
	}
	projectFlag(cmd, &project)
	return cmd
}

func (c *cli) channelsAddCommand() *cobra.Command {
	var project, every string
	var ask api.NewAlertChannel
	cmd := &cobra.Command{
		Use: "add NAME", Short: "Tell somebody of alerts, or replace the channel of that name",
		Long: `Tell somebody of alerts, or replace the channel of that name.

  webhook    a POST, signed with a key that is shown this once: docs/alerts.md shows how a receiver checks it
  email      --url smtp://HOST:587 (STARTTLS) or smtps://HOST:465, --from and --to; with --user the password is asked for
  chat       the address of a service in shoutrrr's form: slack://..., discord://..., telegram://..., ntfy://...
  heartbeat  an address that is asked again and again while nothing fires

An address that is a secret by itself is left out: then it is asked for, or read from standard input.`,
		Example: `  holdfast alert channels add on-call --kind webhook --url https://hooks.example.com/alerts
  holdfast alert channels add ops --kind email --url smtp://mail.example.com:587 --from holdfast@example.com --to ops@example.com --user holdfast < password
  holdfast alert channels add team --kind chat --project shop < slack-address
  holdfast alert channels add watch --kind heartbeat --every 5m < address`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if every != "" {
				d, err := parseSpan(every)
				if err != nil {
					return usage(cmd, err)
				}
				ask.Every = api.Seconds(d)
			}
			if err := c.completeChannel(&ask); err != nil {
				return usage(cmd, err)
			}
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				key, err := client.SetAlertChannel(cmd.Context(), project, args[0], ask)
				if err != nil {
					return suggestProject(cmd.Context(), client, project, err)
				}
				if !c.json && key != "" {
					fmt.Fprintln(c.errOut, "notices are signed with this key, which is not shown again:")
				}
				return c.show(api.AlertChannelKey{Key: key}, func(w io.Writer) {
					if key != "" {
						fmt.Fprintln(w, key)
						return
					}
					fmt.Fprintf(w, "%s is told of alerts; `holdfast alert channels test %s` tries it out\n", printable(args[0]), printable(args[0]))
				})
			})
		},
	}
	cmd.Flags().StringVar(&ask.Kind, "kind", string(holdfast.Webhook), "webhook, email, chat or heartbeat")
	cmd.Flags().StringVar(&ask.URL, "url", "", "the address; left out it is asked for, or read from standard input")
	cmd.Flags().StringVar(&ask.From, "from", "", "the sender's address of e-mails")
	cmd.Flags().StringSliceVar(&ask.To, "to", nil, "an address that e-mails go to (can be repeated)")
	cmd.Flags().StringVar(&ask.User, "user", "", "at the mail server; its password is asked for, or read from standard input")
	cmd.Flags().StringVar(&ask.Severity, "severity", string(holdfast.Warning), "the least that it is told of: warning or critical")
	cmd.Flags().BoolVar(&ask.AllowPrivate, "allow-private", false, "the address may lie in a private network; for admins of the installation")
	cmd.Flags().StringVar(&every, "every", "", "of a heartbeat (default: 1m)")
	projectFlag(cmd, &project)
	return cmd
}

// completeChannel asks for what the flags leave open and is a secret.
func (c *cli) completeChannel(ask *api.NewAlertChannel) (err error) {
	switch {
	case ask.Kind == string(holdfast.Email) && ask.URL == "":
		return errors.New("an e-mail channel needs --url, the mail server's address")
	case ask.Kind == string(holdfast.Chat) && ask.URL != "":
		return errors.New("the address of a chat service is a secret: leave --url out, and it is asked for or read from standard input")
	case ask.URL == "":
		ask.URL, err = c.askSecret("address: ")
	case ask.User != "":
		ask.Password, err = c.askSecret("password of " + ask.User + ": ")
	}
	return err
}

func (c *cli) channelsRemoveCommand() *cobra.Command {
	var project string
	cmd := &cobra.Command{
		Use: "remove NAME", Aliases: []string{"rm"}, Short: "Forget a channel, and what it was still to be told", Example: "  holdfast alert channels remove on-call", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				if err := client.DeleteAlertChannel(cmd.Context(), project, args[0]); err != nil {
					return suggestProject(cmd.Context(), client, project, err)
				}
				return c.say("%s is told of alerts no more", args[0])
			})
		},
	}
	projectFlag(cmd, &project)
	return cmd
}

func (c *cli) channelsTestCommand() *cobra.Command {
	var project string
	cmd := &cobra.Command{
		Use: "test NAME", Short: "Send a test notice, and say whether it was taken", Example: "  holdfast alert channels test on-call", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				if err := client.TestAlertChannel(cmd.Context(), project, args[0]); err != nil {
					return suggestProject(cmd.Context(), client, project, err)
				}
				return c.say("the test arrived at %s", args[0])
			})
		},
	}
	projectFlag(cmd, &project)
	return cmd
}
