package backup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/holdfast/holdfast"
)

// DumpRequest says what is to be backed up and where the copies go.
type DumpRequest struct {
	Database     Database
	Destinations []Destination // at least one

	// Copies is how many destinations must have a whole copy; 0: all of them. With fewer the backup is completed, and its manifest
	// lists the copies that there are.
	Copies int

	// Backup says what it is called and who asked: ID, Project, Branch, Options, Reason, By, Pinned and HeldUntilProof, and StartedAt where it was begun before. An empty number is made; an
	// empty name is made from the branch and the time, and where that is taken from the next second.
	Backup holdfast.Backup

	LockTimeout time.Duration // for a table that somebody alters; 0: a minute
	Progress    Progress

	// Started is told the backup's name and number once its manifest stands; it may be nil.
	Started func(holdfast.Backup)
}

// Dump makes a backup: rows and schema of one moment. It returns after every copy was read back and every manifest says completed, or
// with an error and the backup as failed, with the tool's last lines, and no bytes left. When the program is killed in
// between, the manifest stays in progress until Settle.
func (t Tools) Dump(ctx context.Context, req DumpRequest) (holdfast.Backup, error) {
	return makeBackup(ctx, req, t.dump)
}

// makeBackup claims the backup's name, lets dump write it, and ends it in a clear state.
func makeBackup(ctx context.Context, req DumpRequest, dump func(context.Context, *DumpRequest, *holdfast.Backup) error) (holdfast.Backup, error) {
	b := req.Backup
	if err := b.Options.Validate(); err != nil {
		return b, err
	}
	if len(req.Destinations) == 0 || req.Copies > len(req.Destinations) {
		return b, &holdfast.Error{Kind: holdfast.Invalid, Message: "a backup needs a destination"}
	}
	if req.Copies <= 0 {
		req.Copies = len(req.Destinations)
	}
	if b.ID == "" {
		b.ID = holdfast.BackupID(rand.Text())
	}
	b.Version, b.State, b.Object = manifestVersion, holdfast.BackupInProgress, objectName(b.Options)
	b.Database = req.Database.Name
	if err := claim(ctx, &b, req.Destinations); err != nil {
		return b, err
	}
	if req.Started != nil {
		req.Started(b)
	}
	if err := dump(ctx, &req, &b); err != nil {
		return fail(ctx, b, &req, err), fmt.Errorf("back up %s: %w", req.Database.Name, err)
	}
	return b, nil
}

// objectName is what the bytes are called: with the endings that people and programs know.
func objectName(o holdfast.BackupOptions) string {
	method, _ := o.Compression.Split()
	packed := map[holdfast.Compression]string{holdfast.Gzip: ".gz", holdfast.Zstd: ".zst"}[method]
	switch o.Format {
	case holdfast.PlainFormat:
		return "dump.sql" + packed
	case holdfast.JSONFormat:
		return "dump.json" + packed
	case holdfast.DirectoryFormat:
		return "dump.tar"
	case holdfast.CSVFormat:
		return "dump.csv.zip"
	}
	return "dump.pgdump"
}

// claim writes the first manifest everywhere. The name belongs to whoever writes it to the first destination that is in reach.
func claim(ctx context.Context, b *holdfast.Backup, destinations []Destination) error {
	given := b.Name
	if given != "" {
		if err := holdfast.CheckBackupName(given); err != nil {
			return err
		}
	}
	if b.StartedAt.IsZero() {
		b.StartedAt = time.Now().UTC()
	}
	var away error
	for i, d := range destinations {
		err := claimAt(ctx, b, d, given)
		switch {
		case err == nil:
			// One that is out of reach shows itself again when the bytes are written, and counts there.
			for j, other := range destinations {
				if j != i && other.Catalogue.put(ctx, *b, false) != nil && ctx.Err() != nil {
					return context.Cause(ctx)
				}
			}
			return nil
		case ctx.Err() == nil && holdfast.KindOf(err) == holdfast.Unavailable:
			away = errors.Join(away, err)
		default:
			return err
		}
	}
	return away
}

// claimAt writes the first manifest to one destination, under the given name or the first that is free there.
func claimAt(ctx context.Context, b *holdfast.Backup, d Destination, given string) error {
	for at := b.StartedAt; ; at = at.Add(time.Second) {
		if given == "" {
			b.Name = holdfast.BackupName(b.Branch, at)
		}
		err := d.Catalogue.put(ctx, *b, true)
		if err == nil {
			return nil
		}
		if holdfast.KindOf(err) != holdfast.Conflict || given != "" || at.Sub(b.StartedAt) > time.Minute {
			return fmt.Errorf("begin a backup at %s: %w", d.Name, err)
		}
	}
}

