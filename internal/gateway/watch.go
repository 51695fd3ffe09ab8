package gateway

import "encoding/binary"

// watch follows what a client sends. It counts the messages that ReadyForQuery answers, and notices when the client sets a parameter of its own ("SET app.tenant = 7"). A server tells the values of
// all parameters but these, so a session that may have one cannot be given to another server process. It looks at the text of
// queries only: at types and lengths, and into Query and Parse messages.
type watch struct {
	head [messageHead]byte
	have int    // bytes of head that have arrived
	left uint32 // bytes of the body that have not
	tail []byte // the end of the query text so far, which may be the beginning of what is looked for
	lost bool   // a length was impossible
	own  bool   // a parameter of its own may have been set

	asked uint64 // messages that are answered with ReadyForQuery each
	open  bool   // messages came after the last of those
}

// quiet says whether the client has sent whole messages only, and the last of them asked for ReadyForQuery.
func (w *watch) quiet() bool { return w.have == 0 && !w.open && !w.lost }

func (w *watch) message(kind byte) {
	switch kind {
	case 'Q', 'S', 'F': // Query, Sync, FunctionCall
		w.asked++
		w.open = false
	default:
		w.open = true
	}
}

// watchTail is how much of a query's text is looked at again with the next piece: longer than what is looked for, with some space.
const watchTail = 160

// scan follows p, the next piece of the stream.
func (w *watch) scan(p []byte) {
	for len(p) > 0 && !w.lost {
		if w.left == 0 {
			n := copy(w.head[w.have:], p)
			w.have += n
			p = p[n:]
			if w.have < messageHead {
				return
			}
			length := binary.BigEndian.Uint32(w.head[1:])
			if length < 4 {
				w.lost = true
				return
			}
			w.left, w.tail = length-4, w.tail[:0]
		}
		n := min(len(p), int(min(w.left, 1<<30)))
		if !w.own && (w.head[0] == 'Q' || w.head[0] == 'P') {
			w.text(p[:n])
		}
		p = p[n:]
		if w.left -= uint32(n); w.left == 0 {
			w.have = 0
			w.message(w.head[0])
		}
	}
}

func (w *watch) text(p []byte) {
	if len(w.tail) > 0 {
		seam := append(w.tail, p[:min(len(p), watchTail)]...)
		if setsOwnParameter(seam) {
			w.own = true
			return
		}
	}
	if setsOwnParameter(p) {
		w.own = true
	}
	if uint32(len(p)) < w.left {
		whole := append(w.tail, p[max(0, len(p)-watchTail):]...)
		w.tail = append(w.tail[:0], whole[max(0, len(whole)-watchTail):]...)
	}
}

// setsOwnParameter says whether SQL contains set_config, or SET with a name that has a dot. It may say yes where a string or the assignment
// to a field looks like it; it says no where the value lasts only until the transaction ends.
func setsOwnParameter(sql []byte) bool {
	for i := 0; i+4 < len(sql); i++ {
		if sql[i]|0x20 != 's' || sql[i+1]|0x20 != 'e' || sql[i+2]|0x20 != 't' || (i > 0 && isWord(sql[i-1])) {
			continue
		}
		rest := sql[i+3:]
		if hasWord(rest, "_config") {
			return true
		}
		rest, spaced := skipSpace(rest)
		if !spaced {
			continue
		}
		if hasWord(rest, "session") {
			rest, _ = skipSpace(rest[len("session"):])
		}
		if hasWord(rest, "local") {
			continue
		}
		if dotted(rest) {
			return true
		}
	}
	return false
}

// dotted says whether s begins with a name and a dot.
func dotted(s []byte) bool {
	if len(s) > 0 && s[0] == '"' {
		for i := 1; i < len(s); i++ {
			if s[i] == '"' {
				s = s[i+1:]
				s, _ = skipSpace(s)
				return len(s) > 0 && s[0] == '.'
			}
		}
		return false
	}
	n := 0
	for n < len(s) && isWord(s[n]) {
		n++
	}
	s, _ = skipSpace(s[n:])
	return n > 0 && len(s) > 0 && s[0] == '.'
}

// hasWord says whether s begins with the word, which is in small letters, in any case.
func hasWord(s []byte, word string) bool {
	if len(s) < len(word) {
		return false
	}
	for i := range len(word) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != word[i] {
			return false
		}
	}
	return len(s) == len(word) || !isWord(s[len(word)])
}

// skipSpace leaves out white space and comments, and says whether there was any.
func skipSpace(s []byte) ([]byte, bool) {
	some := false
	for len(s) > 0 {
		switch {
		case s[0] == ' ' || s[0] >= '\t' && s[0] <= '\r':
			s = s[1:]
		case len(s) > 1 && s[0] == '/' && s[1] == '*':
			s = after(s[2:], "*/")
		case len(s) > 1 && s[0] == '-' && s[1] == '-':
			s = after(s[2:], "\n")
		default:
			return s, some
		}
		some = true
	}
	return s, some
}

func after(s []byte, end string) []byte {
	for i := 0; i+len(end) <= len(s); i++ {
		if string(s[i:i+len(end)]) == end {
			return s[i+len(end):]
		}
	}
	return nil
}

func isWord(c byte) bool {
	return c == '_' || c == '$' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80
}
