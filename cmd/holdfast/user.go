package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) userCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "user", Aliases: []string{"users"}, Short: "Look after the people who sign in", Example: "  holdfast user invite --project shop --role developer\n  holdfast user list"}
	cmd.AddCommand(c.userListCommand(), c.userCreateCommand(), c.userInviteCommand(), c.userJoinCommand(), c.userResetLinkCommand(), c.userAdminCommand(), c.userLogoutCommand(),
		c.userSwitchCommand("disable", "Let somebody sign in no more; sessions end and tokens stop", true), c.userSwitchCommand("enable", "Let somebody sign in again", false),
		c.userForgetCodeCommand(), c.userEmailCommand(), c.userDeleteCommand())
	return cmd
}

func (c *cli) userListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List everybody who can sign in", Example: "  holdfast user list", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				people, err := client.People(cmd.Context())
				if err != nil {
					return err
				}
				return showList(c, people, func(w io.Writer) {
					t := newTable(w, "NAME", "E-MAIL", "ADMIN", "CODE", "DISABLED", "CREATED", "LAST LOGIN")
					for _, p := range people {
						t.row(p.Name, p.Email, yes(p.Admin), yes(p.OneTimeCode), yes(p.Disabled), moment(p.CreatedAt), moment(p.LastLoginAt))
					}
					t.flush()
				})
			})
		},
	}
}

func (c *cli) userCreateCommand() *cobra.Command {
	var ask api.NewPerson
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Add somebody with a password", Args: cobra.ExactArgs(1),
		Long: `Adds somebody who can sign in. The password is asked for, or read from standard input where that is no terminal. With holdfast user invite
people choose their own.`,
		Example: "  holdfast user create ann\n  holdfast user create ann --admin < password.txt",
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			ask.Name = args[0]
			if ask.Password, err = c.askSecret("password for " + ask.Name + ": "); err != nil {
				return err
			}
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				made, err := client.CreatePerson(cmd.Context(), ask)
				if err != nil {
					return err
				}
				return c.show(made, func(w io.Writer) { fmt.Fprintf(w, "%s can sign in\n", printable(made.Name)) })
			})
		},
	}
	cmd.Flags().BoolVar(&ask.Admin, "admin", false, "make an admin of the server")
	cmd.Flags().StringVar(&ask.Email, "email", "", "the address by which the OpenID Connect provider means this person")
	return cmd
}

func (c *cli) userInviteCommand() *cobra.Command {
	var project, expires, email string
	var role api.MemberRole
	var asAdmin bool
	cmd := &cobra.Command{
		Use: "invite", Short: "Make a one-time link for somebody new", Args: cobra.NoArgs,
		Long:    "Makes a link by which somebody new chooses a name and a password. It works once. An admin of a project can invite to that project.",
		Example: "  holdfast user invite --project shop --role developer\n  holdfast user invite --admin --expires 1d",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var seconds int64
			if expires != "" {
				d, err := parseSpan(expires)
				if err != nil {
					return err
				}
				seconds = int64(d.Seconds())
			}
			return c.withClient(cmd.Context(), func(client *api.Client) (err error) {
				var made api.Link
				if project != "" {
					made, err = client.InviteTo(cmd.Context(), project, api.NewProjectInvitation{MemberRole: role, Email: email, ExpiresIn: seconds})
					err = suggestProject(cmd.Context(), client, project, err)
				} else {
					made, err = client.Invite(cmd.Context(), api.NewInvitation{Admin: asAdmin, Email: email, ExpiresIn: seconds})
				}
				if err != nil {
					return err
				}
				return c.showJoinLink(client, made)
			})
		},
	}
	cmd.Flags().StringVar(&project, "project", "", "the project to invite to")
	cmd.Flags().StringVar(&role.Role, "role", string(holdfast.Developer), "viewer, developer, admin or owner of the project")
	cmd.Flags().BoolVar(&role.ProductionRows, "production-rows", false, "grant the sight of production's rows")
	cmd.Flags().BoolVar(&asAdmin, "admin", false, "invite an admin of the server")
	cmd.Flags().StringVar(&email, "email", "", "whoever has this address at the OpenID Connect provider gets in without the link as well")
	cmd.Flags().StringVar(&expires, "expires", "", "how long the link works, as 12h or 3d (default: 7d)")
	cmd.MarkFlagsMutuallyExclusive("project", "admin")
	return cmd
}

