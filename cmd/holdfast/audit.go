package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) auditCommand() *cobra.Command {
	var limit int
	var before int64
	var filter api.AuditFilter
	var since, until string
	cmd := &cobra.Command{
		Use: "audit", Short: "Show who did what, the newest first", Args: cobra.NoArgs,
		Example: "  holdfast audit --limit 20\n  holdfast audit --who ann --what backup. --since '2 days ago'\n  holdfast audit --on shop/production --json\n  holdfast audit verify",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if filter.Since, err = timeOf(since); err == nil {
				filter.Until, err = timeOf(until)
			}
			if err != nil {
				return usage(cmd, err)
			}
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				entries, err := client.AuditMatching(cmd.Context(), filter, before, limit)
				if err != nil {
					return err
				}
				return showList(c, entries, func(w io.Writer) {
					t := newTable(w, "NUMBER", "WHEN", "WHO", "FROM", "WHAT", "ON")
					for _, e := range entries {
						t.row(fmt.Sprint(e.Seq), moment(e.At), e.Actor, e.Source, e.Action, e.Subject)
					}
					t.flush()
				})
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 50, "how many at most")
	cmd.Flags().Int64Var(&before, "before", 0, "only entries before this number")
	cmd.Flags().StringVar(&filter.Actor, "who", "", "only entries of whom has this in the name")
	cmd.Flags().StringVar(&filter.Action, "what", "", "only entries with this in what was done: publish, login.failed")
	cmd.Flags().StringVar(&filter.Subject, "on", "", "only entries with this in what it was done to: shop/production")
	cmd.Flags().StringVar(&filter.Source, "from", "", "only entries with this in the address that the request came from")
	cmd.Flags().StringVar(&since, "since", "", `only entries from this time on: "2 days ago", "2026-11-20 14:03:11+01"`)
	cmd.Flags().StringVar(&until, "until", "", "only entries before this time")
	cmd.AddCommand(c.auditExportCommand(), c.auditVerifyCommand())
	return cmd
}

// timeOf is the time that a text names; zero where there is none.
func timeOf(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	point, err := holdfast.ParsePoint(text, time.Now())
	if err == nil && point.At.IsZero() {
		err = fmt.Errorf("%s names no time", text)
	}
	return point.At, err
}

// auditPage is how many entries are asked for at once.
const auditPage = 1000

func (c *cli) auditExportCommand() *cobra.Command {
	var after int64
	cmd := &cobra.Command{
		Use: "export", Short: "Write the audit trail, the oldest first, one JSON object a line", Args: cobra.NoArgs,
		Long: `Writes the whole audit trail to standard output, the oldest entry first, as one JSON object a line. Each carries the hash of itself and of the
one before it; the hash of the last line, kept elsewhere, shows later that nothing before it was changed: see audit verify --expect.`,
		Example: "  holdfast audit export > audit.ndjson\n  holdfast audit export --after 1200 >> audit.ndjson",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				out := json.NewEncoder(c.out)
				for {
					entries, err := client.AuditAfter(cmd.Context(), after, auditPage)
					if err != nil {
						return err
					}
					for _, e := range entries {
						if err := out.Encode(e); err != nil {
							return fmt.Errorf("write the audit trail: %w", err)
						}
						after = e.Seq
					}
					if len(entries) < auditPage {
						return nil
					}
				}
			})
		},
	}
	cmd.Flags().Int64Var(&after, "after", 0, "only entries after this number")
	return cmd
}

func (c *cli) auditVerifyCommand() *cobra.Command {
	var expect string
	cmd := &cobra.Command{
		Use: "verify", Short: "Check that nobody tampered with the audit trail", Args: cobra.NoArgs,
		Long: `Checks the hash of every entry, and the signature under the trail's end. An entry that was edited, removed, moved or put in is found, and so is a
trail that was cut. Who has both the metadata and secret.key can write another trail; --expect finds that out too, with an end that an earlier
verify or export told and that was kept elsewhere.`,
		Example: "  holdfast audit verify\n  holdfast audit verify --expect 1200:9f86d081884c7d65...",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				end, err := client.VerifyAudit(cmd.Context())
				if err != nil {
					return err
				}
				if expect != "" {
					if err := checkExpected(cmd, client, expect); err != nil {
						return err
					}
				}
				return c.show(end, func(w io.Writer) {
					fmt.Fprintf(w, "the audit trail is whole: %d entries\nits end is %d:%s\n", end.Entries, end.Entries, end.Hash)
				})
			})
		},
	}
	cmd.Flags().StringVar(&expect, "expect", "", "an earlier end, as NUMBER:HASH, that the trail has to contain")
	return cmd
}

func checkExpected(cmd *cobra.Command, client *api.Client, expect string) error {
	var seq int64
	number, hash, found := strings.Cut(expect, ":")
	if _, err := fmt.Sscan(number, &seq); err != nil || !found || seq < 1 {
		return usage(cmd, fmt.Errorf("--expect %s is not NUMBER:HASH", expect))
	}
	entries, err := client.AuditAfter(cmd.Context(), seq-1, 1)
	if err != nil {
		return err
	}
	if len(entries) == 0 || entries[0].Seq != seq || !strings.EqualFold(entries[0].Hash, hash) {
		return &holdfast.Error{Kind: holdfast.Corrupt, Message: fmt.Sprintf("the audit trail was replaced: entry %d is not the one that was expected", seq)}
	}
	return nil
}
