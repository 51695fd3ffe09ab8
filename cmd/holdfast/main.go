// Command holdfast is the whole product in one binary: `holdfast serve` is the server, every other command is a client of its
// REST API. Which room is joined to which is visible in serve.go; settings are read in config.go; exit codes are chosen in exit.go.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// version is the product's version. The build sets it: -ldflags "-X main.version=1.2.3".
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks, the second one kills, as it would any program. Within a second they are the same: whoever started this
	// program (make, timeout, a shell) may pass on what the terminal has sent to everybody already.
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, stop) })
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program without the process around it.
func run(ctx context.Context, args []string, in *os.File, out, errOut io.Writer) int {
	c := &cli{in: in, out: out, errOut: errOut}
	var err error
	if c.env, err = readEnvironment(); err == nil {
		root := newRoot(c)
		root.SetArgs(args)
		err = root.ExecuteContext(ctx)
	}
	return c.finish(ctx, err)
}
