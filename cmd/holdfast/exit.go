package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/holdfast/holdfast"
)

// The exit codes of every command; docs/cli.md explains them.
const (
	exitOK           = 0
	exitFailed       = 1
	exitUsage        = 2
	exitNotFound     = 3
	exitNotAllowed   = 4
	exitConflict     = 5
	exitPrecondition = 6
	exitTimeout      = 7
	exitInterrupted  = 130
)

// usageError is a command line that makes no sense; the hint is how to ask for help.
type usageError struct {
	err  error
	hint string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// exitCode is the one place where an error becomes an exit code.
func exitCode(err error) int {
	var usage *usageError
	var program *programError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &program):
		return program.exitCode()
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	switch holdfast.KindOf(err) {
	case holdfast.Invalid:
		return exitUsage
	case holdfast.NotFound:
		return exitNotFound
	case holdfast.Unauthenticated, holdfast.NotAllowed:
		return exitNotAllowed
	case holdfast.Conflict, holdfast.Unsafe, holdfast.Busy:
		return exitConflict
	case holdfast.Precondition, holdfast.Exhausted:
		return exitPrecondition
	case holdfast.Timeout:
		return exitTimeout
	}
	return exitFailed
}

// finish tells the user why the command ended and returns the exit code.
func (c *cli) finish(ctx context.Context, err error) int {
	if err == nil {
		return exitOK
	}
	code := exitCode(err)
	if ctx.Err() != nil && code == exitFailed {
		code = exitInterrupted // what failed, failed because it was interrupted
	}
	message, hint := err.Error(), holdfast.HintOf(err)
	var usage *usageError
	if errors.As(err, &usage) {
		hint = usage.hint
	}
	switch {
	case code == exitInterrupted && errors.Is(err, context.Canceled):
		fmt.Fprintln(c.errOut, "interrupted")
	case c.json:
		kind := holdfast.KindOf(err)
		if usage != nil {
			kind = holdfast.Invalid
		}
		json.NewEncoder(c.errOut).Encode(map[string]any{"error": map[string]any{"code": kind.String(), "message": message, "hint": hint, "exit_code": code}})
	default:
		fmt.Fprintln(c.errOut, "holdfast:", printableLines(message))
		if hint != "" {
			fmt.Fprintln(c.errOut, "hint:", printableLines(hint))
		}
	}
	return code
}
