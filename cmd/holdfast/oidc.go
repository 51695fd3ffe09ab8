package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) oidcCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "oidc", Short: "Let people sign in with an OpenID Connect provider",
		Example: "  holdfast oidc set --name 'Example Inc.' --issuer https://login.example.com --client-id holdfast < secret\n  holdfast oidc show"}
	cmd.AddCommand(c.oidcSetCommand(), c.oidcShowCommand(), c.oidcRemoveCommand())
	return cmd
}

func (c *cli) oidcSetCommand() *cobra.Command {
	var ask api.OIDCChange
	var keep bool
	cmd := &cobra.Command{
		Use: "set", Short: "Name the provider", Args: cobra.NoArgs,
		Long: `Names the provider that people may sign in with besides their passwords, after it was asked for its description. Its client secret is asked for, or
read from standard input where that is no terminal. The provider has to know the redirect URL that oidc show tells.

Nobody gets in by having an account there alone: the provider has to verify an e-mail address that an admin wrote to a person (user email) or into
an invitation (user invite --email).`,
		Example: "  holdfast oidc set --name 'Example Inc.' --issuer https://login.example.com --client-id holdfast < secret\n  holdfast oidc set --name Staff --issuer https://login.example.com --client-id holdfast --keep-secret",
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if !keep {
				if ask.ClientSecret, err = c.askSecret("client secret of " + ask.ClientID + ": "); err != nil {
					return err
				}
			}
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				set, err := client.SetOIDC(cmd.Context(), ask)
				if err != nil {
					return err
				}
				return c.showOIDC(set)
			})
		},
	}
	cmd.Flags().StringVar(&ask.Name, "name", "", "what the button says: the provider as people know it")
	cmd.Flags().StringVar(&ask.Issuer, "issuer", "", "the address by which the provider calls itself, with https://")
	cmd.Flags().StringVar(&ask.ClientID, "client-id", "", "what this server is called at the provider")
	cmd.Flags().BoolVar(&keep, "keep-secret", false, "keep the client secret that is set; the issuer stays the same")
	for _, name := range []string{"name", "issuer", "client-id"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err)
		}
	}
	return cmd
}

func (c *cli) oidcShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "Show the provider, without its secret", Example: "  holdfast oidc show", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				set, err := client.OIDC(cmd.Context())
				if err != nil {
					return err
				}
				return c.showOIDC(set)
			})
		},
	}
}

func (c *cli) showOIDC(o api.OIDC) error {
	return c.show(o, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %s, as %s\nthe provider sends people back to %s\n", printable(o.Name), o.Issuer, printable(o.ClientID), o.RedirectURL)
	})
}

func (c *cli) oidcRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "remove", Aliases: []string{"rm"}, Short: "Let people sign in with passwords only", Example: "  holdfast oidc remove", Args: cobra.NoArgs,
		Long: "Lets people sign in with passwords only. Who has none needs a link for one: user reset-link.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				if err := client.RemoveOIDC(cmd.Context()); err != nil {
					return err
				}
				return c.say("people sign in with passwords only")
			})
		},
	}
}

func (c *cli) userEmailCommand() *cobra.Command {
	return &cobra.Command{
		Use: "email NAME [ADDRESS]", Short: "Write or take the address by which the provider means somebody", Args: cobra.RangeArgs(1, 2),
		Long: `Writes the e-mail address by which the OpenID Connect provider is believed to mean somebody, or takes it away. The first who signs in there with this
address, verified, is that person from then on; whoever was meant before no longer is. Nothing is sent to the address.`,
		Example: "  holdfast user email ann ann@example.com\n  holdfast user email ann",
		RunE: func(cmd *cobra.Command, args []string) error {
			email := first(args[1:])
			return c.changePerson(cmd, args[0], api.PersonChange{Email: &email})
		},
	}
}
