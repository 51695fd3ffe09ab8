package holdfast

import (
	"fmt"
	"strings"
	"time"
)

// Hooks are a project's own checks of a copy of its data: of a rehearsal, of a restored backup. Each gets the copy's DATABASE_URL.
type Hooks struct {
	Command        string        `json:"command,omitempty"`       // for a shell, with DATABASE_URL in its environment
	URL            string        `json:"url,omitempty"`           // is sent a POST with the DATABASE_URL; any answer but 2xx is a failure
	AllowPrivate   bool          `json:"allow_private,omitempty"` // the URL may lead to this machine or a private network
	CommandTimeout time.Duration `json:"command_timeout,omitempty"`
	URLTimeout     time.Duration `json:"url_timeout,omitempty"`
}

// Limits of a hook's time.
const (
	DefaultHookTimeout = 5 * time.Minute
	MaxHookTimeout     = time.Hour
)

// Validate refuses hooks that could not be run.
func (h Hooks) Validate() error {
	invalid := func(message, hint string) error { return &Error{Kind: Invalid, Message: message, Hint: hint} }
	for _, d := range []time.Duration{h.CommandTimeout, h.URLTimeout} {
		if d < 0 || d > MaxHookTimeout {
			return invalid(fmt.Sprintf("a hook cannot take %s", d), "choose up to 1h")
		}
	}
	if len(h.Command) > 4096 || strings.ContainsRune(h.Command, 0) {
		return invalid("a hook's command has at most 4096 bytes", "put it into a script")
	}
	scheme, rest, found := strings.Cut(h.URL, "://")
	host, _, _ := strings.Cut(rest, "/")
	switch {
	case h.URL == "":
	case len(h.URL) > 2048 || !found || scheme != "http" && scheme != "https" || host == "":
		return invalid("a hook's URL begins with http:// or https://", "")
	case strings.Contains(host, "@"):
		return invalid("a hook's URL carries no user and no password", "")
	}
	return nil
}

// ProofHooks are a project's own checks of a backup that was restored to prove it.
type ProofHooks struct {
	Hooks
	Assertions       []Assertion   `json:"assertions,omitempty"`
	AssertionTimeout time.Duration `json:"assertion_timeout,omitempty"` // of each; 0: DefaultHookTimeout
}

// Assertion is a query that says whether restored data is right.
type Assertion struct {
	Name   string `json:"name"`
	SQL    string `json:"sql"`
	NoRows bool   `json:"no_rows,omitempty"` // it must give no row; otherwise one row with one column, true
}

// Limits of assertions.
const (
	MaxAssertions     = 100
	MaxAssertionBytes = 16 << 10
)

// Validate refuses checks that could not be run.
func (h ProofHooks) Validate() error {
	if err := h.Hooks.Validate(); err != nil {
		return err
	}
	invalid := func(message, hint string) error { return &Error{Kind: Invalid, Message: message, Hint: hint} }
	if h.AssertionTimeout < 0 || h.AssertionTimeout > MaxHookTimeout {
		return invalid(fmt.Sprintf("an assertion cannot take %s", h.AssertionTimeout), "choose up to 1h")
	}
	if len(h.Assertions) > MaxAssertions {
		return invalid(fmt.Sprintf("%d assertions are too many", len(h.Assertions)), fmt.Sprintf("a project has at most %d", MaxAssertions))
	}
	seen := map[string]bool{}
	for _, a := range h.Assertions {
		switch {
		case a.Name == "" || len(a.Name) > 100 || strings.ContainsFunc(a.Name, func(r rune) bool { return r < ' ' || r == 0x7F }):
			return invalid("an assertion needs a name of at most 100 bytes, in one line", "say what it means: every order has a customer")
		case seen[a.Name]:
			return invalid("there are two assertions with the name "+a.Name, "")
		case strings.TrimSpace(a.SQL) == "" || len(a.SQL) > MaxAssertionBytes || strings.ContainsRune(a.SQL, 0):
			return invalid(fmt.Sprintf("the assertion %s needs a query of at most %d bytes", a.Name, MaxAssertionBytes), "make a function in the database and call it")
		}
		seen[a.Name] = true
	}
	return nil
}
