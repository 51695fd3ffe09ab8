package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
	"github.com/holdfast/holdfast/internal/servetest"
)

type options struct {
	rounds, rows  int
	binary, tools string
}

// goal is what the first cell may take at the median on two quiet cores.
const goal = time.Second

var branch = holdfast.BranchRef{Project: "bench", Branch: holdfast.DevelopmentName}

// firstID is the first row's key, as the grid shows it.
const firstID = "1000000001"

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("/tmp", "hfbench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o711); err != nil { // the servers' account passes through
		return err
	}
	data := filepath.Join(dir, "holdfast")
	process, err := servetest.Launch(servetest.Options{Binary: o.binary, Data: data})
	if err != nil {
		return fmt.Errorf("%w (make build makes it)", err)
	}
	defer func() { _ = process.Stop() }() // how it ended does not change what was measured
	if err := process.Greeted(); err != nil {
		return err
	}
	url, err := makeTables(ctx, process, o.rows)
	if err != nil {
		return err
	}
	installs, err := postgres.Find(ctx, pgtest.Setting())
	if err != nil {
		return err
	}
	install, err := postgres.Choose(installs, 0)
	if err != nil {
		return err
	}
	psql, err := postgres.FindProgram(ctx, pgtest.Setting(), "psql", install.Major)
	if err != nil {
		return err
	}
	page, err := openBrowser(ctx, o, process, data)
	if err != nil {
		return err
	}
	defer page.close()
	fmt.Printf("PostgreSQL %s, a table of %d rows, %d rounds\n", install.Version, o.rows, o.rounds)
	var cold, warm, peer []time.Duration
	for round := range o.rounds + 1 {
		c, w, err := page.round()
		if err != nil {
			return err
		}
		begun := time.Now()
		if out, err := exec.CommandContext(ctx, psql, "--no-psqlrc", "--quiet", url, "--command", "SELECT * FROM big ORDER BY id LIMIT 200").CombinedOutput(); err != nil {
			return fmt.Errorf("psql: %w: %s", err, out)
		}
		if round > 0 { // the first warms the disk's cache for all
			cold, warm, peer = append(cold, c), append(warm, w), append(peer, time.Since(begun))
		}
	}
	report(cold, warm, peer)
	return nil
}

// makeTables makes the project and its tables and says where the database is.
func makeTables(ctx context.Context, process *servetest.Process, rows int) (string, error) {
	client, err := process.Client()
	if err != nil {
		return "", err
	}
	if err := servetest.CreateProject(ctx, client, api.NewProject{Name: branch.Project}); err != nil {
		return "", err
	}
	connection, err := client.Connection(ctx, branch)
	if err != nil {
		return "", err
	}
	conn, err := pgx.Connect(ctx, connection.URL)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	for _, sql := range []string{
		fmt.Sprintf(`CREATE TABLE big AS SELECT %s + n AS id, 'note ' || n AS note, n / 100.0 AS price, timestamptz '2026-01-01' + n * interval '1 second' AS at FROM generate_series(0, %d) n`, firstID, rows-1),
		`ALTER TABLE big ADD PRIMARY KEY (id)`, `VACUUM ANALYZE big`, `CREATE TABLE small AS SELECT 'small' AS name`,
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return "", fmt.Errorf("make the tables: %w", err)
		}
	}
	return connection.URL, nil
}

// browserPage is a browser that measures on demand.
type browserPage struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	hear *bufio.Scanner
}

func openBrowser(ctx context.Context, o options, process *servetest.Process, data string) (*browserPage, error) {
	var chromium string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			chromium = found
			break
		}
	}
	if chromium == "" {
		return nil, errors.New("there is no chromium; `scripts/install.sh test` installs it")
	}
	tools, err := filepath.Abs(o.tools)
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(filepath.Join(data, "admin.token"))
	if err != nil {
		return nil, err
	}
	base, err := process.APIAddress()
	if err != nil {
		return nil, err
	}
	p := &browserPage{cmd: exec.CommandContext(ctx, "node", "bench/console/first-cell.mjs")}
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.hear = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	return p, json.NewEncoder(p.in).Encode(map[string]string{"tools": tools, "chromium": chromium, "base": base, "token": strings.TrimSpace(string(token)), "cell": firstID,
		"path": "/projects/" + branch.Project + "/branches/" + branch.Branch + "/data"})
}

// round measures one page that is opened, and one table that is chosen in an open page.
func (p *browserPage) round() (cold, warm time.Duration, err error) {
	if _, err := io.WriteString(p.in, "go\n"); err != nil {
		return 0, 0, fmt.Errorf("the browser has ended: %w", err)
	}
	if !p.hear.Scan() {
		return 0, 0, errors.Join(errors.New("the browser has ended"), p.hear.Err())
	}
	var took struct{ Cold, Warm float64 }
	if err := json.Unmarshal(p.hear.Bytes(), &took); err != nil {
		return 0, 0, err
	}
	return milliseconds(took.Cold), milliseconds(took.Warm), nil
}

func (p *browserPage) close() {
	_ = p.in.Close() // it ends at the end of its input
	_ = p.cmd.Wait()
}

func milliseconds(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }

func report(cold, warm, peer []time.Duration) {
	fmt.Printf("\n%-44s %10s %10s %8s\n", "until the first cell", "median", "90 %", "ratio")
	for _, w := range []struct {
		name string
		took []time.Duration
	}{{"the console, opened at the table", cold}, {"the console, table chosen in an open page", warm}, {"psql, the same rows", peer}} {
		fmt.Printf("%-44s %8.1fms %8.1fms %8.2f\n", w.name, ms(quantile(w.took, 0.5)), ms(quantile(w.took, 0.9)), float64(quantile(w.took, 0.5))/float64(quantile(peer, 0.5)))
	}
	verdict := "met"
	if quantile(cold, 0.5) > goal || quantile(warm, 0.5) > goal {
		verdict = "missed; is the machine quiet?"
	}
	fmt.Printf("\nratio: against psql. The goal of %s at the median was %s.\n", goal, verdict)
}

func quantile(took []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(took))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
