package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

// linkPatience is how long a server may take to answer before an agent is told that there is none: something else may hold the port and say nothing.
const linkPatience = 15 * time.Second

// linkState is how far an agent is on its way to a branch to work on; docs/agents.md lists the states.
type linkState struct {
	State   string   `json:"state"`
	Branch  string   `json:"branch,omitempty"`
	File    string   `json:"file,omitempty"`
	Message string   `json:"message,omitempty"`
	Choices []string `json:"choices,omitempty"`
	Next    []string `json:"next"`
}

// linkForAgent goes as far as it can, writes the state as one line of JSON, and fails with the reason unless the directory is linked.
func (c *cli) linkForAgent(ctx context.Context, arg string) error {
	state, err := c.linkStep(ctx, arg)
	if err != nil {
		state.Message = err.Error()
	}
	if encodeErr := json.NewEncoder(c.out).Encode(state); encodeErr != nil {
		return fmt.Errorf("write the answer: %w", encodeErr)
	}
	return err
}

func (c *cli) linkStep(ctx context.Context, arg string) (linkState, error) {
	ctx, cancel := context.WithTimeout(ctx, linkPatience)
	defer cancel()
	client, err := c.client()
	var projects []api.Project
	if err == nil {
		defer client.Close()
		projects, err = client.Projects(ctx)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = &holdfast.Error{Kind: holdfast.Timeout, Message: fmt.Sprintf("the server did not answer within %s", linkPatience), Hint: "see that Holdfast, and not another program, listens there"}
	}
	switch {
	case holdfast.KindOf(err) == holdfast.Unauthenticated:
		return linkState{State: "login_needed", Next: []string{"ask a person for a token: holdfast token create NAME --kind agent --project PROJECT", "set HOLDFAST_URL and HOLDFAST_TOKEN", "holdfast link --agent"}}, err
	case err != nil:
		return linkState{State: "server_missing", Next: []string{"ask a person to start it: holdfast serve", "set HOLDFAST_URL and HOLDFAST_TOKEN", "holdfast link --agent"}}, err
	}
	var choices, developments, productions []string
	for _, p := range projects {
		for _, b := range p.Branches {
			name := b.Ref().String()
			switch holdfast.Environment(b.Environment) {
			case holdfast.Production:
				productions = append(productions, name)
				continue
			case holdfast.Development:
				developments = append(developments, name)
			}
			choices = append(choices, name)
		}
	}
	if len(choices) == 0 {
		return linkState{State: "project_needed", Next: []string{"ask a person for a project: holdfast project create PROJECT", "holdfast link --agent"}},
			&holdfast.Error{Kind: holdfast.NotFound, Message: "there is no project that this token reaches"}
	}
	name, file, err := c.wantedLink(arg, developments)
	switch {
	case slices.Contains(productions, name):
		return linkState{State: "production_refused", Choices: choices, Next: []string{"holdfast link --agent " + choices[0]}},
			&holdfast.Error{Kind: holdfast.NotAllowed, Message: name + " is production, which is changed by a publish", Hint: "work on development or on a preview"}
	case err == nil && !slices.Contains(choices, name):
		err = &usageError{err: fmt.Errorf("%q is not one of the branches to work on", name), hint: "name one of the choices"}
	}
	if err != nil {
		return linkState{State: "branch_needed", Choices: choices, Next: []string{"holdfast link --agent PROJECT/BRANCH, with one of the choices"}}, err
	}
	if file == "" {
		ref, err := holdfast.ParseBranchRef(name)
		if err == nil {
			err = c.writeLink(ref)
		}
		if err == nil {
			file, err = filepath.Abs(linkFile)
		}
		if err != nil {
			return linkState{State: "branch_needed", Choices: choices, Next: []string{"make this directory writable", "holdfast link --agent " + name}}, err
		}
	}
	return linkState{State: "linked", Branch: name, File: file, Next: []string{"holdfast env", "holdfast run -- COMMAND"}}, nil
}

// wantedLink is the branch that is meant, and the link file if that names it already.
func (c *cli) wantedLink(arg string, developments []string) (name, file string, err error) {
	l, path, err := findLink()
	if err != nil {
		return "", "", err
	}
	switch {
	case arg != "":
		ref, err := c.ref(arg)
		if err != nil {
			return arg, "", err
		}
		name = ref.String()
	case path != "":
		name = l.Branch
	case len(developments) == 1:
		name = developments[0]
	default:
		return "", "", &usageError{err: fmt.Errorf("%d development branches are there, and none was named", len(developments)), hint: "name one of the choices"}
	}
	if name == l.Branch {
		file = path
	}
	return name, file, nil
}
