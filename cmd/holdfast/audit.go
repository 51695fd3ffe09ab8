package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

func (c *cli) auditCommand() *cobra.Command {
	var limit int
	var before int64
	cmd := &cobra.Command{
		Use: "audit", Short: "Show who did what, the newest first", Example: "  holdfast audit --limit 20\n  holdfast audit --json\n  holdfast audit verify", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				entries, err := client.Audit(cmd.Context(), before, limit)
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
	cmd.AddCommand(c.auditExportCommand(), c.auditVerifyCommand())
	return cmd
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
