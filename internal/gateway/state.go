package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// state is what a session's server process knows and another one must be told, so that the client does not notice the change.
type state struct {
	settings   []setting // in the order in which they are set again
	statements []statement
}

type setting struct{ name, value string }

// statement is a prepared statement as Parse made it.
type statement struct {
	name, text string
	types      []uint32
}

// unfit is a session whose state cannot be carried to another server process.
type unfit struct{ why string }

func (u *unfit) Error() string { return "it has " + u.why }

// errListens is a session that waits for notifications, which nobody would receive for it while its branch sleeps.
var errListens = errors.New("it listens for notifications")

const (
	maxStatements = 1 << 20 // bytes of prepared statements that are carried
	maxStateRow   = 2 << 20
)

// stateQuery asks a session what it has that lives in its server process. Each row is a kind and three texts. All names are
// qualified, because the session's search_path is the client's.
//
// What PostgreSQL does not tell is not carried: the last values of sequences (currval), libraries that were loaded, the seed of
// random(), and variables of procedural languages. Parameters of the client's own are watched for (watch), and functions that could set one
// are looked for here.
var stateQuery = strings.ReplaceAll(`/* holdfast: can this session rest? */
SELECT 'listens', '', '', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_listening_channels())
UNION ALL SELECT 'unfit', 'temporary objects', '', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_class WHERE relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())
  OR EXISTS (SELECT FROM pg_catalog.pg_proc WHERE pronamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())
  OR EXISTS (SELECT FROM pg_catalog.pg_type WHERE typnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())
UNION ALL SELECT 'unfit', 'advisory locks', '', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_locks
  WHERE locktype OPERATOR(pg_catalog.=) 'advisory' AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid())
UNION ALL SELECT 'unfit', 'open cursors', '', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_cursors)
UNION ALL SELECT 'unfit', 'statements prepared in SQL', '', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql)
UNION ALL SELECT 'unfit', 'too many prepared statements', '', '' WHERE (SELECT pg_catalog.sum(pg_catalog.octet_length(statement)) FROM pg_catalog.pg_prepared_statements) OPERATOR(pg_catalog.>) MAXSTATEMENTS
UNION ALL SELECT 'unfit', 'functions at hand that set parameters of their own', '', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace WHERE n.nspname OPERATOR(pg_catalog.!~) '^(pg_|information_schema$)'
  AND p.prosrc OPERATOR(pg_catalog.~*) E'\\m(set_config\\M|set\\s+(session\\s+)?\\w+\\s*\\.)')
UNION ALL SELECT 'parameter', name, setting, '' FROM pg_catalog.pg_settings WHERE source OPERATOR(pg_catalog.=) 'session'
UNION ALL SELECT 'parameter', 'role', pg_catalog.current_setting('role'), '' WHERE pg_catalog.current_setting('role') OPERATOR(pg_catalog.<>) 'none'
UNION ALL SELECT 'statement', name, statement, parameter_types::pg_catalog.oid[]::pg_catalog.text FROM pg_catalog.pg_prepared_statements
  WHERE (SELECT pg_catalog.sum(pg_catalog.octet_length(statement)) FROM pg_catalog.pg_prepared_statements) OPERATOR(pg_catalog.<=) MAXSTATEMENTS`,
	"MAXSTATEMENTS", strconv.Itoa(maxStatements))

// examine asks the server for the session's state. others are the messages that came meanwhile and are the client's. The
// error is errListens, *unfit, or another one, after which the connection is of no use.
func examine(ctx context.Context, conn net.Conn) (_ *state, others []byte, _ error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	query, err := (&pgproto3.Query{String: stateQuery}).Encode(nil)
	if err != nil {
		return nil, nil, err
	}
	if _, err := conn.Write(query); err != nil {
		return nil, nil, fmt.Errorf("ask for the session's state: %w", err)
	}
	st := &state{}
	var trouble error
	in := bufio.NewReader(&patient{ctx, conn})
	others, err = untilReady(in, maxStateRow, func(kind byte, body []byte) error {
		switch {
		case kind == 'E':
			trouble = &unfit{"a server that does not tell its state"}
		case kind == 'D' && trouble == nil:
			trouble = st.take(body)
		}
		return nil
	})
	if err != nil {
		return nil, others, fmt.Errorf("ask for the session's state: %w", err)
	}
	// client_encoding first, for the other values are told in it; role last, for it may take rights away.
	rank := func(p setting) int { return map[string]int{"client_encoding": -1, "role": 1}[p.name] }
	slices.SortStableFunc(st.settings, func(a, b setting) int { return rank(a) - rank(b) })
	return st, others, trouble
}

