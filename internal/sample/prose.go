package sample

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"unicode"
)

// prose is what the sentences of one row are about.
type prose struct{ startup string }

// sentence takes a template and fills its {slots}.
func (g *generator) sentence(templates []string) string {
	rest := g.pick(templates)
	var b strings.Builder
	for {
		before, after, found := strings.Cut(rest, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		var slot string
		slot, rest, _ = strings.Cut(after, "}")
		b.WriteString(g.slot(slot))
	}
}

func (g *generator) slot(name string) string {
	switch name {
	case "startup":
		return g.prose.startup
	case "person":
		return person(&g.random)
	case "amount":
		return fmt.Sprintf("%s %d.%d million", g.pick(currencies), g.between(1, 60), g.below(10))
	case "n":
		return strconv.FormatInt(g.between(4, 28), 10)
	case "month":
		return g.pick(months)
	case "sector":
		return g.pick(sectors)
	case "region":
		return regions[g.market()-1].name
	}
	panic("sample: a template has the unknown slot " + name)
}

// paragraphs joins n sentences, a few to a paragraph.
func (g *generator) paragraphs(templates []string, n int64) string {
	var b strings.Builder
	for i := range n {
		switch {
		case i == 0:
		case g.percent(25):
			b.WriteString("\n\n")
		default:
			b.WriteByte(' ')
		}
		b.WriteString(g.sentence(templates))
	}
	return b.String()
}

func person(r *random) string { return r.pick(firstNames) + " " + r.pick(lastNames) }

func firstOf(fullName string) string {
	first, _, _ := strings.Cut(fullName, " ")
	return first
}

// Names of people are functions of their identifier: other tables speak of them.
func investorName(id int64) string {
	r := streamOf("investor's name", id)
	return person(&r)
}

func contactName(id int64) string {
	r := streamOf("contact's name", id)
	return person(&r)
}

func startupName(id int64) string { return distinct(startupFirst, startupSecond, " ", id) }

// distinct makes a different name for each identifier: first every pair of words in an order that looks like none, then
// the pairs with each ending, then with numbers.
func distinct(first, second []string, between string, id int64) string {
	pairs := int64(len(first) * len(second))
	round, place := (id-1)/pairs, (id-1)%pairs
	// A step without a common divisor visits every pair once.
	step := pairs*5/8 | 1
	for gcd(step, pairs) != 1 {
		step += 2
	}
	high, low := bits.Mul64(uint64(place), uint64(step))
	_, at := bits.Div64(high, low, uint64(pairs))
	name := first[int64(at)%int64(len(first))] + between + second[int64(at)/int64(len(first))]
	if round < int64(len(nameEndings)) {
		return name + nameEndings[round]
	}
	return name + " " + strconv.FormatInt(round, 10)
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// address is an e-mail address that only this identifier has at that host.
func address(name string, id int64, host string) string {
	return strings.ReplaceAll(slug(name), "-", ".") + "." + strconv.FormatInt(id, 36) + "@" + host
}

// slug keeps the ASCII letters and digits of s in lower case and puts one dash for everything between them.
func slug(s string) string {
	var b strings.Builder
	dash := false
	for _, r := range s {
		r = plain(unicode.ToLower(r))
		if r == '\'' {
			continue
		}
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			if dash && b.Len() > 0 {
				b.WriteByte('-')
			}
			b.WriteRune(r)
			dash = false
			continue
		}
		dash = true
	}
	return b.String()
}

// plain takes the accent off the letters that the word lists use.
func plain(r rune) rune {
	const accented, bare = "ąáãåäçéèêëíłñóöøõśüúžż", "aaaaaceeeeilnoooosuuzz"
	for i, a := range []rune(accented) {
		if a == r {
			return rune(bare[i])
		}
	}
	return r
}

// uuid formats random bits as a version 4 UUID (RFC 9562).
func uuid(a, b uint64) string {
	a = a&^0xf000 | 0x4000
	b = b&^(3<<62) | 1<<63
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", a>>32, a>>16&0xffff, a&0xffff, b>>48, b&0xffffffffffff)
}
