package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

// consentFlags are what a person agrees to.
type consentFlags struct {
	yes   bool
	allow []string
}

func (f *consentFlags) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.yes, "yes", false, "do not ask; what loses values or breaks running code takes --allow as well")
	cmd.Flags().StringSliceVar(&f.allow, "allow", nil, "consent to a class of hazards: lossy, breaking")
}

// lossy says whether values may be lost.
func (f *consentFlags) lossy() bool { return slices.Contains(f.allow, "lossy") }

func (c *cli) publishCommand() *cobra.Command {
	var f planFlags
	var consent consentFlags
	cmd := &cobra.Command{
		Use: "publish [PROJECT]", Short: "Take development's structure to production, proven on a copy first",
		Long: `Take development's structure to production: tables, columns, functions and everything else, never rows.

A publish is planned, rehearsed on a copy of production with its data, and applied, each of which is a command of its own, too. It stops for
questions and for consent. What is dropped is only set aside for seven days, so that the publish can be reverted with the rows that were
written since.`,
		Example: "  holdfast publish shop\n  holdfast publish shop --yes --allow breaking\n  holdfast publish plan shop\n  holdfast publish revert shop 7",
		Args:    cobra.MaximumNArgs(1), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			project, err := c.project(first(args))
			if err != nil {
				return err
			}
			f.ask.AllowLossy = consent.lossy()
			return c.withClient(cmd.Context(), func(client *api.Client) error {
				p, err := client.PlanPublish(cmd.Context(), project, f.ask)
				if err != nil {
					return suggestProject(cmd.Context(), client, project, err)
				}
				return c.publishAll(cmd, client, p, consent)
			})
		},
	}
	f.flags(cmd)
	consent.flags(cmd)
	cmd.AddCommand(c.publishPlanCommand(), c.publishRehearseCommand(), c.publishApplyCommand(), c.publishRevertCommand(), c.publishContractCommand(), c.publishMigrationsCommand(), c.publishAdoptCommand(), c.publishListCommand(), c.publishShowCommand(), c.publishLogCommand(),
		c.publishCancelCommand(), c.publishHooksCommand())
	return cmd
}

// publishAll rehearses and applies what is planned.
func (c *cli) publishAll(cmd *cobra.Command, client *api.Client, p api.Publish, consent consentFlags) error {
	if p.Statements == 0 {
		return c.show(p, func(w io.Writer) { planText(w, planOf(p)) })
	}
	publishText(c.errOut, p)
	if err := notReady(p); err != nil {
		return err
	}
	if p.State != string(holdfast.PublishReady) {
		var err error
		if p, err = c.rehearse(cmd, client, p, false); err != nil {
			return err
		}
	}
	return c.apply(cmd, client, p, consent)
}

// notReady is what stands between a plan and its rehearsal.
func notReady(p api.Publish) error {
	plan := planOf(p)
	if len(plan.Questions) > 0 {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("publish %d needs %d answers", p.Number, len(plan.Questions)), Hint: fmt.Sprintf("`holdfast publish plan %s --answer %s`, or another of its answers", p.Project, shellWord(plan.Questions[0].Answers[0]))}
	}
	if len(plan.Problems) > 0 {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: p.Error}
	}
	return nil
}

// rehearse rehearses a publish, shows the report and returns the publish as it is then; an error when it is blocked.
func (c *cli) rehearse(cmd *cobra.Command, client *api.Client, p api.Publish, keep bool) (api.Publish, error) {
	job, err := client.RehearsePublish(cmd.Context(), p.Project, p.Number, api.Rehearsal{Keep: keep})
	if err != nil {
		return p, err
	}
	if _, err := c.follow(cmd.Context(), client, job); err != nil {
		return p, err
	}
	if p, err = client.Publish(cmd.Context(), p.Project, p.Number); err != nil {
		return p, err
	}
	if p.Report != nil && !c.json {
		reportText(c.errOut, *p.Report)
	}
	if p.State != string(holdfast.PublishReady) {
		return p, &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("publish %d is %s: %s", p.Number, p.State, p.Error), Hint: fmt.Sprintf("`holdfast publish show %s %d` shows all of it", p.Project, p.Number)}
	}
	return p, nil
}

