// Command console measures how long a person waits for the first cell of a large table in the web console: in a real browser with empty
// caches from the address on, and in a page that is open, from choosing the table on. In turns within the same run it measures psql for the
// same rows, which is what somebody without a console would type. It prints medians and ratios.
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
	flag.IntVar(&o.rounds, "rounds", 9, "how often each way is measured")
	flag.IntVar(&o.rows, "rows", 10_000_000, "how many rows the table has")
	flag.StringVar(&o.binary, "holdfast", "bin/holdfast", "the binary to measure")
	flag.StringVar(&o.tools, "tools", ".tools/browser", "where playwright-core is installed")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
