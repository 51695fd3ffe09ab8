package test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/pgtest"
)

// common is the server that tests share which leave it as it was but for projects of their own. It ends with this process.
var common sharedServer

type sharedServer struct {
	mu       sync.Mutex
	s        *server
	projects int
}

// shared returns the server that tests share. Nobody stops it, and nobody touches projects of others.
func shared(t *testing.T) *server {
	t.Helper()
	pgtest.Installation(t)
	common.mu.Lock()
	defer common.mu.Unlock()
	if common.s == nil {
		dir := pgtest.Kept(t, "shared", func(string) {})
		s := newServer(t, dir, nil)
		s.keep = true
		s.start(t)
		common.s = s
	}
	return common.s
}

// sharedProject creates a project of the test's own on the shared server.
func sharedProject(t *testing.T, rows int) (s *server, development, production holdfast.BranchRef) {
	t.Helper()
	s = shared(t)
	common.mu.Lock()
	common.projects++
	name := fmt.Sprintf("p%d", common.projects)
	common.mu.Unlock()
	development, production = s.project(t, api.NewProject{Name: name, SampleRows: rows})
	t.Cleanup(func() { // its servers take memory that others need
		for _, ref := range []holdfast.BranchRef{development, production} {
			if !t.Failed() {
				_, _ = s.Sleep(context.Background(), ref, true)
			}
		}
	})
	return s, development, production
}

// end stops the server as Ctrl-C does. Whatever it should leave is killed by pgtest's guard.
func (c *sharedServer) end() {
	if c.s == nil {
		return
	}
	_ = c.s.process.Stop()
}
