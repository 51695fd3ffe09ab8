package platform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/egress"
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

// checked is the database that a project's own checks look at: a copy, never the original.
type checked struct {
	branch      holdfast.BranchID
	connection  Connection
	environment []string       // further variables for a command
	about       map[string]any // what a URL is told beside database_url
}

// runHooks runs a project's own command and asks its URL. The password of the copy is in no result.
func (p *Platform) runHooks(ctx context.Context, hooks holdfast.Hooks, c checked) []HookResult {
	var out []HookResult
	if hooks.Command != "" {
		out = append(out, p.runCommand(ctx, hooks, c))
	}
	if hooks.URL != "" {
		out = append(out, askURL(ctx, hooks, c))
	}
	for i := range out {
		out[i].Output = strings.ToValidUTF8(strings.ReplaceAll(out[i].Output, c.connection.Password, "********"), "?")
	}
	return out
}

func hookVerdict(r HookResult) string {
	if r.OK {
		return "passed"
	}
	return r.Error
}

// runCommand runs the command in a shell as the account of the databases, never as the one of the control plane.
func (p *Platform) runCommand(ctx context.Context, hooks holdfast.Hooks, c checked) HookResult {
	result := HookResult{Check: "command"}
	server, err := p.fleet.Server(c.branch)
	if err != nil {
		result.Error = err.Error()
		return result
	}
	ctx, cancel := context.WithTimeout(ctx, hookTimeout(hooks.CommandTimeout))
	defer cancel()
	account := server.Account()
	cmd := account.Command(ctx, "/bin/sh", "-c", hooks.Command)
	cmd.Env = append(append(cmd.Env, "DATABASE_URL="+c.connection.URL), c.environment...)
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
		result.Error = fmt.Sprintf("it took longer than %s", hookTimeout(hooks.CommandTimeout))
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
func askURL(ctx context.Context, hooks holdfast.Hooks, c checked) HookResult {
	result := HookResult{Check: "url"}
	ctx, cancel := context.WithTimeout(ctx, hookTimeout(hooks.URLTimeout))
	defer cancel()
	about := maps.Clone(c.about)
	about["database_url"] = c.connection.URL
	body, err := json.Marshal(about)
	if err == nil {
		began := time.Now()
		result.Status, result.Output, err = post(ctx, hooks, body)
		result.Time = publish.Duration(time.Since(began))
	}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		result.Error = fmt.Sprintf("it took longer than %s", hookTimeout(hooks.URLTimeout))
	case err != nil:
		result.Error = err.Error()
	case result.Status < 200 || result.Status > 299:
		result.Error = fmt.Sprintf("it answered with %d", result.Status)
	default:
		result.OK = true
	}
	return result
}

// everywhere are all addresses there are.
var everywhere = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}

// post sends a body to a check. Redirects are not followed.
func post(ctx context.Context, hooks holdfast.Hooks, body []byte) (status int, answer string, err error) {
	var guard egress.Guard
	if hooks.AllowPrivate {
		guard.Allow = everywhere
	}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := guard.DialContext(ctx, network, address)
		if holdfast.KindOf(err) == holdfast.NotAllowed {
			return nil, &holdfast.Error{Kind: holdfast.NotAllowed, Message: "it leads into a private network or to this machine", Hint: "an admin of the installation may allow that with --allow-private", Cause: err}
		}
		return conn, err
	}
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true, TLSHandshakeTimeout: 30 * time.Second}
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
