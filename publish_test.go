package holdfast_test

import (
	"slices"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
)

var publishStates = []holdfast.PublishState{holdfast.PublishDraft, holdfast.PublishPlanned, holdfast.PublishNeeds, holdfast.PublishBlocked, holdfast.PublishRehearsing,
	holdfast.PublishReady, holdfast.PublishApplying, holdfast.PublishPublished, holdfast.PublishFailed, holdfast.PublishReverted}

func TestOnlyWhatWasRehearsedIsApplied(t *testing.T) {
	for _, s := range publishStates {
		if can := s.CanBecome(holdfast.PublishApplying); can != (s == holdfast.PublishReady) {
			t.Errorf("%s can become applying: %t", s, can)
		}
		if can := s.CanBecome(holdfast.PublishReady); can != (s == holdfast.PublishRehearsing) {
			t.Errorf("%s can become ready: %t", s, can)
		}
		if can := s.CanBecome(holdfast.PublishPublished); can != (s == holdfast.PublishApplying) {
			t.Errorf("%s can become published: %t", s, can)
		}
		if can := s.CanBecome(holdfast.PublishReverted); can != (s == holdfast.PublishPublished) {
			t.Errorf("%s can become reverted: %t", s, can)
		}
		if can := s.CanBecome(holdfast.PublishFailed); can != (s.Open() || s == holdfast.PublishApplying) {
			t.Errorf("%s can become failed: %t", s, can)
		}
	}
	p := holdfast.Publish{Number: 3, State: holdfast.PublishPlanned}
	if err := p.Become(holdfast.PublishApplying); holdfast.KindOf(err) != holdfast.Conflict || p.State != holdfast.PublishPlanned {
		t.Errorf("got %v, %s", err, p.State)
	}
}

func TestEveryStateOfAPublishCanBeReached(t *testing.T) {
	reached := []holdfast.PublishState{holdfast.PublishDraft}
	for i := 0; i < len(reached); i++ {
		for _, next := range publishStates {
			if reached[i].CanBecome(next) && !slices.Contains(reached, next) {
				reached = append(reached, next)
			}
		}
	}
	if len(reached) != len(publishStates) {
		t.Errorf("reached only %v", reached)
	}
}

func TestHooksThatCouldNotBeRunAreRefused(t *testing.T) {
	for url, ok := range map[string]bool{"": true, "https://ci.example.com/check": true, "http://127.0.0.1:8080/": true, "ftp://x/": false, "ci.example.com": false, "https://": false,
		"https://user:secret@ci.example.com/": false} {
		if err := (holdfast.Hooks{URL: url}).Validate(); (err == nil) != ok {
			t.Errorf("%q: got %v", url, err)
		}
	}
	if err := (holdfast.Hooks{Command: "make test", CommandTimeout: 2 * time.Hour}).Validate(); err == nil {
		t.Error("a hook may take two hours")
	}
}
