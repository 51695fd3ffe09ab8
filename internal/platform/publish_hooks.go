package platform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/publish"
)

// HookResult is what one of a project's own checks came to.
type HookResult struct {
	Check  string           `json:"check"` // command or url
	OK     bool             `json:"ok"`
	Status int              `json:"status"` // the exit code, or the HTTP status; 0 where there was none
	Time   publish.Duration `json:"time"`
	Output string           `json:"output,omitempty"` // its beginning
	Error  string           `json:"error,omitempty"`
}

// maxHookOutput is how much of a check's output is kept, in bytes.
const maxHookOutput = 16 << 10

// runHooks runs the project's own checks against the copy. One that fails stands between the plan and production.
func (h *rehearsing) runHooks(ctx context.Context, report *RehearsalReport) error {
	if report.Error != "" {
		return nil // there is nothing to check
	}
	c := h.connection(h.copy, holdfast.OwnerRole(h.found.project.Name), h.input.Copy.Password)
	if h.hooks.Command != "" {
		report.Hooks = append(report.Hooks, h.runCommand(ctx, c))
	}
	if h.hooks.URL != "" {
		report.Hooks = append(report.Hooks, h.askURL(ctx, c))
	}
	for i := range report.Hooks {
		r := &report.Hooks[i]
		r.Output = strings.ToValidUTF8(strings.ReplaceAll(r.Output, c.Password, "********"), "?")
		if !r.OK {
			report.Reasons = append(report.Reasons, publish.Reason{Verdict: publish.Blocked, Code: "hook", Text: fmt.Sprintf("the project's own check (%s) failed: %s", r.Check, r.Error)})
		}
		h.run.Log(fmt.Sprintf("the project's own check (%s): %s in %s", r.Check, hookVerdict(*r), rounded(r.Time)))
	}
	return ctx.Err()
}

func hookVerdict(r HookResult) string {
	if r.OK {
		return "passed"
	}
	return r.Error
}

// runCommand runs the command in a shell as the account of the databases, never as the one of the control plane.
func (h *rehearsing) runCommand(ctx context.Context, c Connection) HookResult {
	result := HookResult{Check: "command"}
	server, err := h.fleet.Server(h.copy.ID)
	if err != nil {
		result.Error = err.Error()
		return result
	}
	ctx, cancel := context.WithTimeout(ctx, hookTimeout(h.hooks.CommandTimeout))
	defer cancel()
	account := server.Account()
	cmd := account.Command(ctx, "/bin/sh", "-c", h.hooks.Command)
	cmd.Env = append(cmd.Env, "DATABASE_URL="+c.URL, "HOLDFAST_PROJECT="+h.found.project.Name, "HOLDFAST_PUBLISH="+strconv.Itoa(h.pub.Number))
	// It leads a session of its own: whatever it began ends with it.
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	out := &boundedBuffer{limit: maxHookOutput}
	cmd.Stdout, cmd.Stderr = out, out
	began := time.Now()
	err = cmd.Run()
	result.Time, result.Output, result.OK = publish.Duration(time.Since(began)), out.String(), err == nil
	if cmd.ProcessState != nil {
		result.Status = cmd.ProcessState.ExitCode()
	}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		result.Error = fmt.Sprintf("it took longer than %s", hookTimeout(h.hooks.CommandTimeout))
	case err != nil:
		result.Error = err.Error()
	}
	return result
}

func hookTimeout(d time.Duration) time.Duration {
	if d == 0 {
		return holdfast.DefaultHookTimeout
	}
	return d
}

// askURL sends the copy's address to the URL.
func (h *rehearsing) askURL(ctx context.Context, c Connection) HookResult {
	result := HookResult{Check: "url"}
	ctx, cancel := context.WithTimeout(ctx, hookTimeout(h.hooks.URLTimeout))
	defer cancel()
	body, err := json.Marshal(map[string]any{"project": h.found.project.Name, "publish": h.pub.Number, "database_url": c.URL})
	if err == nil {
		began := time.Now()
		result.Status, result.Output, err = post(ctx, h.hooks, body)
		result.Time = publish.Duration(time.Since(began))
	}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		result.Error = fmt.Sprintf("it took longer than %s", hookTimeout(h.hooks.URLTimeout))
	case err != nil:
		result.Error = err.Error()
	case result.Status < 200 || result.Status > 299:
		result.Error = fmt.Sprintf("it answered with %d", result.Status)
	default:
		result.OK = true
	}
	return result
}

// post sends a body to a check. The address that a name leads to is looked at when the connection is made, so that no name server can show
// one address to us and another to the machine; redirects are not followed.
func post(ctx context.Context, hooks holdfast.PublishHooks, body []byte) (status int, answer string, err error) {
	dialer := net.Dialer{Timeout: 30 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if !hooks.AllowPrivate && !isPublic(to.Addr()) {
			return &holdfast.Error{Kind: holdfast.NotAllowed, Message: fmt.Sprintf("it leads to %s, which is no public address", to.Addr()), Hint: "an admin of the installation may allow that with --allow-private"}
		}
		return nil
	}}
	transport := &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true, TLSHandshakeTimeout: 30 * time.Second}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, hooks.URL, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "holdfast")
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxHookOutput))
	return res.StatusCode, string(text), err
}

// isPublic says whether an address is one of the public internet.
func isPublic(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, reserved := range []string{"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", "240.0.0.0/4", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"} {
		if netip.MustParsePrefix(reserved).Contains(a) {
			return false
		}
	}
	return true
}
