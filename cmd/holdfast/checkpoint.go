package main

import (
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) checkpointCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "checkpoint", Aliases: []string{"checkpoints"}, Short: "Name moments of a branch and see them",
		Example: "  holdfast checkpoint create shop/production --label \"before import\"\n  holdfast checkpoint list shop/production"}
	cmd.AddCommand(c.checkpointCreateCommand(), c.checkpointListCommand(), c.checkpointShowCommand(), c.checkpointPinCommand(), c.checkpointDeleteCommand())
	return cmd
}

func (c *cli) checkpointCreateCommand() *cobra.Command {
	var ask api.NewCheckpoint
	cmd := &cobra.Command{
		Use: "create [PROJECT/BRANCH]", Short: "Name the present moment of a branch", Long: "Name the present moment of a branch.\n\nIt takes milliseconds whatever the size. Without --code the commit is read from the git checkout that holds the link file .holdfast.",
		Example: "  holdfast checkpoint create shop/production --label \"before import\" --code v1.4", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			if ask.Code == "" {
				ask.Code = c.checkedOut(cmd)
			}
			return c.onBranch(cmd.Context(), args, func(client *api.Client, ref holdfast.BranchRef) error {
				p, err := client.CreateCheckpoint(cmd.Context(), ref, ask)
				if err != nil {
					return err
				}
				return c.show(p, func(w io.Writer) {
					fmt.Fprintf(w, "checkpoint %s of %s at %s\n", p.ID, ref, p.LSN)
					if p.Lost != "" {
						fmt.Fprintf(w, "its moment cannot be restored: %s\n", p.Lost)
					}
				})
			})
		},
	}
	cmd.Flags().StringVar(&ask.Label, "label", "", "what the moment is, for people")
	cmd.Flags().StringVar(&ask.Code, "code", "", "the commit of the code that belongs to it")
	cmd.Flags().BoolVar(&ask.Pinned, "pin", false, "keep it until it is unpinned")
	return cmd
}

// checkedOut is the commit of the git checkout that holds the link file; "" when there is none.
func (c *cli) checkedOut(cmd *cobra.Command) string {
	_, path, err := findLink()
	if err != nil || path == "" {
		return ""
	}
	out, err := exec.CommandContext(cmd.Context(), "git", "-C", filepath.Dir(path), "rev-parse", "HEAD").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func (c *cli) checkpointListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list [PROJECT/BRANCH]", Aliases: []string{"ls"}, Short: "List a branch's checkpoints", Example: "  holdfast checkpoint list shop/production", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onBranch(cmd.Context(), args, func(client *api.Client, ref holdfast.BranchRef) error {
				checkpoints, err := client.Checkpoints(cmd.Context(), ref)
				if err != nil {
					return err
				}
				return showList(c, checkpoints, func(w io.Writer) {
					t := newTable(w, "CHECKPOINT", "AT", "REASON", "LABEL", "CODE", "KEPT")
					for _, p := range checkpoints {
						t.row(p.ID, moment(p.At), p.Reason, p.Label, p.Code, keptFor(p))
					}
					t.flush()
				})
			})
		},
	}
}

func (c *cli) checkpointShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show PROJECT/BRANCH CHECKPOINT", Short: "Show a checkpoint", Example: "  holdfast checkpoint show shop/production 20261120T140311123Z-1a2b3c4d", Args: cobra.ExactArgs(2), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onBranch(cmd.Context(), args[:1], func(client *api.Client, ref holdfast.BranchRef) error {
				p, err := client.Checkpoint(cmd.Context(), ref, args[1])
				if err != nil {
					return err
				}
				return c.show(p, func(w io.Writer) {
					t := newTable(w, "checkpoint", p.ID)
					t.row("at", p.At.Local().Format("2006-01-02 15:04:05.000 MST"))
					t.row("WAL position", fmt.Sprintf("%s on timeline %d", p.LSN, p.Timeline))
					t.row("reason", p.Reason)
					t.row("label", p.Label)
					t.row("code", p.Code)
					t.row("schema", p.SchemaFingerprint)
					t.row("kept", keptFor(p))
					t.flush()
				})
			})
		},
	}
}

// keptFor says how long a checkpoint is kept and, where that is so, that there is nothing behind it.
func keptFor(p api.Checkpoint) string {
	switch {
	case p.Lost != "":
		return "cannot be restored: " + p.Lost
	case p.Pinned:
		return "pinned"
	case p.KeptUntil.After(time.Now()):
		return "until " + p.KeptUntil.Local().Format(time.DateOnly)
	}
	return "with the history"
}

func (c *cli) checkpointPinCommand() *cobra.Command {
	var off bool
	cmd := &cobra.Command{
		Use: "pin PROJECT/BRANCH CHECKPOINT", Short: "Keep a checkpoint until it is unpinned", Example: "  holdfast checkpoint pin shop/production 20261120T140311123Z-1a2b3c4d", Args: cobra.ExactArgs(2), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onBranch(cmd.Context(), args[:1], func(client *api.Client, ref holdfast.BranchRef) error {
				if err := client.PinCheckpoint(cmd.Context(), ref, args[1], !off); err != nil {
					return err
				}
				if off {
					return c.say("checkpoint %s is unpinned", args[1])
				}
				return c.say("checkpoint %s is pinned", args[1])
			})
		},
	}
	cmd.Flags().BoolVar(&off, "off", false, "unpin it")
	return cmd
}

func (c *cli) checkpointDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use: "delete PROJECT/BRANCH CHECKPOINT", Aliases: []string{"rm"}, Short: "Forget a checkpoint", Long: "Forget a checkpoint.\n\nThe moment itself can be restored as long as the history reaches back to it.",
		Example: "  holdfast checkpoint delete shop/production 20261120T140311123Z-1a2b3c4d", Args: cobra.ExactArgs(2), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onBranch(cmd.Context(), args[:1], func(client *api.Client, ref holdfast.BranchRef) error {
				if err := client.DeleteCheckpoint(cmd.Context(), ref, args[1]); err != nil {
					return err
				}
				return c.say("checkpoint %s is forgotten", args[1])
			})
		},
	}
}
