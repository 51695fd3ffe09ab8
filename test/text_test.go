package test

import (
	"slices"
	"strings"
)

// containsLine says whether one of the lines consists of these words.
func containsLine(text string, words ...string) bool {
	return slices.ContainsFunc(strings.Split(text, "\n"), func(line string) bool { return slices.Equal(strings.Fields(line), words) })
}
