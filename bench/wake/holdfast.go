package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast/internal/api"
)

// served is a running holdfast with one project.
type served struct {
	process *exec.Cmd
	log     *os.File
	client  *api.Client
	url     string // of the branch
}

func startHoldfast(ctx context.Context, binary, dir string) (_ *served, err error) {
	http, err := freePort()
	if err != nil {
		return nil, err
	}
	gateway, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &served{}
	if s.log, err = os.Create(dir + ".log"); err != nil {
		return nil, err
	}
	s.process = exec.Command(binary, "serve", "--data", dir, "--http", http, "--gateway", gateway)
	s.process.Stdout, s.process.Stderr = s.log, s.log
	s.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt is for us; it is stopped in order
	if err := s.process.Start(); err != nil {
		return nil, fmt.Errorf("start %s (make build makes it): %w", binary, err)
	}
	defer func() {
		if err != nil {
			s.close()
			said, _ := os.ReadFile(dir + ".log") // without it the error stands alone
			err = fmt.Errorf("%w\n%s", err, said)
		}
	}()
	if err := s.open(ctx, "http://"+http, filepath.Join(dir, "admin.token")); err != nil {
		return nil, err
	}
	return s, s.createProject(ctx)
}

func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// open waits until the API answers.
func (s *served) open(ctx context.Context, url, tokenFile string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		token, err := os.ReadFile(tokenFile)
		if err == nil {
			if s.client, err = api.NewClient(url, strings.TrimSpace(string(token)), "bench"); err == nil {
				_, err = s.client.Projects(ctx)
			}
		}
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for holdfast: %w", err)
		}
	}
}

func (s *served) createProject(ctx context.Context) error {
	job, err := s.client.CreateProject(ctx, api.NewProject{Name: branch.Project})
	if err != nil {
		return err
	}
	if job, err = s.client.FollowJob(ctx, job.ID, func(api.Job) {}); err != nil {
		return err
	}
	if err := job.Err(); err != nil {
		return err
	}
	connection, err := s.client.Connection(ctx, branch)
	s.url = connection.URL
	return err
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
	_ = s.process.Process.Signal(syscall.SIGTERM) // it may have ended already
	_ = s.process.Wait()                          // how it ended does not change what was measured
	_ = s.log.Close()
}
