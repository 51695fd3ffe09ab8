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
		drift = append(drift, d.Object+" "+d.Text)
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
	case holdfast.PublishRehearsing, holdfast.PublishApplying:
		return fmt.Sprintf("`holdfast job watch %s` shows how far it is.", p.Job)
	}
	return ""
}