// complete writes the last manifest to every destination that has a copy. A destination that does not take it has no backup.
func complete(ctx context.Context, b *holdfast.Backup, req *DumpRequest) error {
	var failed []error
	for _, d := range req.Destinations {
		if !b.At(d.Name) {
			continue
		}
		if err := d.Catalogue.putLocked(ctx, *b, d.Name); err != nil {
			failed = append(failed, fmt.Errorf("complete it at %s: %w", d.Name, err))
			b.Copies = slices.DeleteFunc(b.Copies, func(c holdfast.BackupCopy) bool { return c.Destination == d.Name })
		}
	}
	if len(b.Copies) < req.Copies {
		return errors.Join(failed...)
	}
	if len(b.Copies) == len(req.Destinations) {
		return nil
	}
	for _, d := range req.Destinations { // it is completed already: what cannot be written here is only less exact
		if b.At(d.Name) {
			_ = d.Catalogue.put(ctx, *b, false)
		} else {
			d.Catalogue.giveUp(ctx, *b, errors.New("this destination has no whole copy"))
		}
	}
	return nil
}

// fail writes everywhere that the backup failed and removes its bytes. It does so even when ctx has ended.
func fail(ctx context.Context, b holdfast.Backup, req *DumpRequest, why error) holdfast.Backup {
	over, cancel := afterEnd(ctx)
	defer cancel()
	secret := req.Database.password()
	for _, d := range req.Destinations {
		b = d.Catalogue.giveUp(over, b, withoutSecret(why, secret))
	}
	return b
}

// giveUp writes the backup as failed and removes its bytes, as far as the location is in reach. Otherwise the manifest stays in
// progress, which is no backup either: Settle ends it.
func (c *Catalogue) giveUp(ctx context.Context, b holdfast.Backup, why error) holdfast.Backup {
	b.State, b.EndedAt, b.Copies = holdfast.BackupFailed, time.Now().UTC(), nil
	b.Failure, b.FailureHint, b.ToolOutput = why.Error(), holdfast.HintOf(why), toolLines(why)
	if err := c.put(ctx, b, false); err == nil {
		_ = c.location.Delete(ctx, c.object(b.Name, b.Object))
	}
	return b
}

// dump takes the snapshot and writes its bytes to the destinations.
func (t Tools) dump(ctx context.Context, req *DumpRequest, b *holdfast.Backup) error {
	req.Progress.step("taking a snapshot", 0, 0, "")
	s, err := openSnapshot(ctx, req.Database, b.Options.Tables, req.LockTimeout)
	if err != nil {
		return err
	}
	defer s.close()
	b.SnapshotAt, b.ServerVersion, b.Major = s.at, s.server.Version, s.server.Major
	return send(ctx, req, b, func(w io.Writer) error {
		defer s.close() // a snapshot keeps dead rows alive: no longer than needed
		if b.Options.Format == holdfast.JSONFormat {
			return t.writeJSON(ctx, s, b, w, req.Progress)
		}
		if b.Options.Format == holdfast.CSVFormat {
			b.Tool = jsonTool
			var err error
			b.Tables, b.LargeObjects, err = s.dumpCSV(ctx, t, *b, &countingWriter{w: w, tell: req.Progress}, req.Progress)
			return err
		}
		return t.writeDump(ctx, s, b, w, req.Progress)
	})
}

// jsonTool is what backups in JSON and CSV say made them.
const jsonTool = "holdfast"

func (t Tools) writeJSON(ctx context.Context, s *snapshot, b *holdfast.Backup, out io.Writer, tell Progress) error {
	b.Tool = jsonTool
	packed, err := pack(out, b.Options.Compression)
	if err != nil {
		return err
	}
	counts, objects, err := s.dumpJSON(ctx, t, *b, packed, tell)
	if err == nil {
		err = packed.Close()
	}
	b.Tables, b.LargeObjects = counts, objects
	return err
}

