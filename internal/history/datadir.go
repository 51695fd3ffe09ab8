package history

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast/holdfast"
)

const (
	controlFile = "global/pg_control"
	labelFile   = "backup_label"
	markerFile  = "holdfast.json" // names the lineage that the data directory carries on
)

// dataFile is a file of a data directory that belongs into a copy of it.
type dataFile struct {
	path     string // relative, with slashes
	size     int64
	relation bool   // its pages carry checksums
	first    uint32 // block number of its first page in the relation
}

var errTablespaces = &holdfast.Error{Kind: holdfast.Precondition, Message: "the server has tablespaces outside its data directory, which cannot be backed up or copied",
	Hint: "move their tables back (ALTER TABLE ... SET TABLESPACE pg_default) and drop them"}

// dataTree is what belongs into a copy of a data directory: everything but what PostgreSQL makes anew at its start
// (src/backend/backup/basebackup.c lists the same), the WAL, our own marker, unlogged tables but for their initial state, and the control
// file, which must be copied last.
type dataTree struct {
	dirs  []string
	files []dataFile // sorted by path
	bytes int64
}

// emptied are the directories that are kept without what is in them.
var emptied = []string{"pg_wal", "pg_dynshmem", "pg_notify", "pg_replslot", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans", "log"}

// left are the files that no copy has.
var left = []string{"postmaster.pid", "postmaster.opts", "postgresql.auto.conf.tmp", "current_logfiles", "current_logfiles.tmp", "backup_manifest",
	"backup_manifest.tmp", labelFile, "backup_label.old", "tablespace_map", "tablespace_map.old", "recovery.signal", "standby.signal", markerFile, markerFile + ".tmp", controlFile}

var (
	relationName  = regexp.MustCompile(`^(\d+)(?:_(fsm|vm|init))?(?:\.(\d+))?$`)
	temporaryName = regexp.MustCompile(`^t\d+_\d+`)
)

// readDataTree lists a data directory that may be in use: what vanishes meanwhile is no error. Tablespaces outside are refused.
func readDataTree(dir string) (dataTree, error) {
	var tree dataTree
	if err := tree.add(dir, ""); err != nil {
		return dataTree{}, fmt.Errorf("list the data directory: %w", err)
	}
	slices.Sort(tree.dirs)
	slices.SortFunc(tree.files, func(a, b dataFile) int { return cmp.Compare(a.path, b.path) })
	return tree, nil
}

func (t *dataTree) add(root, folder string) error {
	entries, err := os.ReadDir(filepath.Join(root, folder))
	if err != nil {
		return gone(err)
	}
	if folder == "pg_tblspc" && len(entries) > 0 {
		return errTablespaces
	}
	unlogged := unloggedRelations(folder, entries)
	for _, entry := range entries {
		path := entry.Name()
		if folder != "" {
			path = folder + "/" + path
		}
		switch {
		case slices.Contains(left, path), strings.HasPrefix(entry.Name(), "pg_internal.init"), strings.HasPrefix(entry.Name(), "pgsql_tmp"):
		case entry.IsDir():
			t.dirs = append(t.dirs, path)
			if slices.Contains(emptied, path) {
				continue
			}
			if err := t.add(root, path); err != nil {
				return err
			}
		case entry.Type().IsRegular():
			if err := t.addFile(path, entry, unlogged); err != nil {
				return err
			}
		case entry.Type()&fs.ModeSymlink != 0:
			return &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("%s in the data directory is a symbolic link; what it leads to would be left out", path)}
		}
	}
	return nil
}

func (t *dataTree) addFile(path string, entry fs.DirEntry, unlogged map[string]bool) error {
	file, err := newDataFile(path)
	if err != nil {
		return err
	}
	if inDatabase(path) && temporaryName.MatchString(entry.Name()) {
		return nil
	}
	if m := relationName.FindStringSubmatch(entry.Name()); file.relation && unlogged[m[1]] && m[2] != "init" {
		return nil
	}
	info, err := entry.Info()
	if err != nil {
		return gone(err)
	}
	file.size = info.Size()
	t.files = append(t.files, file)
	t.bytes += file.size
	return nil
}

// newDataFile says what the file of that path is.
func newDataFile(path string) (dataFile, error) {
	file := dataFile{path: path}
	m := relationName.FindStringSubmatch(path[strings.LastIndexByte(path, '/')+1:])
	if m == nil || !inDatabase(path) {
		return file, nil
	}
	segment, err := strconv.ParseUint("0"+m[3], 10, 15) // a relation has at most 2^32 pages
	if err != nil {
		return file, fmt.Errorf("the number of %s: %w", path, err)
	}
	file.relation, file.first = true, uint32(segment)*pagesPerSegment
	return file, nil
}

func inDatabase(path string) bool {
	return strings.HasPrefix(path, "base/") || strings.HasPrefix(path, "global/")
}

// unloggedRelations are those with an initial fork: a restart after a crash, and so every restore, resets them to it.
func unloggedRelations(folder string, entries []fs.DirEntry) map[string]bool {
	found := map[string]bool{}
	for _, entry := range entries {
		if m := relationName.FindStringSubmatch(entry.Name()); m != nil && m[2] == "init" {
			found[m[1]] = true
		}
	}
	return found
}

// gone makes nothing of the error that something vanished: the server dropped it, and its WAL says so.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
