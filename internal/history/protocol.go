package history

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// baseStream is a running server's answer to BASE_BACKUP. See "Streaming Replication Protocol" in PostgreSQL's manual.
type baseStream struct {
	conn  *pgconn.PgConn
	total int64 // bytes, as the server has estimated
	begun bool  // the archive's name has come
	ended bool  // its last byte has come

	dirs   []string
	inline map[string][]byte // what is kept in the manifest itself: the label and the control file
}

// protocolSource has a running server send its files. end must be called in any case.
func protocolSource(ctx context.Context, server *postgres.Server, fast bool) (src source, end func() error, err error) {
	admin, err := server.Connect(ctx, postgres.MaintenanceDatabase)
	if err != nil {
		return source{}, nil, err
	}
	conn, err := server.ConnectReplication(ctx)
	if err != nil {
		return source{}, nil, errors.Join(err, admin.Close(context.WithoutCancel(ctx)))
	}
	leave := func() error {
		// The server may be sending, and notices only then that nobody listens.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = conn.Close(ctx) // nothing depends on a polite end
		return admin.Close(ctx)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, leave())
		}
	}()
	base, err := describeServer(ctx, admin)
	if err != nil {
		return source{}, nil, err
	}
	system, err := pglogrepl.IdentifySystem(ctx, conn)
	if err != nil {
		return source{}, nil, fmt.Errorf("identify the server: %w", postgres.Explain(err))
	}
	if base.SystemID, err = strconv.ParseUint(system.SystemID, 10, 64); err != nil {
		return source{}, nil, fmt.Errorf("identify the server: %w", err)
	}
	s := &baseStream{conn: conn, inline: map[string][]byte{}}
	if err := s.begin(ctx, fast, &base); err != nil {
		return source{}, nil, fmt.Errorf("begin a base backup: %w", postgres.Explain(err))
	}
	src = source{live: true, checksums: base.Checksums, base: base, sent: s, current: pageOf(admin)}
	src.finish = func(ctx context.Context, base *Base) ([]manifestFile, error) { return s.finish(ctx, admin, base) }
	return src, leave, nil
}

// describeServer asks what a base backup says of the server.
func describeServer(ctx context.Context, admin *pgx.Conn) (base Base, err error) {
	var checksums string
	var mayRead bool
	err = admin.QueryRow(ctx, `SELECT clock_timestamp(), current_setting('data_checksums'), current_setting('server_version_num')::int / 10000,
		(SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size'),
		has_function_privilege('pg_read_binary_file(text, bigint, bigint, boolean)', 'execute')`).Scan(&base.Started, &checksums, &base.Major, &base.SegmentSize, &mayRead)
	if err != nil {
		return Base{}, fmt.Errorf("begin a base backup: %w", postgres.Explain(err))
	}
	base.Started, base.Checksums = base.Started.UTC(), checksums == "on"
	if base.Checksums && !mayRead {
		return Base{}, &holdfast.Error{Kind: holdfast.NotAllowed, Message: "the role may not read a page of the server again, so that a half written one could not be told from a damaged one",
			Hint: "GRANT EXECUTE ON FUNCTION pg_read_binary_file(text, bigint, bigint, boolean) to it in the database " + postgres.MaintenanceDatabase}
	}
	return base, nil
}

// pageOf reads pages of a server as they are now. The session is used by one worker at a time.
func pageOf(admin *pgx.Conn) rereader {
	var mu sync.Mutex
	return func(ctx context.Context, path string, page uint32) (content []byte, err error) {
		mu.Lock()
		defer mu.Unlock()
		err = admin.QueryRow(ctx, "SELECT pg_read_binary_file($1, $2, $3, true)", path, int64(page)*pageSize, int64(pageSize)).Scan(&content)
		return content, err
	}
}