// writeDump lets pg_dump write, and counts the rows of the same moment meanwhile.
func (t Tools) writeDump(ctx context.Context, s *snapshot, b *holdfast.Backup, out io.Writer, tell Progress) error {
	program, err := t.program(ctx, "pg_dump", s.server.Major)
	if err != nil {
		return err
	}
	version, err := toolVersion(ctx, program)
	if err != nil {
		return err
	}
	b.Tool = "pg_dump " + version
	args, err := s.formatArguments(b.Options, major(version))
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	counted := make(chan error, 1)
	go func() {
		err := s.countInto(ctx, b)
		if err != nil {
			stop(err) // without the numbers there is no backup: pg_dump need not go on
		}
		counted <- err
	}()
	tell.step("dumping with pg_dump", 0, 0, "")
	err = t.runDump(ctx, program, args, s, b.Options, &countingWriter{w: out, tell: tell})
	if err != nil {
		stop(err)
	}
	if failed := <-counted; err == nil {
		err = failed
	}
	return err
}

func (t Tools) runDump(ctx context.Context, program string, args []string, s *snapshot, o holdfast.BackupOptions, out io.Writer) error {
	switch o.Format {
	case holdfast.DirectoryFormat:
		return t.dumpDirectory(ctx, program, args, s, out)
	case holdfast.PlainFormat:
		return dumpStream(ctx, program, args, s, out, o.Compression)
	}
	return dumpStream(ctx, program, args, s, out, holdfast.NoCompression) // pg_dump packs its archives itself
}

// countInto counts what the backup holds.
func (s *snapshot) countInto(ctx context.Context, b *holdfast.Backup) error {
	b.Tables = []holdfast.TableRecords{}
	if b.Options.SchemaOnly {
		return nil
	}
	var err error
	if b.Tables, err = s.count(ctx); err != nil || len(b.Options.Tables) > 0 {
		return err
	}
	return s.conn.QueryRow(ctx, "SELECT count(*) FROM pg_catalog.pg_largeobject_metadata").Scan(&b.LargeObjects)
}

// formatArguments adds to the arguments of pg_dump what the format needs. pg_dump learned other methods than gzip in version 16.
func (s *snapshot) formatArguments(o holdfast.BackupOptions, tool int) ([]string, error) {
	args := append(s.dumpArguments(o), "--format="+string(o.Format))
	if o.DataOnly {
		args = append(args, "--data-only")
	}
	if o.SchemaOnly {
		args = append(args, "--schema-only")
	}
	if o.Jobs > 1 {
		args = append(args, "--jobs="+strconv.Itoa(o.Jobs))
	}
	method, level := o.Compression.Split()
	switch {
	case o.Format == holdfast.PlainFormat, method == holdfast.NoCompression:
		return append(args, "--compress=0"), nil
	case tool >= 16:
		text := string(method)
		if level > 0 {
			text += ":" + strconv.Itoa(level)
		}
		return append(args, "--compress="+text), nil
	case method != holdfast.Gzip:
		return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("pg_dump %d cannot pack with %s", tool, method), Hint: "choose gzip, or install the client programs of PostgreSQL 16 or newer"}
	case level > 0:
		return append(args, "--compress="+strconv.Itoa(level)), nil
	}
	return args, nil
}

// dumpStream copies what pg_dump writes. A pg_dump that fails, and a destination that fails, each end the other.
func dumpStream(ctx context.Context, program string, args []string, s *snapshot, out io.Writer, how holdfast.Compression) error {
	run, pipe, err := startTool(ctx, program, args, &s.db, nil)
	if err != nil {
		return err
	}
	dumped := &toolReader{tool: run, pipe: pipe}
	packed, err := pack(out, how)
	if err == nil {
		_, err = io.CopyBuffer(onlyWriter{packed}, onlyReader{dumped}, make([]byte, jsonBuffer))
	}
	if err == nil {
		err = packed.Close()
	}
	if closed := dumped.Close(); err == nil {
		err = closed
	}
	return err
}

// onlyReader hides WriteTo.
type onlyReader struct{ io.Reader }

// dumpDirectory lets pg_dump write its directory to the scratch folder, several tables at once, and packs that.
func (t Tools) dumpDirectory(ctx context.Context, program string, args []string, s *snapshot, out io.Writer) (err error) {
	dir, err := t.scratchDir()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	dump := filepath.Join(dir, "dump")
	run, _, err := startTool(ctx, program, append(args, "--file="+dump), &s.db, io.Discard)
	if err != nil {
		return err
	}
	if err := run.wait(); err != nil {
		return err
	}
	return packDirectory(dump, out)
}

type countingWriter struct {
	w     io.Writer
	tell  Progress
	total int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.total += int64(n)
	c.tell.step("dumping", c.total, 0, "bytes")
	return n, err
}
