// Package mcp is the agents' door: the Model Context Protocol (https://modelcontextprotocol.io) over streamable HTTP, as tools on the platform.
//
// It decides nothing. Every tool calls the use case that the REST API calls too, as the principal of the request's token; what an agent may not do
// is refused there, with what to do instead, and stands in the audit trail. A request is answered by itself: no session is kept.
package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/platform"
)

// maxRequest bounds a request's body in bytes: SQL is text.
const maxRequest = 1 << 20

const instructions = `Holdfast keeps PostgreSQL environments. A branch is addressed as project/branch. Every project has a development branch to change freely and a
production branch. Agents work on development and on previews, which are copies; production is changed by a publish that a person approves. Propose one
with propose_publish and rehearse_publish. A checkpoint of development is made before your writes, so restore can undo them.`

// Handler answers MCP over HTTP. principal says who asks, from the request's context; whoever mounts it lets only requests in that have one.
func Handler(p *platform.Platform, principal func(context.Context) holdfast.Principal, version string) http.Handler {
	schemas := sdk.NewSchemaCache()
	return sdk.NewStreamableHTTPHandler(func(r *http.Request) *sdk.Server {
		s := sdk.NewServer(&sdk.Implementation{Name: "holdfast", Title: "Holdfast", Version: version}, &sdk.ServerOptions{Instructions: instructions, SchemaCache: schemas,
			Capabilities: &sdk.ServerCapabilities{}})
		(&door{platform: p, who: principal(r.Context())}).open(s)
		return s
	}, &sdk.StreamableHTTPOptions{Stateless: true, JSONResponse: true, MaxRequestBodyBytes: maxRequest, DisableLocalhostProtection: true}) // the server checks the Host header itself
}

// door is the tools of one caller.
type door struct {
	platform *platform.Platform
	who      holdfast.Principal
}

func (d *door) open(s *sdk.Server) {
	d.openBranches(s)
	d.openSQL(s)
	d.openHistory(s)
	d.openPublish(s)
}

// tool adds a tool whose errors are told as the platform worded them.
func tool[In, Out any](d *door, s *sdk.Server, name, description string, reads bool, use func(context.Context, In) (Out, error)) {
	never := false
	t := &sdk.Tool{Name: name, Description: description, Annotations: &sdk.ToolAnnotations{ReadOnlyHint: reads, OpenWorldHint: &never}}
	sdk.AddTool(s, t, func(ctx context.Context, _ *sdk.CallToolRequest, in In) (*sdk.CallToolResult, any, error) {
		out, err := use(ctx, in)
		if err != nil {
			d.platform.NoteRefusal(ctx, d.who, "mcp "+name, in, err)
			return &sdk.CallToolResult{IsError: true, Content: []sdk.Content{&sdk.TextContent{Text: wording(err)}}}, nil, nil
		}
		text, err := json.Marshal(out)
		if err != nil {
			return nil, nil, err
		}
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: string(text)}}}, nil, nil
	})
}

// wording is an error as an agent reads it. What was not meant for anybody is not told.
func wording(err error) string {
	told := map[string]string{"kind": holdfast.KindOf(err).String(), "message": "internal error; the server's log says more"}
	var e *holdfast.Error
	if errors.As(err, &e) {
		told["message"], told["hint"] = e.Message, holdfast.HintOf(err)
	}
	text, _ := json.Marshal(told) // strings only
	return string(text)
}

// nothing is the input of a tool that takes none.
type nothing struct{}

type branchInput struct {
	Branch string `json:"branch" jsonschema:"the branch as project/branch, for example shop/development"`
}