// begin sends the command and reads up to where the archive begins. Checksums are verified here, as for the other sources: the server's own
// check would give up the whole backup for one damaged page.
func (s *baseStream) begin(ctx context.Context, fast bool, base *Base) error {
	checkpoint := map[bool]string{true: "fast", false: "spread"}[fast]
	s.conn.Frontend().SendQuery(&pgproto3.Query{String: "BASE_BACKUP (LABEL 'holdfast', PROGRESS true, CHECKPOINT '" + checkpoint +
		"', WAL false, WAIT false, VERIFY_CHECKSUMS false, TABLESPACE_MAP false)"})
	if err := s.conn.Frontend().Flush(); err != nil {
		return err
	}
	sets, err := s.results(ctx, func(m pgproto3.BackendMessage) bool { _, ok := m.(*pgproto3.CopyOutResponse); return ok })
	if err != nil {
		return err
	}
	if len(sets) != 2 {
		return fmt.Errorf("the server answered with %d lists instead of 2", len(sets))
	}
	if base.StartLSN, base.Timeline, err = position(sets[0]); err != nil {
		return err
	}
	for _, tablespace := range sets[1] { // OID, place, size in KiB
		if len(tablespace) != 3 {
			return errors.New("the server's list of tablespaces is not understood")
		}
		if tablespace[0] != "" {
			return errTablespaces
		}
		if kilobytes, err := strconv.ParseInt(tablespace[2], 10, 64); err == nil {
			s.total += kilobytes << 10
		}
	}
	return nil
}

// position understands the list of one row that tells an LSN and a timeline.
func position(rows [][]string) (holdfast.LSN, uint32, error) {
	if len(rows) != 1 || len(rows[0]) != 2 {
		return 0, 0, errors.New("the server's position is not understood")
	}
	lsn, err := holdfast.ParseLSN(rows[0][0])
	if err != nil {
		return 0, 0, err
	}
	timeline, err := strconv.ParseUint(rows[0][1], 10, 32)
	return lsn, uint32(timeline), err
}

// results reads lists of rows until a message that ends them.
func (s *baseStream) results(ctx context.Context, ends func(pgproto3.BackendMessage) bool) (sets [][][]string, err error) {
	for {
		m, err := s.receive(ctx)
		if err != nil {
			return nil, err
		}
		switch m := m.(type) {
		case *pgproto3.RowDescription:
			sets = append(sets, nil)
		case *pgproto3.DataRow:
			if len(sets) == 0 {
				return nil, errors.New("a row came before its description")
			}
			var row []string
			for _, value := range m.Values {
				row = append(row, string(value)) // a copy: the message is overwritten by the next
			}
			sets[len(sets)-1] = append(sets[len(sets)-1], row)
		}
		if ends(m) {
			return sets, nil
		}
	}
}

func (s *baseStream) receive(ctx context.Context) (pgproto3.BackendMessage, error) {
	m, err := s.conn.ReceiveMessage(ctx)
	if err != nil {
		return nil, fmt.Errorf("receive the base backup: %w", err)
	}
	if e, ok := m.(*pgproto3.ErrorResponse); ok {
		return nil, pgconn.ErrorResponseToPgError(e)
	}
	return m, nil
}

// archive reads the one archive that the server sends.
type archive struct {
	next func() ([]byte, error) // io.EOF after its last piece
	rest []byte
}

// Read implements io.Reader.
func (a *archive) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		var err error
		if a.rest, err = a.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// piece gives the next bytes of the archive.
func (s *baseStream) piece(ctx context.Context) ([]byte, error) {
	for {
		if s.ended {
			return nil, io.EOF
		}
		m, err := s.receive(ctx)
		if err != nil {
			return nil, err
		}
		switch m := m.(type) {
		case *pgproto3.CopyDone:
			s.ended = true
		case *pgproto3.CopyData:
			switch {
			case len(m.Data) == 0:
				return nil, errors.New("the server sent an empty message")
			case m.Data[0] == 'd':
				return m.Data[1:], nil
			case m.Data[0] == 'n' && !s.begun:
				s.begun = true
			case m.Data[0] != 'p': // the server's progress; ours is counted from what was stored
				return nil, errors.New("the server sends more than its data directory")
			}
		}
	}
}

