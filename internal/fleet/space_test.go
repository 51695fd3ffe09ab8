package fleet

import (
	"strings"
	"testing"

	"github.com/holdfast/holdfast"
)

// The shutdown checkpoint of a new server found the disk full. By the time anybody looked at the disk the server's temporary files were gone and
// there was space again, so the error was "the new server died" without a reason.
func TestAServerThatDiedOfAFullDiskSaysSo(t *testing.T) {
	f := &Fleet{config: Config{Root: t.TempDir()}}
	for line, want := range map[string]holdfast.Kind{
		`FATAL:  could not write block 6 in file "base/16385/1255": wrote only 4096 of 8192 bytes` + "\nHINT:  Check free disk space.": holdfast.Precondition,
		`PANIC:  could not write to file "pg_wal/xlogtemp.99": No space left on device`:                                                holdfast.Precondition,
		"FATAL:  the server was ended by somebody":                                                                                     holdfast.Unavailable,
	} {
		err := f.ExplainSpace(died([]string{"LOG:  shutting down", line}))
		if holdfast.KindOf(err) != want || !strings.Contains(err.Error(), line) {
			t.Errorf("%s: got %v (%v)", line, err, holdfast.KindOf(err))
		}
	}
}
