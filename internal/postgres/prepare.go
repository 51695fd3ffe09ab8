package postgres

import (
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"
)

// prepare is SASLprep (RFC 4013) as PostgreSQL applies it: a password that is not UTF-8, or that the profile prohibits, is
// used as it is.
func prepare(password string) string {
	if !utf8.ValidString(password) || isASCIIPrintable(password) {
		return password
	}
	mapped := strings.Map(func(r rune) rune {
		switch {
		case nonASCIISpace(r):
			return ' '
		case mappedToNothing(r):
			return -1
		}
		return r
	}, password)
	if mapped == "" {
		return password
	}
	// The profile judges what normalization gives; PostgreSQL judges what went into it. We must agree with PostgreSQL.
	for _, r := range mapped {
		if prohibited(r) || unassigned(r) {
			return password
		}
	}
	if !directionsAgree([]rune(mapped)) {
		return password
	}
	return norm.NFKC.String(mapped)
}

func isASCIIPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// nonASCIISpace is table C.1.2 of RFC 3454.
func nonASCIISpace(r rune) bool {
	return r == 0xA0 || r == 0x1680 || r >= 0x2000 && r <= 0x200B || r == 0x202F || r == 0x205F || r == 0x3000
}

// mappedToNothing is table B.1.
func mappedToNothing(r rune) bool {
	return r == 0xAD || r == 0x34F || r == 0x1806 || r >= 0x180B && r <= 0x180D || r >= 0x200B && r <= 0x200D || r == 0x2060 || r >= 0xFE00 && r <= 0xFE0F || r == 0xFEFF
}

// prohibited is tables C.2 to C.9: controls, private use, non-characters, surrogates, and what changes the display.
func prohibited(r rune) bool {
	if r < 0x20 || r >= 0x7F && r <= 0x9F || r >= 0x10FFFE || r&0xFFFE == 0xFFFE {
		return true
	}
	return slices.ContainsFunc(prohibitedRanges, func(p [2]rune) bool { return r >= p[0] && r <= p[1] })
}

var prohibitedRanges = [][2]rune{
	{0x340, 0x341}, {0x6DD, 0x6DD}, {0x70F, 0x70F}, {0x180E, 0x180E}, {0x200C, 0x200F}, {0x2028, 0x202E}, {0x2060, 0x2063},
	{0x206A, 0x206F}, {0x2FF0, 0x2FFB}, {0xD800, 0xDFFF}, {0xE000, 0xF8FF}, {0xFDD0, 0xFDEF}, {0xFEFF, 0xFEFF}, {0xFFF9, 0xFFFF},
	{0x1D173, 0x1D17A}, {0xE0001, 0xE0001}, {0xE0020, 0xE007F}, {0xF0000, 0xFFFFF}, {0x100000, 0x10FFFF},
}

// unassigned is table A.1: what Unicode 3.2 does not know.
func unassigned(r rune) bool {
	_, found := slices.BinarySearchFunc(unassignedRanges, r, func(p [2]rune, r rune) int {
		switch {
		case r < p[0]:
			return 1
		case r > p[1]:
			return -1
		}
		return 0
	})
	return found
}

// directionsAgree is section 6 of RFC 3454: text with a right-to-left character must begin and end with one and hold no
// left-to-right one.
func directionsAgree(text []rune) bool {
	rightToLeft := func(r rune) bool { c := direction(r); return c == bidi.R || c == bidi.AL }
	if !slices.ContainsFunc(text, rightToLeft) {
		return true
	}
	return rightToLeft(text[0]) && rightToLeft(text[len(text)-1]) && !slices.ContainsFunc(text, func(r rune) bool { return direction(r) == bidi.L })
}

func direction(r rune) bidi.Class {
	p, _ := bidi.LookupRune(r)
	return p.Class()
}
