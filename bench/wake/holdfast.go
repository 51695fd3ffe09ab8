package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/servetest"
)

// served is a running holdfast with one project.
type served struct {
	process *servetest.Process
	client  *api.Client
	url     string // of the branch
}

func startHoldfast(ctx context.Context, binary, dir string) (_ *served, err error) {
	s := &served{}
	if s.process, err = servetest.Launch(servetest.Options{Binary: binary, Data: dir}); err != nil {
		return nil, fmt.Errorf("%w (make build makes it)", err)
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := s.process.Greeted(); err != nil {
		return nil, err
	}
	if s.client, err = s.process.Client(); err != nil {
		return nil, err
	}
	if err := servetest.CreateProject(ctx, s.client, api.NewProject{Name: branch.Project}); err != nil {
		return nil, err
	}
	connection, err := s.client.Connection(ctx, branch)
	s.url = connection.URL
	return s, err
}

func (s *served) sleep(ctx context.Context) error {
	_, err := s.client.Sleep(ctx, branch, true)
	return err
}

func (s *served) connect(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return err
	}
	return select1(ctx, conn)
}

func (s *served) close() {
	_ = s.process.Stop() // how it ended does not change what was measured
}
