package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

// publishText shows a publish and its plan to a person.
func publishText(w io.Writer, p api.Publish) {
	what := fmt.Sprintf("publish %d of %s: %s", p.Number, p.Project, p.State)
	if p.Reverts > 0 {
		what = fmt.Sprintf("publish %d of %s, which takes %d back: %s", p.Number, p.Project, p.Reverts, p.State)
	}
	fmt.Fprintln(w, printable(what))
	if p.Error != "" {
		fmt.Fprintln(w, printableLines(p.Error))
	}
	if until := undoUntil(p); until != "" {
		fmt.Fprintln(w, "can be reverted until", until)
	}
	planText(w, planOf(p))
	if p.Report != nil {
		reportText(w, *p.Report)
	}
	if next := nextOfPublish(p); next != "" {
		fmt.Fprintln(w, "\n"+printable(next))
	}
}

// planText shows a plan to a person.
func planText(w io.Writer, plan api.Plan) {
	bullets(w, "What cannot come back:", plan.Lost)
	if len(plan.Statements) == 0 {
		fmt.Fprintln(w, "\nnothing to do")
	} else {
		fmt.Fprintln(w)
		t := newTable(w, "#", "WHAT", "HAZARD", "LOCK", "TRANSACTION")
		for i, s := range plan.Statements {
			transaction := "its own"
			if s.Transactional {
				transaction = strconv.Itoa(s.Group)
			}
			t.row(strconv.Itoa(i+1), s.Description, s.Class, lockText(s), transaction)
		}
		t.flush()
	}
	var hazards, renames, drift, problems []string
	for i, s := range plan.Statements {
		for _, h := range s.Hazards {
			hazards = append(hazards, fmt.Sprintf("#%d %s: %s", i+1, h.Class, h.Text))
		}
	}
	for _, r := range plan.Renames {
		renames = append(renames, fmt.Sprintf("%s to %s (%s)", r.From, r.To, r.Why))
	}
	for _, d := range plan.Drift {
		drift = append(drift, d.Text)
	}
	for _, q := range plan.Problems {
		problems = append(problems, q.Object+": "+q.Reason)
	}
	bullets(w, "Hazards:", hazards)
	bullets(w, "Renames:", renames)
	bullets(w, "Drift: production differs from what was published last.", drift)
	if len(drift) > 0 {
		fmt.Fprintln(w, "  Take it into development with `holdfast publish adopt`, or drop it on purpose with --answer drop:OBJECT.")
	}
	bullets(w, "Notes:", plan.Notes)
	bullets(w, "Cannot be carried:", problems)
	for _, q := range plan.Questions {
		fmt.Fprintln(w, "\nQuestion: "+printable(q.Text))
		for _, a := range q.Answers {
			fmt.Fprintln(w, "  --answer "+printable(shellWord(a)))
		}
	}
}

func lockText(s api.PlanStatement) string {
	if s.Lock == "" {
		return ""
	}
	if len(s.Tables) == 0 {
		return s.Lock
	}
	text := s.Lock + " on " + s.Tables[0]
	if n := len(s.Tables) - 1; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

func bullets(w io.Writer, title string, items []string) {
	if len(items) == 0 {
		return
	}
	fmt.Fprintln(w, "\n"+title)
	for _, item := range items {
		fmt.Fprintln(w, "  - "+printable(item))
	}
}

// shellWord quotes a word for a shell where it needs it.
func shellWord(word string) string {
	if strings.IndexFunc(word, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:=/-", r)
	}) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// nextOfPublish is what a person can do next.
func nextOfPublish(p api.Publish) string {
	switch holdfast.PublishState(p.State) {
	case holdfast.PublishNeeds:
		return fmt.Sprintf("Answer with `holdfast publish plan %s --answer ...`.", p.Project)
	case holdfast.PublishPlanned:
		if p.Statements > 0 {
			return fmt.Sprintf("`holdfast publish rehearse %s %d` tries it on a copy of production.", p.Project, p.Number)
		}
	case holdfast.PublishReady:
		return fmt.Sprintf("`holdfast publish apply %s %d` applies it.", p.Project, p.Number)
	case holdfast.PublishRehearsing, holdfast.PublishApplying:
		return fmt.Sprintf("`holdfast job watch %s` shows how far it is.", p.Job)
	}
	return ""
}

// reportText shows what a rehearsal found to a person: what matters first.
func reportText(w io.Writer, r api.Report) {
	fmt.Fprintf(w, "\nRehearsed on a copy of production in %s.\n", r.FinishedAt.Sub(r.StartedAt).Round(10e6))
	if len(r.Statements) > 0 {
		t := newTable(w, "#", "WHAT", "TOOK", "LOCKS", "REWRITTEN", "WAL")
		for i, s := range r.Statements {
			took := "did not run"
			if s.Ran {
				took = milliseconds(s.Measure.Time)
			}
			t.row(strconv.Itoa(i+1), s.Description, took, locksText(s.Measure.Locks), strings.Join(s.Measure.Rewritten, ", "), size(s.Measure.WALBytes))
		}
		t.flush()
	}
	if len(r.Blocked) > 0 {
		fmt.Fprintln(w, "\nWhat production will feel:")
		t := newTable(w, "  TABLE", "READS WAIT", "WRITES WAIT", "CLASS")
		for _, b := range r.Blocked {
			t.row("  "+b.Table, milliseconds(b.LongestReads), milliseconds(b.LongestWrites), b.Class)
		}
		t.flush()
	}
	var rows, code, speed, hooks, reasons []string
	kept := int64(0)
	for _, s := range r.Tables {
		kept += s.RowsAfter
	}
	for _, f := range r.Findings {
		if f.Verdict == "clean" {
			continue
		}
		text := f.Verdict + ": " + f.Text
		for _, row := range f.Rows[:min(len(f.Rows), 3)] {
			text += "; " + row
		}
		rows = append(rows, text)
	}
	for _, b := range r.Broken {
		code = append(code, fmt.Sprintf("%.0f calls a day: %s: %.120s", b.CallsPerDay, b.Error, b.SQL))
	}
	for _, s := range r.Performance {
		if s.Regressed {
			speed = append(speed, fmt.Sprintf("%s: %.120s", s.Why, s.SQL))
		}
	}
	for _, h := range r.Hooks {
		verdict := "passed"
		if !h.OK {
			verdict = h.Error
		}
		hooks = append(hooks, fmt.Sprintf("%s: %s in %s", h.Check, verdict, milliseconds(h.Time)))
	}
	for _, q := range r.Reasons {
		text := q.Text
		if q.Allow != "" {
			text += " (consent with --allow " + q.Allow + ")"
		}
		reasons = append(reasons, text)
	}
	fmt.Fprintf(w, "\n%d tables with %d rows are as they should be, %d statements of running code were tried.\n", len(r.Tables), kept, r.Queries)
	bullets(w, "Rows:", rows)
	bullets(w, "Running code that would fail:", code)
	bullets(w, "Slower afterwards:", speed)
	bullets(w, "New indexes that nothing uses:", r.Unused)
	bullets(w, "The project's own checks:", hooks)
	bullets(w, "What stands between this and production:", reasons)
	fmt.Fprintln(w)
}

func locksText(locks []api.ReportLock) string {
	var out []string
	for _, l := range locks {
		out = append(out, l.Mode+" on "+l.Table)
	}
	if len(out) > 2 {
		return strings.Join(out[:2], ", ") + fmt.Sprintf(" and %d more", len(out)-2)
	}
	return strings.Join(out, ", ")
}
