package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

// linkFile ties a directory, and those below it, to a branch.
const linkFile = ".holdfast"

// link is the content of a link file.
type link struct {
	Branch string `toml:"branch"`
	Server string `toml:"server,omitempty"` // the name of a login
}

// findLink looks for a link file here and in the directories above. Finding none is no error: the path is empty then.
func findLink() (link, string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return link{}, "", fmt.Errorf("find the link file: %w", err)
	}
	for {
		path := filepath.Join(dir, linkFile)
		raw, err := os.ReadFile(path)
		if err == nil {
			l, err := parseLink(path, raw)
			return l, path, err
		}
		// A directory of that name, or one we may not look into, is not a link file.
		parent := filepath.Dir(dir)
		if parent == dir {
			return link{}, "", nil
		}
		dir = parent
	}
}

func parseLink(path string, raw []byte) (link, error) {
	var l link
	decoder := toml.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&l); err != nil {
		return l, &holdfast.Error{Kind: holdfast.Invalid, Message: path + " is not a link file", Hint: "write it anew with `holdfast link PROJECT/BRANCH`", Cause: err}
	}
	if _, err := holdfast.ParseBranchRef(l.Branch); err != nil {
		return l, fmt.Errorf("%s: %w", path, err)
	}
	return l, nil
}

// ref is the branch that an argument names, or the link file when there is none. An argument without a slash is a branch of the
// linked project.
func (c *cli) ref(arg string) (holdfast.BranchRef, error) {
	if strings.Contains(arg, "/") {
		return holdfast.ParseBranchRef(arg)
	}
	l, path, err := findLink()
	if err != nil {
		return holdfast.BranchRef{}, err
	}
	switch {
	case path == "" && arg == "":
		return holdfast.BranchRef{}, &usageError{err: errors.New("no branch was named"), hint: "write PROJECT/BRANCH, or link this directory with `holdfast link PROJECT/BRANCH`"}
	case path == "":
		_, err := holdfast.ParseBranchRef(arg)
		return holdfast.BranchRef{}, err
	case arg == "":
		return holdfast.ParseBranchRef(l.Branch)
	}
	linked, err := holdfast.ParseBranchRef(l.Branch)
	if err != nil {
		return linked, err
	}
	return holdfast.ParseBranchRef(linked.Project + "/" + arg)
}

// project is the project that an argument names, or the link file when there is none.
func (c *cli) project(arg string) (string, error) {
	if arg != "" {
		return arg, nil
	}
	l, path, err := findLink()
	if err != nil {
		return "", err
	}
	if path == "" {
		return "", &usageError{err: errors.New("no project was named"), hint: "name it, or link this directory with `holdfast link PROJECT/BRANCH`"}
	}
	ref, err := holdfast.ParseBranchRef(l.Branch)
	return ref.Project, err
}

func (c *cli) linkCommand() *cobra.Command {
	var remove, agent bool
	cmd := &cobra.Command{
		Use:   "link [PROJECT/BRANCH]",
		Short: "Tie this directory to a branch",
		Long: `Writes the file .holdfast into this directory. In it and below, commands that take a branch work with this one when none is named, and
a name without a slash is a branch of its project. The file holds no secret and can be committed.

Without an argument it shows the link that holds here.

With --agent it writes one line of JSON and never asks: {"state", "branch", "file", "message", "choices", "next"}. Do what "next" says and run it again
until the state is "linked". The other states are server_missing, login_needed, project_needed, branch_needed and production_refused. Without a branch it
takes the link that holds, or the only development branch there is.`,
		Example: `  holdfast link shop/development
  holdfast env
  holdfast psql production
  holdfast link --remove
  holdfast link --agent`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case agent:
				return c.linkForAgent(cmd.Context(), first(args))
			case remove:
				if err := os.Remove(linkFile); errors.Is(err, fs.ErrNotExist) {
					return &holdfast.Error{Kind: holdfast.NotFound, Message: "this directory has no link of its own"}
				} else if err != nil {
					return fmt.Errorf("remove the link: %w", err)
				}
				return c.say("this directory is linked no more")
			case len(args) == 0:
				return c.showLink()
			}
			return c.onBranch(cmd.Context(), args, func(client *api.Client, ref holdfast.BranchRef) error {
				if _, err := client.Branch(cmd.Context(), ref); err != nil {
					return err
				}
				if err := c.writeLink(ref); err != nil {
					return err
				}
				return c.say("this directory is linked to %s", ref)
			})
		},
	}
	cmd.Flags().BoolVar(&remove, "remove", false, "remove this directory's link")
	cmd.Flags().BoolVar(&agent, "agent", false, "for a coding agent: say in JSON how far it is and what to do next")
	cmd.MarkFlagsMutuallyExclusive("remove", "agent")
	return cmd
}

func (c *cli) writeLink(ref holdfast.BranchRef) error {
	raw, err := toml.Marshal(link{Branch: ref.String(), Server: c.server})
	if err != nil {
		return err
	}
	return writeFile(linkFile, append([]byte("# Which Holdfast branch this directory works with; see `holdfast link --help`.\n"), raw...), 0o644)
}

func (c *cli) showLink() error {
	l, path, err := findLink()
	if err != nil {
		return err
	}
	if path == "" {
		return &holdfast.Error{Kind: holdfast.NotFound, Message: "this directory is not linked", Hint: "link it with `holdfast link PROJECT/BRANCH`"}
	}
	return c.say("%s, by %s", l.Branch, path)
}
