// Command backup measures backups in JSON and CSV, out and in, against COPY into /dev/null and pg_dump in the same run. It prints the
// highest memory of each step and ratios of throughput, and fails when a step takes 200 MB or more.
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
	rows := flag.Int("rows", 10_000_000, "rows of the table")
	dir := flag.String("dir", "/tmp", "below which data and backups lie; they are removed at the end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *rows, *dir)
	stop()
	switch {
	case errors.Is(err, errNoServer):
		fmt.Println("skipped:", err)
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
