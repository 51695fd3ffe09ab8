package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

// checkout is the code that belongs to a moment, and where it can be checked out.
type checkout struct {
	dir        string // of the git checkout; "" when there is none here
	commit     string
	checkpoint string // which knows the commit
}

// commitName is what can be handed to git: no option, no path, no range.
var commitName = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._/-]*$`)

// findCode finds the code of a moment. When it is to be checked out, whatever could keep git from it is looked for first.
func (c *cli) findCode(ctx context.Context, client *api.Client, ref holdfast.BranchRef, at string, use bool) (*checkout, error) {
	known, err := codeAt(ctx, client, ref, at)
	if err != nil {
		return nil, err
	}
	if !commitName.MatchString(known.Code) || strings.Contains(known.Code, "..") {
		return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("checkpoint %s names %q as its code, which is no commit", known.ID, known.Code)}
	}
	co := &checkout{commit: known.Code, checkpoint: known.ID}
	if _, path, err := findLink(); err == nil && path != "" {
		co.dir = filepath.Dir(path)
	}
	if !use {
		return co, nil
	}
	if co.dir == "" {
		return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: "there is no link file .holdfast here, so it is not known where the code lies", Hint: "run `holdfast link` in the git checkout, or use --code and run git yourself"}
	}
	changed, err := co.git(ctx, "status", "--porcelain")
	if err != nil {
		return nil, err
	}
	if changed != "" {
		return nil, &holdfast.Error{Kind: holdfast.Unsafe, Message: co.dir + " has changes that are not committed", Hint: "commit or stash them first"}
	}
	if _, err := co.git(ctx, "rev-parse", "--verify", "--quiet", co.commit+"^{commit}"); err != nil {
		return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("%s does not have the commit %s", co.dir, co.commit), Hint: "fetch it first: git fetch --all", Cause: err}
	}
	return co, nil
}

// codeAt finds the checkpoint that knows the code of a moment.
func codeAt(ctx context.Context, client *api.Client, ref holdfast.BranchRef, at string) (api.Checkpoint, error) {
	if id, ok := strings.CutPrefix(at, "checkpoint:"); ok {
		known, err := client.Checkpoint(ctx, ref, id)
		if err == nil && known.Code == "" {
			err = &holdfast.Error{Kind: holdfast.NotFound, Message: "checkpoint " + id + " does not know the commit of its code", Hint: "make checkpoints in the git checkout that holds the link file, or with --code"}
		}
		return known, err
	}
	plan, err := client.PlanRestore(ctx, ref, at)
	if err != nil {
		return api.Checkpoint{}, err
	}
	end, err := holdfast.ParseLSN(plan.LSN)
	if err != nil {
		return api.Checkpoint{}, err
	}
	all, err := client.Checkpoints(ctx, ref)
	if err != nil {
		return api.Checkpoint{}, err
	}
	for _, known := range all { // the newest first
		if lsn, err := holdfast.ParseLSN(known.LSN); err == nil && known.Code != "" && lsn <= end {
			return known, nil
		}
	}
	return api.Checkpoint{}, &holdfast.Error{Kind: holdfast.NotFound, Message: "no checkpoint before that moment knows the commit of its code", Hint: "make checkpoints in the git checkout that holds the link file, or with --code"}
}

func (co *checkout) command() string {
	if co.dir == "" {
		return "git checkout --detach " + co.commit
	}
	return "git -C " + quoteForShell(co.dir) + " checkout --detach " + co.commit
}

func quoteForShell(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-", r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func (co *checkout) run(ctx context.Context, c *cli) error {
	if _, err := co.git(ctx, "checkout", "--quiet", "--detach", co.commit); err != nil {
		return err
	}
	if c.json {
		return nil
	}
	return c.say("%s is at commit %s, that of checkpoint %s", co.dir, co.commit, co.checkpoint)
}

func (co *checkout) git(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "git", append([]string{"-C", co.dir}, args...)...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) && len(exit.Stderr) > 0 {
			return "", fmt.Errorf("git %s: %s", args[0], strings.TrimSpace(string(exit.Stderr)))
		}
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return strings.TrimSpace(string(out)), nil
}