// apply asks for consent and applies a rehearsed publish.
func (c *cli) apply(cmd *cobra.Command, client *api.Client, p api.Publish, consent consentFlags) error {
	allow := consent.allow
	if !consent.yes {
		if err := c.confirm(false, consentText(p), p.Project); err != nil {
			return err
		}
		for _, wanted := range consents(p) { // they were shown, and agreed to
			if !slices.Contains(allow, wanted) {
				allow = append(allow, wanted)
			}
		}
	}
	job, err := client.ApplyPublish(cmd.Context(), p.Project, p.Number, api.Apply{Allow: allow})
	if err != nil {
		return err
	}
	return c.finishJob(cmd.Context(), client, job, true, fmt.Sprintf("publish %d of %s is applied; `holdfast publish revert %s %d` takes it back until %s", p.Number, p.Project, p.Project, p.Number,
		moment(time.Now().Add(holdfast.PublishGrace))))
}

// consents are the classes of hazards that a rehearsed publish needs consent to.
func consents(p api.Publish) []string {
	var out []string
	if p.Report == nil {
		return nil
	}
	for _, r := range p.Report.Reasons {
		if r.Allow != "" && !slices.Contains(out, r.Allow) {
			out = append(out, r.Allow)
		}
	}
	return out
}

func consentText(p api.Publish) string {
	text := fmt.Sprintf("This changes the structure of %s/%s by %d statements.", p.Project, holdfast.ProductionName, p.Statements)
	if wanted := consents(p); len(wanted) > 0 {
		text += " It is " + strings.Join(wanted, " and ") + ":"
		for _, r := range p.Report.Reasons {
			text += "\n  - " + printable(r.Text)
		}
	}
	return text
}

func (c *cli) publishRehearseCommand() *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use: "rehearse [PROJECT] [NUMBER]", Short: "Run a publish on a copy of production and see what it does there",
		Long: `Run a publish on a copy of production with its data, and see what it does there: times and locks, rows that stand in the way, statements of
running code that would fail, and whether the result is development's structure.

The copy is removed afterwards. With --keep it stays as a preview branch that a program can be pointed at.`,
		Example: "  holdfast publish rehearse shop\n  holdfast publish rehearse shop 7 --keep", Args: cobra.MaximumNArgs(2), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.numbered(cmd, args, func(client *api.Client, project string, number int) error {
				p, err := client.Publish(cmd.Context(), project, number)
				if err != nil {
					return err
				}
				p, failed := c.rehearse(cmd, client, p, keep)
				if p.Preview != "" {
					if err := c.showCopy(cmd, client, p); err != nil {
						return err
					}
				}
				if failed != nil {
					return failed
				}
				return c.show(p, func(w io.Writer) {
					fmt.Fprintf(w, "publish %d is ready; `holdfast publish apply %s %d` applies it\n", p.Number, p.Project, p.Number)
				})
			})
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "keep the copy as a preview branch")
	return cmd
}

// showCopy tells how to reach the copy that was kept.
func (c *cli) showCopy(cmd *cobra.Command, client *api.Client, p api.Publish) error {
	ref, err := holdfast.ParseBranchRef(p.Preview)
	if err != nil {
		return err
	}
	connection, err := client.Connection(cmd.Context(), ref)
	if err != nil {
		return err
	}
	return c.say("the copy is %s: DATABASE_URL=%s", ref, connection.URL)
}

