package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

// cli is one run of the program: where it reads and writes, and what the flags of every command say.
type cli struct {
	in          *os.File
	out, errOut io.Writer
	env         environment

	// Flags that every client command has.
	server string // a login's name
	data   string // a local data directory
	json   bool
	lines  bool // JSON without indentation, a list's items each in a line: an agent reads it

	running bool // the command line was understood; errors from now on are not about its form
}

func newRoot(c *cli) *cobra.Command {
	root := &cobra.Command{
		Use:   "holdfast",
		Short: "PostgreSQL environments on your own machine",
		Long: `Holdfast keeps PostgreSQL environments on your own machine: projects with a development and a production database, behind one front
door, asleep when idle.

Commands speak to a server (holdfast serve). They find it by HOLDFAST_URL and HOLDFAST_TOKEN, else by the link file's or the current
login, else in the local data directory.`,
		Example: `  holdfast project create shop
  holdfast env shop/development
  holdfast psql shop/development`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE:          c.unknownSubcommand,
		PersistentPreRun: func(cmd *cobra.Command, _ []string) {
			c.running = true
			c.writeForAgents(cmd.Flags().Changed("json"))
		},
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
	}
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.errOut)
	root.PersistentFlags().StringVar(&c.server, "server", "", "the login to use (see holdfast login --list)")
	root.PersistentFlags().StringVar(&c.data, "data", "", "the data directory of a server on this machine")
	root.PersistentFlags().BoolVar(&c.json, "json", false, "write JSON")
	root.AddCommand(c.backupCommand(), c.syncCommand(), c.scheduleCommand(), c.importCommand(), c.exportCommand())
	root.AddCommand(
		c.projectCommand(), c.branchCommand(), c.envCommand(), c.runCommand(), c.psqlCommand(), c.credentialsCommand(),
		c.wakeCommand(), c.sleepCommand(), c.restartCommand(), c.extensionCommand(), c.maskCommand(), c.historyCommand(), c.restoreCommand(), c.checkpointCommand(), c.publishCommand(), c.schemaCommand(), c.locationCommand(), c.jobCommand(), c.tokenCommand(), c.userCommand(), c.memberCommand(), c.oidcCommand(), c.auditCommand(),
		c.loginCommand(), c.logoutCommand(), c.linkCommand(), c.serveCommand(), c.recoverCommand(), c.volumeCommand(), c.doctorCommand(), c.versionCommand(),
	)
	root.AddCommand(c.sqlCommand(), c.rescueCommand(), c.undeleteCommand(), c.mcpCommand(), c.undoCommand(), c.monitorCommand())
	root.AddCommand(c.alertCommand(), c.statusCommand(), c.usageCommand())
	c.tidy(root)
	return root
}

// tidy gives every command what cobra leaves out: usage errors are told from others, and a group refuses a subcommand that it
// does not have.
func (c *cli) tidy(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(cmd, err) })
	if cmd.HasSubCommands() && cmd.RunE == nil && cmd.Run == nil {
		cmd.Args = cobra.ArbitraryArgs
		cmd.RunE = c.unknownSubcommand
	}
	if args := cmd.Args; args != nil {
		cmd.Args = func(cmd *cobra.Command, given []string) error {
			if err := args(cmd, given); err != nil {
				return usage(cmd, err)
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		c.tidy(sub)
	}
}

func usage(cmd *cobra.Command, err error) error {
	return &usageError{err: err, hint: fmt.Sprintf("`%s --help` shows how", cmd.CommandPath())}
}

// unknownSubcommand is what a group does by itself: help when nothing was asked, an error with near names otherwise.
func (c *cli) unknownSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	e := &usageError{err: fmt.Errorf("%s has no command %q", cmd.CommandPath(), args[0]), hint: fmt.Sprintf("`%s --help` lists them", cmd.CommandPath())}
	if near := nearest(args[0], names); near != "" {
		e.hint = fmt.Sprintf("did you mean `%s %s`?", cmd.CommandPath(), near)
	}
	return e
}

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Show the version", Args: cobra.NoArgs, Example: "  holdfast version",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.show(map[string]string{"version": version}, func(w io.Writer) { fmt.Fprintln(w, "holdfast", version) })
		}}
}

// withClient runs do with a client of the server that the command line means.
func (c *cli) withClient(ctx context.Context, do func(*api.Client) error) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	return do(client)
}

// onBranch runs do with a client and the branch that an argument or the link file names. A branch that does not exist is answered
// with the names of near ones.
func (c *cli) onBranch(ctx context.Context, args []string, do func(*api.Client, holdfast.BranchRef) error) error {
	ref, err := c.ref(first(args))
	if err != nil {
		return err
	}
	return c.withClient(ctx, func(client *api.Client) error {
		return suggestBranch(ctx, client, ref, do(client, ref))
	})
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// suggestBranch adds to a NotFound which branch may have been meant.
func suggestBranch(ctx context.Context, client *api.Client, ref holdfast.BranchRef, err error) error {
	if holdfast.KindOf(err) != holdfast.NotFound || holdfast.HintOf(err) != "" {
		return err
	}
	projects, listErr := client.Projects(ctx)
	if listErr != nil {
		return err
	}
	var names []string
	for _, p := range projects {
		for _, b := range p.Branches {
			names = append(names, b.Ref().String())
		}
	}
	return suggest(err, ref.String(), names, "`holdfast branch list` shows what there is")
}

// suggestProject adds to a NotFound which project may have been meant.
func suggestProject(ctx context.Context, client *api.Client, name string, err error) error {
	if holdfast.KindOf(err) != holdfast.NotFound || holdfast.HintOf(err) != "" {
		return err
	}
	projects, listErr := client.Projects(ctx)
	if listErr != nil {
		return err
	}
	var names []string
	for _, p := range projects {
		names = append(names, p.Name)
	}
	return suggest(err, name, names, "`holdfast project list` shows what there is")
}

func suggest(err error, name string, names []string, otherwise string) error {
	if slices.Contains(names, name) { // what is missing is something else in it
		return err
	}
	if near := nearest(name, names); near != "" {
		otherwise = "did you mean " + near + "?"
	}
	return &holdfast.Error{Kind: holdfast.KindOf(err), Message: err.Error(), Hint: otherwise}
}

// nearest returns the one of names that is closest to name by edit distance, or "" when none is near.
func nearest(name string, names []string) string {
	best, bestDistance := "", max(1, len(name)/3)+1
	for _, n := range slices.Sorted(slices.Values(names)) {
		d := distance(strings.ToLower(name), strings.ToLower(n))
		if strings.HasPrefix(n, name) && name != "" {
			d = min(d, 1)
		}
		if d < bestDistance {
			best, bestDistance = n, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete, replace or swap with their neighbour to make a into b.
func distance(a, b string) int {
	beforeLast, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(row[j-1]+1, last[j]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], beforeLast[j-2]+1)
			}
		}
		beforeLast, last = last, row
	}
	return last[len(b)]
}
