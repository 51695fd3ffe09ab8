package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"golang.org/x/term"

	"github.com/holdfast/holdfast"
)

// show writes v as JSON where that was asked for, else what human writes.
func (c *cli) show(v any, human func(io.Writer)) error {
	w := bufio.NewWriter(c.out)
	if c.json {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		if !c.lines {
			enc.SetIndent("", "  ")
		}
		if err := enc.Encode(v); err != nil {
			return fmt.Errorf("write the answer: %w", err)
		}
	} else {
		human(w)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// showList is show for a list: nothing is [] in JSON.
func showList[T any](c *cli, items []T, human func(io.Writer)) error {
	if items == nil {
		items = []T{}
	}
	if c.json && c.lines {
		for _, item := range items {
			if err := c.show(item, nil); err != nil {
				return err
			}
		}
		return nil
	}
	return c.show(items, human)
}

// say tells what was done: for a person, so not on standard output where JSON is expected there.
func (c *cli) say(format string, args ...any) error {
	w := c.out
	if c.json {
		w = c.errOut
	}
	_, err := fmt.Fprintln(w, printable(fmt.Sprintf(format, args...)))
	return err
}

// table writes rows in columns. Texts come from a server and may have been made to play tricks on a terminal, so control
// characters are shown rather than sent.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer, header ...string) *table {
	t := &table{tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)}
	t.row(header...)
	return t
}

func (t *table) row(cells ...string) {
	for i, cell := range cells {
		cell = printable(cell)
		if cell == "" {
			cell = "-"
		}
		if i > 0 {
			cell = "\t" + cell
		}
		io.WriteString(t.w, cell)
	}
	io.WriteString(t.w, "\n")
}

func (t *table) flush() { t.w.Flush() }

// printable makes text safe for a terminal and for one line of output.
func printable(text string) string {
	if strings.IndexFunc(text, unprintable) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if unprintable(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// printableLines is printable for text that may have several lines.
func printableLines(text string) string {
	lines := strings.Split(strings.ReplaceAll(text, "\t", "    "), "\n")
	for i, line := range lines {
		lines[i] = printable(line)
	}
	return strings.Join(lines, "\n")
}

func unprintable(r rune) bool { return !unicode.IsGraphic(r) }

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

// measured writes the size of something that may not have been measured yet.
func measured(n int64) string {
	if n == 0 {
		return ""
	}
	return size(n)
}

// size writes bytes as people read them, in powers of 1024.
func size(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), ""
	for _, unit = range []string{"KiB", "MiB", "GiB", "TiB", "PiB"} {
		if f /= 1024; f < 1024 {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}

// moment writes a time in the user's zone; nothing for the zero time.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// idle writes an idle timeout in seconds as people read it.
func idle(seconds int64) string {
	if seconds < 0 {
		return "never"
	}
	return span(time.Duration(seconds) * time.Second)
}

// span writes a duration without the zeros that time.Duration adds: 10m, not 10m0s.
func span(d time.Duration) string {
	if d >= 24*time.Hour && d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// parseSpan reads what span writes, and everything that Go reads.
func parseSpan(text string) (time.Duration, error) {
	if days, isDays := strings.CutSuffix(text, "d"); isDays {
		var n int
		if _, err := fmt.Sscanf(days, "%d", &n); err == nil && fmt.Sprint(n) == days && n >= 0 && n <= 36500 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("%q is not a length of time", text), Hint: "write it as 90s, 10m, 12h or 7d"}
	}
	return d, nil
}

// isTerminal says whether w is a terminal, and so whether a person is looking.
func isTerminal(w any) bool {
	f, ok := w.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

// confirm asks a person to type what, and refuses where nobody can be asked.
func (c *cli) confirm(yes bool, warning, what string) error {
	if yes {
		return nil
	}
	if !isTerminal(c.in) {
		return &holdfast.Error{Kind: holdfast.Unsafe, Message: warning, Hint: "say --yes to do it nevertheless"}
	}
	fmt.Fprintf(c.errOut, "%s\nType %s to go on: ", warning, what)
	line, err := bufio.NewReader(c.in).ReadString('\n')
	if err != nil && line == "" {
		return fmt.Errorf("read the answer: %w", err)
	}
	if strings.TrimSpace(line) != what {
		return &holdfast.Error{Kind: holdfast.Unsafe, Message: "it was not confirmed; nothing was done"}
	}
	return nil
}
