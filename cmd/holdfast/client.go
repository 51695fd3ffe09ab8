package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

// Files in a data directory by which commands on the same machine find its server.
const (
	serverFile     = "server.json"
	adminTokenFile = "admin.token"
)

// serverNote is the content of server.json.
type serverNote struct {
	URL string `json:"url"`
}

// target is a server and what to show it.
type target struct{ url, token string }

// client returns a client of the server that the command line, the environment, the link file, a login or the local data directory names,
// in this order.
func (c *cli) client() (*api.Client, error) {
	t, err := c.target()
	if err != nil {
		return nil, err
	}
	return api.NewClient(t.url, t.token, "holdfast-cli/"+version)
}

func (c *cli) target() (target, error) {
	logins, err := c.readLogins()
	if err != nil {
		return target{}, err
	}
	name := c.server
	switch {
	case name != "":
	case c.data != "":
		return c.localServer(c.data)
	case c.env.URL != "":
		return c.fromEnvironment(logins)
	default:
		if name, err = c.chosenLogin(logins); err != nil {
			return target{}, err
		}
	}
	var t target
	if name != "" {
		t, err = logins.find(name)
	} else {
		t, err = c.localServer(c.env.defaultData())
	}
	if err == nil && c.env.Token != "" && c.server == "" {
		t.token = c.env.Token
	}
	return t, err
}

// chosenLogin is the login that the environment or the link file names, else the current one; "" when there is none.
func (c *cli) chosenLogin(logins logins) (string, error) {
	if c.env.Server != "" {
		return c.env.Server, nil
	}
	link, _, err := findLink()
	if err == nil && link.Server != "" {
		return link.Server, nil
	}
	return logins.Current, err
}

func (c *cli) fromEnvironment(logins logins) (target, error) {
	if c.env.Token != "" {
		return target{c.env.URL, c.env.Token}, nil
	}
	for _, l := range logins.Servers {
		if l.URL == strings.TrimRight(c.env.URL, "/") {
			return target{l.URL, l.Token}, nil
		}
	}
	return target{}, &holdfast.Error{Kind: holdfast.Unauthenticated, Message: "HOLDFAST_URL is set, but there is no token for " + c.env.URL,
		Hint: "set HOLDFAST_TOKEN, or keep a token with `holdfast login`"}
}

// localServer finds the server of a data directory on this machine.
func (c *cli) localServer(dir string) (target, error) {
	var note serverNote
	raw, err := os.ReadFile(filepath.Join(dir, serverFile))
	if err == nil {
		err = json.Unmarshal(raw, &note)
	}
	if err != nil {
		return target{}, localError(dir, err)
	}
	token := c.env.Token
	if token == "" {
		raw, err := os.ReadFile(filepath.Join(dir, adminTokenFile))
		if err != nil {
			return target{}, localError(dir, err)
		}
		token = strings.TrimSpace(string(raw))
	}
	return target{note.URL, token}, nil
}

// localCertificate is the file with the front door's certificate, where client speaks to the server of this machine's data directory
// and that made its certificate itself; "" otherwise.
func (c *cli) localCertificate(client *api.Client) string {
	dir := c.data
	if dir == "" {
		dir = c.env.defaultData()
	}
	var note serverNote
	raw, err := os.ReadFile(filepath.Join(dir, serverFile))
	if err != nil || json.Unmarshal(raw, &note) != nil || note.URL != client.URL() {
		return ""
	}
	path, err := filepath.Abs(filepath.Join(dir, certFileName))
	if err != nil {
		return ""
	}
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

func localError(dir string, err error) error {
	e := &holdfast.Error{Kind: holdfast.Unavailable, Message: fmt.Sprintf("no server was found: none runs with the data directory %s, and there is no login", dir),
		Hint: "start one with `holdfast serve`, or name one with `holdfast login`"}
	if errors.Is(err, fs.ErrPermission) {
		e.Kind, e.Message = holdfast.NotAllowed, "the data directory "+dir+" may be read only by the account that runs the server"
		e.Hint = "run the command as that account, or keep a token of your own with `holdfast login`"
	} else if !errors.Is(err, fs.ErrNotExist) {
		e.Message, e.Cause = "the server of "+dir+" could not be found out", err
	}
	return e
}
