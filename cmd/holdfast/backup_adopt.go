package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) backupAdoptCommand() *cobra.Command {
	var name string
	wait := waiting{wait: true}
	cmd := &cobra.Command{
		Use: "adopt PROJECT[/BRANCH] FILE", Short: "Keep a dump that was made elsewhere as a backup",
		Long: `Keep a dump that was made elsewhere as a backup of a branch; of a project without a branch, its development.

The format is recognized by the first bytes: pg_dump's custom archive, its tar file or its directory in one, SQL, or the product's JSON and CSV.
SQL, JSON and a tar file may be packed with gzip or zstd. The file is read to its end before anything is kept; one that is unknown or cut is
refused, and nothing of it is left.`,
		Example: "  holdfast backup adopt shop old.dump\n  holdfast backup adopt shop/production nightly.sql.gz --name from_the_old_server",
		Args:    cobra.ExactArgs(2), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			branch := args[0]
			if !strings.Contains(branch, "/") {
				branch += "/" + holdfast.DevelopmentName
			}
			return c.onBranch(cmd.Context(), []string{branch}, func(client *api.Client, ref holdfast.BranchRef) error {
				b, err := c.sendDump(cmd.Context(), client, ref, name, args[1])
				if err != nil {
					return err
				}
				return c.finishAdoption(cmd.Context(), client, b, args[1], wait.wanted())
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "what to call it; made from the branch and the time when left out")
	wait.flags(cmd)
	return cmd
}

// sendDump sends a file and shows how much of it has gone.
func (c *cli) sendDump(ctx context.Context, client *api.Client, ref holdfast.BranchRef, name, path string) (api.Backup, error) {
	f, err := os.Open(path)
	if err != nil {
		return api.Backup{}, fmt.Errorf("open the file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return api.Backup{}, fmt.Errorf("open the file: %w", err)
	case info.IsDir():
		return api.Backup{}, &holdfast.Error{Kind: holdfast.Invalid, Message: path + " is a folder", Hint: "pack the files of a directory dump: tar -C " + path + " -cf dump.tar ."}
	}
	see, done := c.plainProgress()
	if isTerminal(c.errOut) {
		see, done = c.barProgress()
	}
	defer done()
	sent := &sending{r: f, see: see, job: api.Job{State: "running", Step: "sending " + filepath.Base(path), Total: info.Size(), Unit: "bytes"}}
	return client.AdoptBackup(ctx, ref, name, sent, info.Size())
}

// sending tells how much of a file was read, as of the step of a job.
type sending struct {
	r   io.Reader
	see func(api.Job)
	job api.Job
}

func (s *sending) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.job.Done += int64(n)
	s.see(s.job)
	return n, err
}

func (c *cli) finishAdoption(ctx context.Context, client *api.Client, b api.Backup, path string, wait bool) error {
	if !wait {
		return c.finishBackup(ctx, client, b, false)
	}
	if _, err := c.follow(ctx, client, api.Job{ID: b.Job}); err != nil {
		return err
	}
	b, err := client.Backup(ctx, b.ID)
	if err != nil {
		return err
	}
	return c.show(b, func(w io.Writer) {
		fmt.Fprintf(w, "%s is kept as the backup %s: %s, %d rows, %d bytes, SHA-256 %s\n", path, b.Name, b.Format, b.Records, b.Size, b.SHA256)
	})
}