// showJoinLink prints the whole link, which is all that its reader needs.
func (c *cli) showJoinLink(client *api.Client, made api.Link) error {
	if !c.json {
		fmt.Fprintf(c.errOut, "this link works once, until %s:\n", moment(made.Invitation.ExpiresAt))
	}
	return c.show(made, func(w io.Writer) { fmt.Fprintln(w, client.URL()+made.Path) })
}

func (c *cli) userJoinCommand() *cobra.Command {
	return &cobra.Command{
		Use: "join LINK [NAME]", Short: "Redeem a one-time link: sign in for the first time, or set a new password", Args: cobra.RangeArgs(1, 2),
		Long: `Redeems an invitation, for which a name is needed, or a link for a new password. The password is asked for, or read from standard input
where that is no terminal. holdfast login --user signs in afterwards.`,
		Example: "  holdfast user join 'https://db.example.com/join#hf_invite_...' ann",
		RunE: func(cmd *cobra.Command, args []string) error {
			address, secret, found := strings.Cut(args[0], api.JoinPagePath+"#")
			if !found || secret == "" {
				return usage(cmd, errors.New("that is not such a link: it ends in /join# and a secret"))
			}
			client, err := api.NewClient(address, "", "holdfast-cli/"+version)
			if err != nil {
				return err
			}
			defer client.Close()
			ask := api.Join{Secret: secret}
			if len(args) > 1 {
				ask.Name = args[1]
			}
			if ask.Password, err = c.askSecret("new password: "); err != nil {
				return err
			}
			in, err := client.Join(cmd.Context(), ask)
			if err != nil {
				return err
			}
			return c.say("%s can sign in: holdfast login --url %s --user %s", printable(in.You.Name), client.URL(), printable(in.You.Name))
		},
	}
}

func (c *cli) userResetLinkCommand() *cobra.Command {
	return &cobra.Command{
		Use: "reset-link NAME", Short: "Make a one-time link by which somebody sets a new password", Example: "  holdfast user reset-link ann", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				made, err := client.ResetLink(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return c.showJoinLink(client, made)
			})
		},
	}
}

func (c *cli) userAdminCommand() *cobra.Command {
	var no bool
	cmd := &cobra.Command{
		Use: "admin NAME", Short: "Make somebody an admin of the server, or not", Example: "  holdfast user admin ann\n  holdfast user admin ann --no", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			is := !no
			return c.changePerson(cmd, args[0], api.PersonChange{Admin: &is})
		},
	}
	cmd.Flags().BoolVar(&no, "no", false, "take it back")
	return cmd
}

func (c *cli) userSwitchCommand(name, short string, disabled bool) *cobra.Command {
	return &cobra.Command{
		Use: name + " NAME", Short: short, Example: "  holdfast user " + name + " ann", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.changePerson(cmd, args[0], api.PersonChange{Disabled: &disabled})
		},
	}
}

func (c *cli) userForgetCodeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "forget-code NAME", Short: "Forget the authenticator of somebody who lost it", Example: "  holdfast user forget-code ann", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.changePerson(cmd, args[0], api.PersonChange{NoCode: true})
		},
	}
}

func (c *cli) changePerson(cmd *cobra.Command, name string, change api.PersonChange) error {
	return c.withClient(cmd.Context(), func(client *api.Client) error {
		p, err := client.ChangePerson(cmd.Context(), name, change)
		if err != nil {
			return err
		}
		return c.show(p, func(w io.Writer) {
			fmt.Fprintf(w, "%s: admin %t, disabled %t, code %t\n", printable(p.Name), p.Admin, p.Disabled, p.OneTimeCode)
		})
	})
}

func (c *cli) userLogoutCommand() *cobra.Command {
	return &cobra.Command{
		Use: "logout NAME", Short: "End every session of somebody", Example: "  holdfast user logout ann", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				if err := client.EndSessions(cmd.Context(), args[0]); err != nil {
					return err
				}
				return c.say("%s is signed out everywhere", args[0])
			})
		},
	}
}