// patient reads on when it was only roused: whoever wants something of the session gets it afterwards.
type patient struct {
	ctx  context.Context
	conn net.Conn
}

func (p *patient) Read(b []byte) (int, error) {
	for {
		n, err := p.conn.Read(b)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || p.ctx.Err() != nil {
			return n, err
		}
		_ = p.conn.SetReadDeadline(time.Time{}) // fails only when it is closed
		if p.ctx.Err() != nil {
			return n, err // it ended before the deadline was taken away, and would not end again
		}
	}
}

// take takes a row of stateQuery.
func (st *state) take(body []byte) error {
	var row pgproto3.DataRow
	if err := row.Decode(body); err != nil {
		return err
	}
	if len(row.Values) != 4 {
		return fmt.Errorf("a session's state has rows of %d columns", len(row.Values))
	}
	kind, name, text := string(row.Values[0]), string(row.Values[1]), string(row.Values[2])
	switch kind {
	case "listens":
		return errListens
	case "unfit":
		return &unfit{name}
	case "parameter":
		st.settings = append(st.settings, setting{name, text})
	case "statement":
		s := statement{name: name, text: text}
		for number := range strings.SplitSeq(strings.Trim(string(row.Values[3]), "{}"), ",") {
			if number == "" {
				continue
			}
			oid, err := strconv.ParseUint(number, 10, 32)
			if err != nil {
				return fmt.Errorf("the type of a prepared statement's parameter: %w", err)
			}
			s.types = append(s.types, uint32(oid))
		}
		st.statements = append(st.statements, s)
	}
	return nil
}

// replay tells a new server process the state. told are the ParameterStatus messages and notices that came meanwhile.
func (st *state) replay(ctx context.Context, conn net.Conn) (told []byte, _ error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var messages []byte
	var err error
	add := func(m pgproto3.FrontendMessage) {
		if err == nil {
			messages, err = m.Encode(messages)
		}
	}
	for _, p := range st.settings {
		add(&pgproto3.Parse{Query: "SELECT pg_catalog.set_config($1, $2, false)", ParameterOIDs: []uint32{25, 25}}) // text
		add(&pgproto3.Bind{Parameters: [][]byte{[]byte(p.name), []byte(p.value)}})
		add(&pgproto3.Execute{})
	}
	for _, s := range st.statements {
		add(&pgproto3.Parse{Name: s.name, Query: s.text, ParameterOIDs: s.types})
	}
	// The client has no unnamed statement after this, so that one it did not make is never run in its name.
	add(&pgproto3.Close{ObjectType: 'S'})
	add(&pgproto3.Sync{})
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(messages); err != nil {
		return nil, fmt.Errorf("give the session its state back: %w", err)
	}
	var refused error
	told, err = untilReady(bufio.NewReader(conn), maxServerMessage, func(kind byte, body []byte) error {
		if kind == 'E' && refused == nil {
			var e pgproto3.ErrorResponse
			if err := e.Decode(body); err != nil {
				return err
			}
			refused = &unfit{"a state that cannot be given back: " + e.Message}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("give the session its state back: %w", err)
	}
	return told, refused
}

// untilReady hands the answer's messages to take until ReadyForQuery, which must say that no transaction is open. What can
// come at any time is returned: notices, notifications, and parameters.
func untilReady(in *bufio.Reader, limit int, take func(kind byte, body []byte) error) (others []byte, _ error) {
	for {
		kind, body, err := readMessage(in, limit)
		if err != nil {
			return others, err
		}
		switch kind {
		case 'N', 'A', 'S':
			others = appendMessage(others, kind, body)
		case 'Z':
			if !bytes.Equal(body, []byte{'I'}) {
				return others, backendViolation("a transaction is open that nobody began")
			}
			rest, _ := in.Peek(in.Buffered())
			return append(others, rest...), nil
		default:
			if err := take(kind, body); err != nil {
				return others, err
			}
		}
	}
}

// newsOf are the ParameterStatus messages of what a server said, the last one of each name.
func newsOf(messages []byte) []byte {
	last, order := map[string][]byte{}, []string{}
	for len(messages) >= messageHead {
		length := int(binary.BigEndian.Uint32(messages[1:])) + 1
		if length < messageHead || length > len(messages) {
			break
		}
		message := messages[:length]
		messages = messages[length:]
		if message[0] != 'S' {
			continue
		}
		name, _, _ := bytes.Cut(message[messageHead:], []byte{0})
		if _, known := last[string(name)]; !known {
			order = append(order, string(name))
		}
		last[string(name)] = message
	}
	var news []byte
	for _, name := range order {
		news = append(news, last[name]...)
	}
	return news
}