// files calls take for each file that belongs into a copy, in the server's order, and remembers directories and what is kept inline.
func (s *baseStream) files(ctx context.Context, take func(path string, size int64, content io.Reader) error) error {
	in := &archive{next: func() ([]byte, error) { return s.piece(ctx) }}
	tape := tar.NewReader(in)
	for {
		h, err := tape.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read the server's archive: %w", err)
		}
		if err := s.entry(h, tape, take); err != nil {
			return fmt.Errorf("read %s from the server's archive: %w", h.Name, err)
		}
	}
	// Without the end of the protocol's message, what looks like the archive's end is where the connection was lost.
	if _, err := io.Copy(io.Discard, in); err != nil {
		return fmt.Errorf("read the server's archive: %w", err)
	}
	return nil
}

func (s *baseStream) entry(h *tar.Header, content io.Reader, take func(path string, size int64, content io.Reader) error) error {
	path := strings.TrimSuffix(strings.TrimPrefix(h.Name, "./"), "/")
	if path == "" || path == "." {
		return nil
	}
	if !filepath.IsLocal(filepath.FromSlash(path)) {
		return &holdfast.Error{Kind: holdfast.Corrupt, Message: "the server sent a file that would lie outside of the data directory"}
	}
	folder, name := "", path
	if at := strings.LastIndexByte(path, '/'); at >= 0 {
		folder, name = path[:at], path[at+1:]
	}
	top, _, _ := strings.Cut(path, "/")
	switch {
	case folder != "" && slices.Contains(emptied, top):
	case top == "pg_tblspc" && folder != "":
		return errTablespaces
	case h.Typeflag == tar.TypeDir:
		if !strings.HasPrefix(name, "pgsql_tmp") {
			s.dirs = append(s.dirs, path)
		}
	case h.Typeflag != tar.TypeReg:
		return &holdfast.Error{Kind: holdfast.Precondition, Message: "it is no file; what it leads to would be left out"}
	case path == labelFile || path == controlFile:
		b, err := io.ReadAll(io.LimitReader(content, 1<<20))
		s.inline[path] = b
		return err
	case slices.Contains(left, path), strings.HasPrefix(name, "pg_internal.init"), strings.HasPrefix(name, "pgsql_tmp"):
	default:
		return take(path, h.Size, content)
	}
	return nil
}

// finish reads what the server says after the archive.
func (s *baseStream) finish(ctx context.Context, admin *pgx.Conn, base *Base) ([]manifestFile, error) {
	sets, err := s.results(ctx, func(m pgproto3.BackendMessage) bool { _, ok := m.(*pgproto3.ReadyForQuery); return ok })
	if err != nil {
		return nil, fmt.Errorf("end a base backup: %w", postgres.Explain(err))
	}
	var timeline uint32
	if len(sets) != 1 {
		return nil, fmt.Errorf("end a base backup: the server answered with %d lists instead of 1", len(sets))
	}
	if base.StopLSN, timeline, err = position(sets[0]); err != nil {
		return nil, fmt.Errorf("end a base backup: %w", err)
	}
	if timeline != base.Timeline {
		return nil, &holdfast.Error{Kind: holdfast.Unavailable, Message: "the server was promoted while the base backup was made", Hint: "make another one"}
	}
	if err := admin.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&base.Stopped); err != nil {
		return nil, fmt.Errorf("end a base backup: %w", postgres.Explain(err))
	}
	base.Stopped = base.Stopped.UTC()
	var files []manifestFile
	for _, name := range []string{labelFile, controlFile} {
		if len(s.inline[name]) == 0 {
			return nil, &holdfast.Error{Kind: holdfast.Corrupt, Message: "the server sent no " + name}
		}
		files = append(files, inline(name, s.inline[name]))
	}
	return files, nil
}
