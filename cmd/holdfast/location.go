package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) locationCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "location", Aliases: []string{"locations"}, Short: "See and set where a project's history is kept",
		Example: "  holdfast location list shop\n  holdfast location add shop offsite --s3 s3.example.com --bucket backups --access-key KEY --encrypt"}
	cmd.AddCommand(c.locationListCommand(), c.locationAddCommand(), c.locationTestCommand(), c.locationRemoveCommand(), c.locationKeysCommand())
	return cmd
}

func (c *cli) locationListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list [PROJECT]", Aliases: []string{"ls"}, Short: "List where a project's history is kept", Example: "  holdfast location list shop", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onProject(cmd, first(args), func(client *api.Client, project string) error {
				locations, err := client.Locations(cmd.Context(), project)
				if err != nil {
					return err
				}
				return showList(c, locations, func(w io.Writer) {
					t := newTable(w, "LOCATION", "KIND", "WHERE", "ENCRYPTED")
					for _, l := range locations {
						where := l.Folder
						if l.Kind == string(holdfast.S3Location) {
							where = strings.TrimSuffix(l.Endpoint+"/"+l.Bucket+"/"+l.Prefix, "/")
						}
						t.row(l.Name, l.Kind, where, yes(l.Encrypt))
					}
					t.flush()
				})
			})
		},
	}
}

// onProject runs do with a client and the project's name.
func (c *cli) onProject(cmd *cobra.Command, arg string, do func(*api.Client, string) error) error {
	return c.withClient(cmd.Context(), func(client *api.Client) error {
		project, err := c.project(arg)
		if err != nil {
			return err
		}
		return do(client, project)
	})
}

func locationFlags(cmd *cobra.Command, l *api.Location) {
	cmd.Flags().StringVar(&l.Folder, "folder", "", "a folder on this machine, for example of an external disk")
	cmd.Flags().StringVar(&l.Endpoint, "s3", "", "the endpoint of an S3-compatible server, as host or host:port")
	cmd.Flags().StringVar(&l.Bucket, "bucket", "", "the bucket that all objects lie in")
	cmd.Flags().StringVar(&l.Prefix, "prefix", "", "below which all objects lie")
	cmd.Flags().StringVar(&l.Region, "region", "", "asked from the server when left out")
	cmd.Flags().StringVar(&l.AccessKey, "access-key", "", "its secret key is asked for, or read from standard input")
	cmd.Flags().BoolVar(&l.PathStyle, "path-style", false, "the bucket is in the path, as most servers outside Amazon want it")
	cmd.Flags().BoolVar(&l.Insecure, "insecure", false, "plain HTTP: for this machine or a trusted network only")
	cmd.Flags().BoolVar(&l.Encrypt, "encrypt", false, "encrypt with the project's key before anything leaves this machine")
	cmd.Flags().IntVar(&l.LockDays, "lock-days", 0, "for so many days the bucket destroys a backup for nobody, us included; it must have been made with object lock")
	cmd.MarkFlagsMutuallyExclusive("folder", "s3")
	cmd.MarkFlagsOneRequired("folder", "s3")
}

// complete fills in what the flags leave open.
func (c *cli) completeLocation(l *api.Location, name string) error {
	l.Name, l.Kind = name, string(holdfast.FolderLocation)
	if l.Endpoint == "" {
		return nil
	}
	l.Kind = string(holdfast.S3Location)
	var err error
	l.Secret, err = c.askSecret("secret key of " + l.AccessKey + ": ")
	return err
}

func (c *cli) locationAddCommand() *cobra.Command {
	var l api.Location
	cmd := &cobra.Command{
		Use: "add PROJECT NAME", Short: "Keep a project's history at a further place", Long: "Keep a project's history at a further place.\n\nThe place is tried out first. Everything goes to every place, and counts only when each one has it.",
		Example: "  holdfast location add shop disk --folder /mnt/backup/holdfast\n  holdfast location add shop offsite --s3 s3.example.com --bucket backups --access-key KEY --encrypt < secret\n  holdfast location add shop vault --s3 s3.example.com --bucket locked --access-key KEY --lock-days 30 < secret",
		Args:    cobra.ExactArgs(2), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.completeLocation(&l, args[1]); err != nil {
				return err
			}
			return c.onProject(cmd, args[0], func(client *api.Client, project string) error {
				if err := client.AddLocation(cmd.Context(), project, l); err != nil {
					return err
				}
				if l.Encrypt {
					return c.say("history of %s goes to %s too. Keep the output of `holdfast location keys %s` elsewhere: without it nobody can read what lies there", project, l.Name, project)
				}
				return c.say("history of %s goes to %s too", project, l.Name)
			})
		},
	}
	locationFlags(cmd, &l)
	return cmd
}

func (c *cli) locationTestCommand() *cobra.Command {
	var l api.Location
	cmd := &cobra.Command{
		Use: "test PROJECT NAME", Short: "Try a place out; adds nothing", Example: "  holdfast location test shop offsite --s3 s3.example.com --bucket backups --access-key KEY < secret", Args: cobra.ExactArgs(2), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.completeLocation(&l, args[1]); err != nil {
				return err
			}
			return c.onProject(cmd, args[0], func(client *api.Client, project string) error {
				result, err := client.TestLocation(cmd.Context(), project, l)
				if err != nil {
					return err
				}
				if err := c.show(result, func(w io.Writer) { fmt.Fprintln(w, strings.Join(result.Steps, "\n")) }); err != nil {
					return err
				}
				if !result.OK {
					return &holdfast.Error{Kind: holdfast.Precondition, Message: "the location " + l.Name + " cannot be used", Hint: result.Hint}
				}
				return nil
			})
		},
	}
	locationFlags(cmd, &l)
	return cmd
}

func (c *cli) locationRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "remove PROJECT NAME", Aliases: []string{"rm"}, Short: "Forget a place; what lies there stays", Example: "  holdfast location remove shop disk", Args: cobra.ExactArgs(2), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onProject(cmd, args[0], func(client *api.Client, project string) error {
				if err := client.RemoveLocation(cmd.Context(), project, args[1]); err != nil {
					return err
				}
				return c.say("history of %s goes to %s no more", project, args[1])
			})
		},
	}
}

func (c *cli) locationKeysCommand() *cobra.Command {
	var rotate bool
	cmd := &cobra.Command{
		Use: "keys [PROJECT]", Short: "Show or rotate the keys that a project's history is encrypted with", Long: "Show or rotate the keys that a project's history is encrypted with.\n\nThey are age keys: the stock age tool reads what lies at an encrypted location with them. Keep them elsewhere.",
		Example: "  holdfast location keys shop\n  holdfast location keys shop --rotate", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onProject(cmd, first(args), func(client *api.Client, project string) error {
				if rotate {
					if err := client.RotateRepositoryKey(cmd.Context(), project); err != nil {
						return err
					}
				}
				keys, err := client.RepositoryKeys(cmd.Context(), project)
				if err != nil {
					return err
				}
				return showList(c, keys, func(w io.Writer) { fmt.Fprintln(w, strings.Join(keys, "\n\n")) })
			})
		},
	}
	cmd.Flags().BoolVar(&rotate, "rotate", false, "make a new key first; what was written before stays readable with the old one")
	return cmd
}
