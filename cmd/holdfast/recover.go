package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/blob"
	"github.com/holdfast/holdfast/internal/history"
	"github.com/holdfast/holdfast/internal/platform"
	"github.com/holdfast/holdfast/internal/store"
)

// recovery is what the command line says of a recovery.
type recovery struct {
	from, keyFile string
	list          bool
	place         holdfast.Location // the parts of it that are flags
	secret        string
	keys          [][]byte
}

func (c *cli) recoverCommand() *cobra.Command {
	shown := defaultServeConfig()
	var r recovery
	cmd := &cobra.Command{
		Use:   "recover --from LOCATION",
		Short: "Make an installation again from a repository alone",
		Long: `Makes projects, branches, checkpoints and data again from a repository: nothing else is needed but the key, if it is encrypted.

LOCATION is a folder, or s3://ENDPOINT/BUCKET/PREFIX; then --access-key is needed and its secret is asked for or read from standard input. Use
--list first to see what is there. The data directory must be empty. After an interruption the same command goes on where it was.

Every branch comes back at the last moment that the repository has, under its own name, with its settings, its history and its checkpoints.
Roles keep their passwords, so programs go on as they are; Holdfast itself does not know them any more, and "holdfast credentials rotate"
makes new ones. Previews without history, tokens, users, schedules and further locations do not come back. The old installation must not run any more: both
would write the same history.`,
		Example: `  holdfast recover --from /mnt/backup/holdfast --list
  holdfast recover --from /mnt/backup/holdfast --data /srv/holdfast
  holdfast recover --from s3://s3.example.com/backups/holdfast --access-key KEY --key keys.txt < secret`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			data, err := filepath.Abs(c.dataFlag())
			if err != nil {
				return fmt.Errorf("find the data directory: %w", err)
			}
			if err := r.parse(c); err != nil {
				return err
			}
			if r.list {
				return c.listRecoverable(cmd.Context(), &r)
			}
			config, err := readServeConfig(data, cmd.Flags(), "key")
			if err != nil {
				return err
			}
			return c.recover(cmd.Context(), config, data, &r)
		},
	}
	shown.programFlags(cmd.Flags())
	cmd.Flags().StringVar(&r.from, "from", "", "the repository: a folder, or s3://ENDPOINT/BUCKET/PREFIX")
	cmd.Flags().StringVar(&r.keyFile, "key", "", "the file with the repository's keys, as `holdfast location keys` showed them")
	cmd.Flags().BoolVar(&r.list, "list", false, "only show what the repository holds")
	cmd.Flags().StringVar(&r.place.AccessKey, "access-key", "", "its secret key is asked for, or read from standard input")
	cmd.Flags().StringVar(&r.place.Region, "region", "", "asked from the server when left out")
	cmd.Flags().BoolVar(&r.place.PathStyle, "path-style", false, "the bucket is in the path, as most servers outside Amazon want it")
	cmd.Flags().BoolVar(&r.place.Insecure, "insecure", false, "plain HTTP: for this machine or a trusted network only")
	_ = cmd.MarkFlagRequired("from") // it exists
	return cmd
}

// parse reads the location, its secret and the keys.
func (r *recovery) parse(c *cli) error {
	r.place.Name = "recovered"
	if address, isS3 := strings.CutPrefix(r.from, "s3://"); isS3 {
		parts := strings.SplitN(strings.TrimSuffix(address, "/"), "/", 3)
		r.place.Kind, r.place.Endpoint = holdfast.S3Location, parts[0]
		if len(parts) > 1 {
			r.place.Bucket = parts[1]
		}
		if len(parts) > 2 {
			r.place.Prefix = parts[2]
		}
	} else {
		folder, err := filepath.Abs(r.from)
		if err != nil {
			return fmt.Errorf("find the repository: %w", err)
		}
		r.place.Kind, r.place.Folder = holdfast.FolderLocation, folder
	}
	if err := r.place.Validate(); err != nil {
		return err
	}
	if r.keyFile != "" {
		raw, err := os.ReadFile(r.keyFile)
		if err != nil {
			return &holdfast.Error{Kind: holdfast.Invalid, Message: "the keys cannot be read", Cause: err}
		}
		pairs, err := blob.PairKeys(string(raw))
		if err != nil {
			return err
		}
		for _, pair := range pairs {
			r.keys = append(r.keys, []byte(pair[0]+"\n"+pair[1]))
		}
	}
	if r.place.Kind == holdfast.S3Location {
		var err error
		r.secret, err = c.askSecret("secret key of " + r.place.AccessKey + ": ")
		return err
	}
	return nil
}

// scan looks at what the repository holds. dial is openRemote's.
func (r *recovery) scan(ctx context.Context, dial dialContext) ([]history.Found, error) {
	place, err := openRemote(store.Location{Location: r.place, Secret: r.secret}, dial)
	if err != nil {
		return nil, err
	}
	at := history.Location{Name: r.from, Location: blob.NewRetried(place, blob.Backoff{}, "")}
	sealed, err := history.IsEncrypted(ctx, at)
	if holdfast.KindOf(err) == holdfast.NotFound {
		return nil, &holdfast.Error{Kind: holdfast.NotFound, Message: err.Error(), Hint: "a repository has a folder \"branches\"; in a data directory it is the folder \"repository\"", Cause: err}
	}
	if err != nil {
		return nil, err
	}
	if r.place.Encrypt = sealed; sealed {
		if len(r.keys) == 0 {
			return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: "the repository is encrypted", Hint: "give the file with its keys with --key"}
		}
		keys, err := repositoryKeys(r.keys)
		if err != nil {
			return nil, err
		}
		at.Location = blob.NewRetried(history.Encrypted(place, keys), blob.Backoff{}, "")
	} else {
		r.keys = nil
	}
	found, err := history.Scan(ctx, []history.Location{at})
	if holdfast.KindOf(err) == holdfast.Precondition && sealed {
		return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: "the keys in " + r.keyFile + " do not open the repository", Hint: "`holdfast location keys` of the old installation showed the right ones", Cause: err}
	}
	return found, err
}

