// Command branch measures how long it takes to copy a running production under load: through the built binary, from asking for a preview until it
// stands and until its first row is read, at several sizes, on XFS and on the disk of the temporary folder. On a disk that cannot share blocks it
// measures `cp -r` of the same directory in the same run. Last it takes production back to a checkpoint. It prints medians and ratios.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
)

func main() {
	o := options{}
	sizes := flag.String("sizes", "0.2,2,10", "sizes of the database in GB, the smallest first")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each copy is made")
	flag.IntVar(&o.clients, "clients", 2, "sessions of pgbench that write meanwhile")
	flag.StringVar(&o.binary, "holdfast", "bin/holdfast", "the binary to measure")
	flag.StringVar(&o.dir, "dir", "/tmp", "where the databases lie while they are measured")
	flag.BoolVar(&o.verbose, "v", false, "tell what the server logs about each copy")
	flag.BoolVar(&o.volumeOnly, "volume-only", false, "leave out the disk itself")
	flag.Parse()
	for _, text := range strings.Split(*sizes, ",") {
		size, err := strconv.ParseFloat(text, 64)
		if err != nil || size <= 0 {
			fmt.Fprintf(os.Stderr, "%q is not a size in GB\n", text)
			os.Exit(2)
		}
		o.sizes = append(o.sizes, size)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
