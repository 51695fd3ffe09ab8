// Command publish measures for how long clients stand still while a schema plan is applied to a database that is in use: pgbench
// writes, readers look up one row after the other, and somebody reads in long transactions. The same plan (a new column, an index,
// NOT NULL, a foreign key, a wider type) is applied by Holdfast, by `psql -f`, and statement by statement with a lock timeout of 3 s
// that is tried again, as the usual tool does. It prints the longest stall of a reader and of a writer, and ratios.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 2, "how often each way is measured")
	flag.IntVar(&o.scale, "scale", 5, "scale of pgbench: 100,000 accounts each")
	flag.DurationVar(&o.hold, "hold", 5*time.Second, "how long each transaction of the long reader takes")
	flag.DurationVar(&o.gap, "gap", time.Second, "pause between the long reader's transactions")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
