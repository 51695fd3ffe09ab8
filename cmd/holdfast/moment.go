package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

// momentOf splits PROJECT/BRANCH@MOMENT. The moment is as the API takes it; "" where none is written.
func momentOf(arg string, now time.Time) (branch, at string, err error) {
	branch, text, found := strings.Cut(arg, "@")
	if !found {
		return arg, "", nil
	}
	m := momentFlags{at: text}
	if lsn, ok := strings.CutPrefix(text, "lsn:"); ok {
		m = momentFlags{lsn: lsn}
	} else if checkpoint, ok := strings.CutPrefix(text, "checkpoint:"); ok {
		m = momentFlags{checkpoint: checkpoint}
	}
	if at, err = m.text(now); err == nil && at == "" {
		err = fmt.Errorf("%q names no moment behind the @", arg)
	}
	return branch, at, err
}

// look makes a read-only copy of a moment and returns its name. It is deleted by itself when nobody has used it for half a minute.
func (c *cli) look(ctx context.Context, client *api.Client, ref holdfast.BranchRef, at string) (holdfast.BranchRef, error) {
	job, err := client.Look(ctx, ref, at)
	if err != nil {
		return holdfast.BranchRef{}, err
	}
	if job, err = c.follow(ctx, client, job); err != nil {
		return holdfast.BranchRef{}, err
	}
	result, _ := job.Result.(map[string]any)
	name, _ := result["branch"].(string)
	return holdfast.ParseBranchRef(name)
}
