// Command wake measures how long a client waits for a sleeping branch: from connecting to the first row, through the built
// binary, the front door with TLS and the branch's server. In turns within the same run it measures `pg_ctl start` and psql on a
// server with the same settings, which is what somebody without Holdfast would type. It prints medians and ratios.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 20, "how often each way is measured")
	flag.StringVar(&o.binary, "holdfast", "bin/holdfast", "the binary to measure")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
