package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

const (
	maxMCPMessage = 4 << 20 // bytes of one message
	maxMCPCalls   = 16      // at once
	mcpTimeout    = 3 * time.Minute
)

func (c *cli) mcpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "mcp", Short: "Give a coding agent its tools, over standard input and output",
		Long: `Speaks the Model Context Protocol on standard input and output and passes every message on to the server's /mcp, with the token that the other
commands use. Agents that speak MCP over HTTP need no command: give them the server's address with /mcp and the header Authorization: Bearer TOKEN.

Make a token for it with ` + "`holdfast token create NAME --kind agent --project shop`" + `: it reaches development and previews, and never production.`,
		Example: `  holdfast token create copilot --kind agent --project shop
  HOLDFAST_URL=http://127.0.0.1:7600 HOLDFAST_TOKEN=... holdfast mcp`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := c.target()
			if err != nil {
				return err
			}
			return (&mcpBridge{target: t, out: c.out, client: &http.Client{Timeout: mcpTimeout}}).run(cmd.Context(), c.in)
		},
	}
}

// mcpBridge carries messages between a program's pipes and the server. The server keeps no session, so each message is a request.
type mcpBridge struct {
	target
	client *http.Client
	mu     sync.Mutex // of out
	out    io.Writer
}

func (b *mcpBridge) run(ctx context.Context, in *os.File) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), maxMCPMessage)
	limit := make(chan struct{}, maxMCPCalls)
	var calls sync.WaitGroup
	defer calls.Wait()
	for lines.Scan() {
		message := bytes.TrimSpace(bytes.Clone(lines.Bytes()))
		if len(message) == 0 {
			continue
		}
		limit <- struct{}{}
		calls.Go(func() {
			defer func() { <-limit }()
			b.pass(ctx, message)
		})
	}
	if err := lines.Err(); err != nil {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: "the messages cannot be read", Cause: err}
	}
	return nil
}

// pass passes a message on. Whatever goes wrong is the answer to that message.
func (b *mcpBridge) pass(ctx context.Context, message []byte) {
	answer, err := b.ask(ctx, message)
	if err != nil {
		var asked struct {
			ID json.RawMessage `json:"id"`
		}
		if json.Unmarshal(message, &asked) != nil || asked.ID == nil {
			return // a notification has no answer
		}
		// -32603 is JSON-RPC's internal error (https://www.jsonrpc.org/specification#error_object).
		answer, _ = json.Marshal(map[string]any{"jsonrpc": "2.0", "id": asked.ID, "error": map[string]any{"code": -32603, "message": err.Error()}})
	}
	if len(answer) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	_, _ = b.out.Write(append(answer, '\n')) // whoever asked has gone
}

func (b *mcpBridge) ask(ctx context.Context, message []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(b.url, "/")+api.MCPPath, bytes.NewReader(message))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+b.token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	response, err := b.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("the server cannot be reached")
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxMCPMessage))
	if err != nil {
		return nil, fmt.Errorf("the server's answer broke off")
	}
	if response.StatusCode >= http.StatusBadRequest && !json.Valid(body) {
		return nil, fmt.Errorf("the server answered %s", response.Status)
	}
	if response.StatusCode >= http.StatusBadRequest {
		var p api.Problem
		if json.Unmarshal(body, &p) == nil && p.Detail != "" {
			return nil, fmt.Errorf("%s", strings.TrimSpace(p.Detail+" "+p.Hint))
		}
	}
	var compact bytes.Buffer // one message is one line
	if len(body) > 0 && json.Compact(&compact, body) != nil {
		return nil, fmt.Errorf("the server's answer is no JSON")
	}
	return compact.Bytes(), nil
}

func (c *cli) undoCommand() *cobra.Command {
	w := waiting{wait: true}
	var yes bool
	cmd := &cobra.Command{
		Use: "undo [PROJECT/BRANCH]", Short: "Take back what an agent did to development",
		Long: `Takes a branch back to the newest checkpoint that was made before an agent wrote to it. Such a checkpoint is made by itself, at most one
a minute. What the branch has now is kept for seven days, and ` + "`holdfast restore undo`" + ` puts it back. Run it again to go further back.`,
		Example: "  holdfast undo shop/development", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeBranches,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onBranch(cmd.Context(), args, func(client *api.Client, ref holdfast.BranchRef) error {
				checkpoints, err := client.Checkpoints(cmd.Context(), ref)
				if err != nil {
					return err
				}
				last := lastBeforeAgent(checkpoints)
				if last == nil {
					return &holdfast.Error{Kind: holdfast.NotFound, Message: "no agent has written to " + ref.String() + ", as far as its checkpoints say", Hint: "`holdfast checkpoint list` shows them; `holdfast restore` goes to any moment"}
				}
				if err := c.confirm(yes, fmt.Sprintf("This takes %s back to %s, before an agent wrote. What it has now is kept for seven days.", ref, moment(last.At)), ref.String()); err != nil {
					return err
				}
				job, err := client.Restore(cmd.Context(), ref, "checkpoint:"+last.ID)
				if err != nil {
					return err
				}
				return c.finishJob(cmd.Context(), client, job, w.wanted(), fmt.Sprintf("%s is as it was at %s; `holdfast restore undo %s` takes that back", ref, moment(last.At), ref))
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	w.flags(cmd)
	return cmd
}

// lastBeforeAgent is the newest checkpoint before an agent's write that is not undone already: each restore since has taken one back.
func lastBeforeAgent(all []api.Checkpoint) *api.Checkpoint {
	newest := slices.SortedFunc(slices.Values(all), func(a, b api.Checkpoint) int { return b.At.Compare(a.At) })
	restores := 0
	for i, c := range newest {
		switch holdfast.CheckpointReason(c.Reason) {
		case holdfast.BeforeRestoreCheckpoint:
			restores++
		case holdfast.BeforeAgentCheckpoint:
			if restores == 0 {
				return &newest[i]
			}
			restores--
		}
	}
	return nil
}