// recoverable is a branch of a repository as --list shows it.
type recoverable struct {
	Project     string    `json:"project"`
	Branch      string    `json:"branch"`
	Major       int       `json:"postgres_major"`
	Earliest    time.Time `json:"earliest,omitzero"`
	Latest      time.Time `json:"latest,omitzero"`
	Size        int64     `json:"size_bytes"`
	Checkpoints int       `json:"checkpoints"`
	Problems    []string  `json:"problems"`
}

func (c *cli) listRecoverable(ctx context.Context, r *recovery) error {
	found, err := r.scan(ctx, nil)
	if err != nil {
		return err
	}
	rows := []recoverable{}
	for _, f := range found {
		row := recoverable{Project: f.Project.Name, Branch: f.Branch.Name, Major: f.Branch.Major, Earliest: f.Window.Earliest, Latest: f.Window.Latest,
			Checkpoints: len(f.Checkpoints), Problems: append([]string{}, f.Problems...)}
		if row.Branch == "" {
			row.Branch = string(f.Branch.ID)
		}
		if len(f.Bases) > 0 {
			row.Size = f.Bases[0].Size
		}
		if !f.Project.DeletedAt.IsZero() || !f.Branch.DeletedAt.IsZero() {
			row.Problems = append(row.Problems, "it was deleted, and is not recovered")
		}
		rows = append(rows, row)
	}
	return showList(c, rows, func(w io.Writer) {
		t := newTable(w, "BRANCH", "POSTGRESQL", "FROM", "TO", "SIZE", "CHECKPOINTS", "PROBLEMS")
		for _, row := range rows {
			t.row(row.Project+"/"+row.Branch, fmt.Sprint(row.Major), moment(row.Earliest), moment(row.Latest), measured(row.Size), fmt.Sprint(row.Checkpoints), strings.Join(row.Problems, "; "))
		}
		t.flush()
	})
}

// recover wires as much of a house as it takes: no port is opened.
func (c *cli) recover(ctx context.Context, config serveConfig, data string, r *recovery) (err error) {
	// The server that goes on with the repository reaches no further than the settings allow: better refused now than in the middle.
	dial, err := config.guardedDial()
	if err != nil {
		return err
	}
	found, err := r.scan(ctx, dial)
	if err != nil {
		return err
	}
	if err := checkEmpty(data, r.place.Folder); err != nil {
		return err
	}
	h := &house{config: config, log: c.logger(config), metrics: prometheus.NewRegistry()}
	defer func() { err = errors.Join(err, h.close()) }()
	installations, account, err := h.programs(ctx, data)
	if err != nil {
		return err
	}
	if h.dir, err = openDataDir(data); err != nil {
		return err
	}
	h.onClose("give the data directory back", h.dir.Close)
	if err := h.dir.beginRecovery(); err != nil {
		return err
	}
	if err := h.openPlatform(ctx, installations, account); err != nil {
		return err
	}
	see, done := c.plainProgress()
	if isTerminal(c.errOut) {
		see, done = c.barProgress()
	}
	ask := platform.Recovery{Found: found, Keys: r.keys, Location: store.Location{Location: r.place, Secret: r.secret},
		Progress: func(ref holdfast.BranchRef, step string, done, total int64, unit string) {
			see(api.Job{Step: ref.String() + ": " + step, Done: done, Total: total, Unit: unit})
		}}
	if r.place.Folder == h.dir.file(repositoryDir) {
		ask.Location = store.Location{} // history goes on in the data directory, as before
	}
	made, err := h.platform.Recover(ctx, ask)
	done()
	if err != nil {
		return err
	}
	if err := h.dir.endRecovery(); err != nil {
		return err
	}
	return c.tellRecovered(made)
}

func (c *cli) tellRecovered(made []platform.RecoveredBranch) error {
	type row struct {
		Branch  string    `json:"branch"`
		Until   time.Time `json:"until,omitzero"`
		Bytes   int64     `json:"size_bytes"`
		Roles   []string  `json:"roles"`
		Empty   bool      `json:"empty"`
		Damages []string  `json:"damages"`
	}
	rows := []row{}
	for _, m := range made {
		rows = append(rows, row{m.Ref.String(), m.Until, m.Bytes, append([]string{}, m.Roles...), m.Empty, append([]string{}, m.Damages...)})
	}
	return showList(c, rows, func(w io.Writer) {
		t := newTable(w, "BRANCH", "AS OF", "SIZE", "ROLES")
		for _, m := range made {
			at := moment(m.Until)
			if m.Empty {
				at = "new and empty: the repository had no base backup"
			}
			t.row(m.Ref.String(), at, measured(m.Bytes), strings.Join(m.Roles, " "))
		}
		t.flush()
		for _, m := range made {
			for _, d := range m.Damages {
				fmt.Fprintf(w, "%s: damaged, taken from elsewhere: %s\n", m.Ref, printable(d))
			}
		}
		fmt.Fprintln(w, "\nRoles keep the passwords that they had; `holdfast credentials rotate BRANCH` makes new ones. Tokens, users, previews, schedules and")
		fmt.Fprintln(w, "further locations are not in a repository: set them again. `holdfast serve` starts the server; the old installation must not run any more.")
	})
}
