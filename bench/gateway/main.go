// Command gateway measures what the front door costs: `pgbench -S` against PostgreSQL directly, through pgbouncer in session
// mode and through the gateway, in turns within one run, with one client and with many, without and with TLS. It prints medians
// and ratios.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "how often each pair of target and client count is measured")
	flag.DurationVar(&o.duration, "duration", 4*time.Second, "how long each measurement takes; whole seconds")
	flag.IntVar(&o.scale, "scale", 10, "pgbench's scale")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o)
	stop()
	var missing *missingError
	switch {
	case errors.As(err, &missing):
		fmt.Println("skipped:", err)
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
