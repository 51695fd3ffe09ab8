// Command history measures base backups, restores, increments and WAL streaming against PostgreSQL's own tools and, where it is
// installed, pgBackRest, in turns within one run on one database. It prints medians and ratios.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 3, "how often each way is measured")
	flag.IntVar(&o.scale, "scale", 100, "pgbench's scale; as many megabytes of text and JSON come on top of its 15 a unit")
	flag.IntVar(&o.segments, "segments", 64, "how many WAL segments are streamed")
	flag.StringVar(&o.dir, "dir", "", "where data and backups lie; empty: a temporary folder")
	flag.StringVar(&o.pgbackrest, "pgbackrest", "pgbackrest", "the pgBackRest to compare with")
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