func (c *cli) publishApplyCommand() *cobra.Command {
	var consent consentFlags
	cmd := &cobra.Command{
		Use: "apply [PROJECT] [NUMBER]", Short: "Run a rehearsed publish on production",
		Long: `Run a rehearsed publish on production, while development and production are still as they were rehearsed.

A checkpoint is made first. No statement makes others wait longer than a tenth of a second for a lock. When it fails in the middle, what was
done is taken back at once.`,
		Example: "  holdfast publish apply shop\n  holdfast publish apply shop 7 --yes --allow breaking", Args: cobra.MaximumNArgs(2), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.numbered(cmd, args, func(client *api.Client, project string, number int) error {
				p, err := client.Publish(cmd.Context(), project, number)
				if err != nil {
					return err
				}
				return c.apply(cmd, client, p, consent)
			})
		},
	}
	consent.flags(cmd)
	return cmd
}

func (c *cli) publishRevertCommand() *cobra.Command {
	var consent consentFlags
	var planOnly bool
	var answers []string
	cmd := &cobra.Command{
		Use: "revert [PROJECT] NUMBER", Short: "Take a publish back, with the rows that were written since",
		Long: `Take a publish back, with the rows that were written since.

What was dropped was only set aside and comes back. What cannot come back is listed before anything is done. The way back is planned, rehearsed
and applied like any publish, with a number of its own. Where a required column comes back and rows were written without it, the rehearsal asks what to fill
them with; --answer says it.`,
		Example: "  holdfast publish revert shop 7\n  holdfast publish revert shop 7 --plan\n  holdfast publish revert shop 7 --answer \"fill:public.users.plan='free'\"", Args: cobra.RangeArgs(1, 2), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.numbered(cmd, args, func(client *api.Client, project string, number int) error {
				if number == 0 {
					return usage(cmd, fmt.Errorf("the number of the publish is missing"))
				}
				p, err := client.RevertPublish(cmd.Context(), project, number, answers)
				if err != nil {
					return err
				}
				if planOnly {
					return c.showPlan(p, false)
				}
				return c.publishAll(cmd, client, p, consent)
			})
		},
	}
	cmd.Flags().BoolVar(&planOnly, "plan", false, "only show what would be done")
	cmd.Flags().StringArrayVar(&answers, "answer", nil, "an answer to a question; can be repeated")
	consent.flags(cmd)
	return cmd
}

func (c *cli) publishLogCommand() *cobra.Command {
	return &cobra.Command{
		Use: "log [PROJECT] [NUMBER]", Short: "Show what happened while a publish was rehearsed and applied", Example: "  holdfast publish log shop 7", Args: cobra.MaximumNArgs(2), ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.numbered(cmd, args, func(client *api.Client, project string, number int) error {
				events, err := client.PublishLog(cmd.Context(), project, number)
				if err != nil {
					return err
				}
				return showList(c, events, func(w io.Writer) {
					t := newTable(w, "AT", "PHASE", "#", "WHAT", "TOOK", "PREDICTED", "TEXT")
					for _, e := range events {
						t.row(moment(e.At), e.Phase, numberText(e), e.Kind, tookText(e), milliseconds(e.Predicted), eventLine(e))
					}
					t.flush()
				})
			})
		},
	}
}

func numberText(e api.PublishEvent) string {
	if e.Statement == 0 {
		return ""
	}
	if e.Direction == "back" {
		return "back " + strconv.Itoa(e.Statement)
	}
	return strconv.Itoa(e.Statement)
}

func tookText(e api.PublishEvent) string {
	if e.Measure == nil {
		return ""
	}
	return milliseconds(e.Measure.Time)
}

func eventLine(e api.PublishEvent) string {
	if e.Text != "" {
		return e.Text
	}
	if len(e.Blockers) > 0 {
		b := e.Blockers[0]
		return fmt.Sprintf("session %d (%s, %s): %.100s", b.PID, b.Role, b.State, b.Query)
	}
	return ""
}

// milliseconds writes a time of the API as people read it; nothing for zero.
func milliseconds(ms float64) string {
	if ms == 0 {
		return ""
	}
	d := time.Duration(ms * float64(time.Millisecond))
	switch {
	case d < time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}