func (c *cli) userDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Remove somebody with all roles, sessions and tokens", Example: "  holdfast user delete ann", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				if err := client.DeletePerson(cmd.Context(), args[0]); err != nil {
					return err
				}
				return c.say("%s is gone", args[0])
			})
		},
	}
}

func (c *cli) memberCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "member", Aliases: []string{"members"}, Short: "Say what people are to a project", Example: "  holdfast member set shop ann --role developer\n  holdfast member list shop"}
	cmd.AddCommand(c.memberListCommand(), c.memberSetCommand(), c.memberRemoveCommand())
	return cmd
}

func (c *cli) memberListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list [PROJECT]", Aliases: []string{"ls"}, Short: "List who has a role in a project", Example: "  holdfast member list shop", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			project, err := c.project(first(args))
			if err != nil {
				return err
			}
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				members, err := client.Members(cmd.Context(), project)
				if err != nil {
					return suggestProject(cmd.Context(), client, project, err)
				}
				return showList(c, members, func(w io.Writer) {
					t := newTable(w, "NAME", "ROLE", "PRODUCTION ROWS", "DISABLED", "SINCE")
					for _, m := range members {
						t.row(m.Name, m.Role, yes(m.ProductionRows), yes(m.Disabled), moment(m.CreatedAt))
					}
					t.flush()
				})
			})
		},
	}
}

func (c *cli) memberSetCommand() *cobra.Command {
	var role api.MemberRole
	cmd := &cobra.Command{
		Use: "set PROJECT NAME", Short: "Give somebody a role in a project", Args: cobra.ExactArgs(2),
		Long: `Gives somebody who can sign in a role in a project, or another one: viewer (sees states and development's rows), developer (all of development
and previews), admin (production too), owner (the project itself). Production's rows are shown to admins and owners, and to whom they are
granted.`,
		Example: "  holdfast member set shop ann --role developer\n  holdfast member set shop ann --role viewer --production-rows",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				if err := client.SetMember(cmd.Context(), args[0], args[1], role); err != nil {
					return err
				}
				return c.say("%s is %s of %s", args[1], role.Role, args[0])
			})
		},
	}
	cmd.Flags().StringVar(&role.Role, "role", string(holdfast.Developer), "viewer, developer, admin or owner")
	cmd.Flags().BoolVar(&role.ProductionRows, "production-rows", false, "grant the sight of production's rows")
	return cmd
}

func (c *cli) memberRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "remove PROJECT NAME", Short: "Take somebody's role in a project away", Example: "  holdfast member remove shop ann", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				if err := client.RemoveMember(cmd.Context(), args[0], args[1]); err != nil {
					return err
				}
				return c.say("%s has no role in %s any more", args[1], args[0])
			})
		},
	}
}

// loginPerson signs a person in with a password, and a code where that is asked for, and returns a token of that person.
func (c *cli) loginPerson(cmd *cobra.Command, address, name string) (login, error) {
	if address == "" {
		address = c.env.URL
	}
	if address == "" {
		return login{}, usage(cmd, errors.New("--url is missing"))
	}
	client, err := api.NewClient(strings.TrimRight(address, "/"), "", "holdfast-cli/"+version)
	if err != nil {
		return login{}, err
	}
	defer client.Close()
	if u, err := url.Parse(address); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		fmt.Fprintf(c.errOut, "warning: tokens and passwords travel to %s unencrypted; use https\n", u.Host)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "this machine"
	}
	ask := api.Login{Name: name, TokenName: "command line on " + host}
	if ask.Password, err = c.askSecret("password: "); err != nil {
		return login{}, err
	}
	in, err := client.Login(cmd.Context(), ask)
	if holdfast.KindOf(err) == holdfast.Precondition {
		if ask.Code, err = c.askSecret("code of the authenticator: "); err != nil {
			return login{}, err
		}
		in, err = client.Login(cmd.Context(), ask)
	}
	return login{URL: client.URL(), Token: in.Token}, err
}
