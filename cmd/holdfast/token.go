package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) tokenCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "token", Aliases: []string{"tokens"}, Short: "Make and end tokens of the API", Example: "  holdfast token create ci --project shop --right write"}
	cmd.AddCommand(c.tokenCreateCommand(), c.tokenListCommand(), c.tokenRevokeCommand())
	return cmd
}

func (c *cli) tokenCreateCommand() *cobra.Command {
	var ask api.NewToken
	var expires string
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a token; its secret is shown this once",
		Long: `Makes a token and prints its secret, which is never shown again. It can do no more, reach no further and last no longer than the token or
the person that makes it.

Kinds: user (scoped to a project and a right), agent (development and previews of one project only), metrics (reads /metrics and nothing else),
admin (everything).
Rights: read (see states), write (change development and previews, see their passwords), admin (production too).`,
		Example: `  holdfast token create ci --project shop --right write --expires 90d
  holdfast token create assistant --kind agent --project shop
  holdfast token create prometheus --kind metrics
  holdfast token create backup-admin --kind admin`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ask.Name = args[0]
			if !cmd.Flags().Changed("right") && ask.Kind == string(holdfast.AdminToken) {
				ask.Right = string(holdfast.MayAdmin)
			}
			if !cmd.Flags().Changed("right") && ask.Kind == string(holdfast.MetricsToken) {
				ask.Right = string(holdfast.MayRead)
			}
			if expires != "" {
				d, err := parseSpan(expires)
				if err != nil {
					return err
				}
				if ask.ExpiresIn = int64(d.Seconds()); ask.ExpiresIn == 0 {
					return usage(cmd, fmt.Errorf("--expires %s: the token would never work", expires))
				}
			}
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				made, err := client.CreateToken(cmd.Context(), ask)
				if err != nil {
					return suggestProject(cmd.Context(), client, ask.Project, err)
				}
				if !c.json {
					fmt.Fprintf(c.errOut, "token %s (%s); this is its secret, which is not shown again:\n", printable(made.Token.Name), made.Token.ID)
				}
				return c.show(made, func(w io.Writer) { fmt.Fprintln(w, made.Secret) })
			})
		},
	}
	cmd.Flags().StringVar(&ask.Kind, "kind", string(holdfast.UserToken), "user, agent, metrics or admin")
	cmd.Flags().StringVar(&ask.Project, "project", "", "the one project that it reaches (default: every project)")
	cmd.Flags().StringVar(&ask.Right, "right", string(holdfast.MayWrite), "read, write or admin")
	cmd.Flags().StringVar(&expires, "expires", "", "end it after this long, as 12h or 90d (default: never)")
	return cmd
}

func (c *cli) tokenListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List your tokens, or all for an admin of the server, without their secrets", Example: "  holdfast token list", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				tokens, err := client.Tokens(cmd.Context())
				if err != nil {
					return err
				}
				return showList(c, tokens, func(w io.Writer) {
					t := newTable(w, "ID", "NAME", "KIND", "OF", "PROJECT", "RIGHT", "CREATED", "EXPIRES", "LAST USED")
					for _, k := range tokens {
						t.row(k.ID, k.Name, k.Kind, k.Person, k.Project, k.Right, moment(k.CreatedAt), moment(k.ExpiresAt), moment(k.LastUsedAt))
					}
					t.flush()
				})
			})
		},
	}
}

func (c *cli) tokenRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID", Short: "End a token at once", Example: "  holdfast token revoke tok_0123", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				if err := client.RevokeToken(cmd.Context(), args[0]); err != nil {
					return err
				}
				return c.say("token %s is revoked", args[0])
			})
		},
	}
}
