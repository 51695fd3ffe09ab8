package schema

import (
	"regexp"
	"slices"
	"strings"
)

// Refused is the class of a statement that the server refuses where it stands.
const Refused HazardClass = "refused by the server"

// LintFinding is a statement of a migration script that deserves a look before it runs on production.
type LintFinding struct {
	Line      int         `json:"line"` // where the statement begins, from 1
	Statement string      `json:"statement"`
	Class     HazardClass `json:"class"`
	Lock      LockMode    `json:"lock,omitempty"`
	Why       string      `json:"why"`
	Better    string      `json:"better,omitempty"` // what to write instead
}

// Lint reads a migration script without running it and lists what can hurt a database in use, in the script's order. Tables that the
// script itself makes hurt nobody. It understands the parts of goose and dbmate files (only what leads up counts, and their
// transactions) and leaves out psql's own lines. It knows no catalogue: where a statement's cost depends on it, it says so.
func Lint(script string) []LintFinding {
	l := &linter{fresh: map[string]bool{}}
	script, l.whole = upwards(script)
	l.inside = l.whole
	tokens := tokenize(script)
	line, at := 1, 0
	for _, p := range splitPieces(tokens) {
		for _, t := range tokens[at:p.begin] {
			line += strings.Count(t.text, "\n")
		}
		at = p.begin
		words := solid(p.tokens)
		for at < len(tokens) && tokens[at].kind == tokenSpace {
			line += strings.Count(tokens[at].text, "\n")
			at++
		}
		l.line, l.text, l.words = line, squeeze(p.tokens), words
		l.statement()
	}
	return l.found
}

// linter walks over a script.
type linter struct {
	whole   bool // the tool that runs the script wraps it into a transaction
	inside  bool // of a transaction at this point
	timeout bool // a lock timeout was set
	warned  bool // and its absence was said
	fresh   map[string]bool
	locked  []string // tables that the transaction holds a strong lock on
	pending []string // constraints that the transaction added without checking

	line  int
	text  string
	words []token
	found []LintFinding
}

var (
	downPart      = regexp.MustCompile(`(?im)^--\s*(\+goose\s+Down|migrate:down)\b`)
	upPart        = regexp.MustCompile(`(?im)^--\s*(\+goose\s+Up|migrate:up)\b.*$`)
	noTransaction = regexp.MustCompile(`(?im)^--\s*(\+goose\s+NO\s+TRANSACTION|migrate:up\b.*transaction:\s*false)`)
	psqlLine      = regexp.MustCompile(`(?m)^\\.*$`)
)

// upwards cuts off what leads back, and says whether the file's own tool runs it in one transaction.
func upwards(script string) (up string, whole bool) {
	whole = upPart.MatchString(script) && !noTransaction.MatchString(script)
	if at := downPart.FindStringIndex(script); at != nil {
		script = script[:at[0]]
	}
	return psqlLine.ReplaceAllString(script, ""), whole
}

func (l *linter) add(class HazardClass, lock LockMode, why, better string) {
	l.found = append(l.found, LintFinding{Line: l.line, Statement: l.text, Class: class, Lock: lock, Why: why, Better: better})
}

// is says whether the statement begins with these words.
func (l *linter) is(words ...string) bool { return startsWith(l.words, words...) }

// has finds a run of words anywhere outside parentheses; the result is the index behind it, or -1.
func (l *linter) has(words ...string) int { return after(l.words, words...) }

func after(tokens []token, words ...string) int {
	depth := 0
	for i, t := range tokens {
		switch {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case depth == 0 && startsWith(tokens[i:], words...):
			return i + len(words)
		}
	}
	return -1
}

// nameAt reads a name, qualified or not, that begins at i; the second result is the index behind it.
func nameAt(words []token, i int) (string, int) {
	var parts []string
	for i >= 0 && i < len(words) && words[i].name() != "" {
		parts = append(parts, words[i].name())
		i++
		if i >= len(words) || !words[i].is(".") {
			break
		}
		i++
	}
	return strings.TrimPrefix(strings.Join(parts, "."), "public."), i
}

// skipWords steps over optional words such as IF EXISTS and ONLY.
func skipWords(words []token, i int, optional ...string) int {
	for i < len(words) && slices.ContainsFunc(optional, words[i].is) {
		i++
	}
	return i
}

func (l *linter) statement() {
	switch {
	case l.is("BEGIN"), l.is("START", "TRANSACTION"):
		l.inside = true
	case l.is("COMMIT"), l.is("END"), l.is("ROLLBACK"):
		l.inside, l.locked, l.pending = l.whole, nil, nil
	case l.is("SET"):
		l.timeout = l.timeout || l.has("LOCK_TIMEOUT") >= 0
	case l.is("CREATE"):
		l.create()
	case l.is("ALTER", "TABLE"):
		l.alterTable()
	case l.is("ALTER"):
		l.alter()
	case l.is("DROP"), l.is("TRUNCATE"):
		l.drop()
	default:
		l.other()
	}
}

// strong notes a lock that stops readers or writers of a table that was there before. Who waits for it stops everybody behind it.
func (l *linter) strong(table string, lock LockMode) {
	if !l.timeout && !l.warned {
		l.warned = true
		l.add(Locking, lock, "without a lock timeout it waits behind the longest query, and every later query of "+table+" waits behind it",
			"SET lock_timeout = '100ms' before it, and try again when it fails")
	}
	if !l.inside || slices.Contains(l.locked, table) {
		return
	}
	l.locked = append(l.locked, table)
	if len(l.locked) == 2 {
		l.add(Locking, lock, "the transaction holds the locks of "+strings.Join(l.locked, " and ")+" until its end, and can deadlock with the application",
			"one transaction for each table")
	}
}

// isFresh says whether the script made the table itself.
func (l *linter) isFresh(table string) bool { return l.fresh[table] }
