package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

// logins is the content of logins.json in the user's configuration directory, which only the user may read.
type logins struct {
	Current string           `json:"current,omitempty"`
	Servers map[string]login `json:"servers"`
}

type login struct {
	URL   string `json:"url"`
	Token string `json:"token"`
}

func (l logins) names() []string { return slices.Sorted(maps.Keys(l.Servers)) }

func (l logins) find(name string) (target, error) {
	found, ok := l.Servers[name]
	if !ok {
		hint := "`holdfast login --list` shows them"
		if near := nearest(name, l.names()); near != "" {
			hint = "did you mean " + near + "?"
		}
		return target{}, &holdfast.Error{Kind: holdfast.NotFound, Message: fmt.Sprintf("there is no login %q", name), Hint: hint}
	}
	return target{found.URL, found.Token}, nil
}

func (c *cli) loginsFile() string { return filepath.Join(c.env.configDir(), "logins.json") }

func (c *cli) readLogins() (logins, error) {
	l := logins{Servers: map[string]login{}}
	raw, err := os.ReadFile(c.loginsFile())
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &l)
	}
	if err != nil {
		return l, fmt.Errorf("read the logins in %s: %w", c.loginsFile(), err)
	}
	return l, nil
}

func (c *cli) writeLogins(l logins) error {
	raw, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.env.configDir(), 0o700); err != nil {
		return fmt.Errorf("make the directory of the logins: %w", err)
	}
	return writeFile(c.loginsFile(), append(raw, '\n'), 0o600)
}

// writeFile replaces a file whole: a crash leaves the old content or the new one, never half.
func writeFile(path string, content []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(mode), f.Sync())
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	// Without this a crash can forget the rename.
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func (c *cli) loginCommand() *cobra.Command {
	var ask struct {
		url, token, setup, user string
		list                    bool
	}
	cmd := &cobra.Command{
		Use:   "login [NAME]",
		Short: "Keep a server's address and token under a name",
		Long: `Keeps a server's address and token under a name (default: "default"), in a file that only you may read, and makes it the current one.
The token is asked for, or read from standard input where that is no terminal; given as --token it can be seen by other users of this
machine while the command runs. With --user a name and a password are asked for instead, and a token of that person is kept, which
lasts 90 days. With --setup the one-time link of a server's first start is redeemed for an admin token.

A name that is kept already becomes the current one again when nothing else is said.`,
		Example: `  holdfast login --url https://db.example.com
  holdfast login --url https://db.example.com --user ann
  holdfast login work --url https://db.example.com < token.txt
  holdfast login --setup 'http://127.0.0.1:7600/setup#hf_setup_...'
  holdfast login work
  holdfast login --list`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			kept, err := c.readLogins()
			if err != nil {
				return err
			}
			if ask.list {
				return c.showLogins(kept)
			}
			name := first(args)
			if name == "" {
				name = "default"
			}
			if _, known := kept.Servers[name]; known && ask.url == "" && ask.setup == "" && ask.token == "" && ask.user == "" {
				kept.Current = name
				if err := c.writeLogins(kept); err != nil {
					return err
				}
				return c.say("%s is the current login", name)
			}
			var l login
			if ask.user != "" {
				l, err = c.loginPerson(cmd, ask.url, ask.user)
			} else {
				l, err = c.newLogin(cmd, ask.url, ask.token, ask.setup)
			}
			if err != nil {
				return err
			}
			kept.Servers[name], kept.Current = l, name
			if err := c.writeLogins(kept); err != nil {
				return err
			}
			return c.say("%s is the current login: %s", name, l.URL)
		},
	}
	cmd.Flags().StringVar(&ask.url, "url", "", "the server's address, as https://db.example.com")
	cmd.Flags().StringVar(&ask.token, "token", "", "the token (better: let it be asked for)")
	cmd.Flags().StringVar(&ask.user, "user", "", "sign in as this person, with a password")
	cmd.Flags().StringVar(&ask.setup, "setup", "", "the one-time set-up link of the server's first start")
	cmd.Flags().BoolVar(&ask.list, "list", false, "list the logins")
	cmd.MarkFlagsMutuallyExclusive("setup", "url")
	cmd.MarkFlagsMutuallyExclusive("setup", "user")
	cmd.MarkFlagsMutuallyExclusive("token", "user")
	cmd.MarkFlagsMutuallyExclusive("setup", "token")
	return cmd
}

// newLogin finds out the token and tries it: what does not work is not kept.
func (c *cli) newLogin(cmd *cobra.Command, address, token, setup string) (login, error) {
	if setup != "" {
		return c.redeem(cmd, setup)
	}
	if address == "" {
		address = c.env.URL
	}
	if address == "" {
		return login{}, usage(cmd, errors.New("--url is missing"))
	}
	address = strings.TrimRight(address, "/")
	if token == "" {
		var err error
		if token, err = c.askSecret("token: "); err != nil {
			return login{}, err
		}
	}
	client, err := api.NewClient(address, token, "holdfast-cli/"+version)
	if err != nil {
		return login{}, err
	}
	defer client.Close()
	if u, _ := url.Parse(address); u.Scheme == "http" && !isLoopback(u.Hostname()) {
		fmt.Fprintf(c.errOut, "warning: tokens and passwords travel to %s unencrypted; use https\n", u.Host)
	}
	info, err := client.Server(cmd.Context())
	if err != nil {
		return login{}, err
	}
	fmt.Fprintf(c.errOut, "%s knows you as %s (right: %s)\n", address, printable(info.You.Name), printable(info.You.Right))
	return login{URL: address, Token: token}, nil
}

func isLoopback(host string) bool {
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}

// redeem exchanges the set-up link for a token. The secret is the link's fragment, which no HTTP client sends by itself.
func (c *cli) redeem(cmd *cobra.Command, link string) (login, error) {
	address, secret, found := strings.Cut(link, api.SetupPagePath+"#")
	if !found || secret == "" {
		return login{}, usage(cmd, errors.New("that is not a set-up link: it ends in /setup# and a secret"))
	}
	client, err := api.NewClient(address, "", "holdfast-cli/"+version)
	if err != nil {
		return login{}, err
	}
	defer client.Close()
	host, err := os.Hostname()
	if err != nil {
		host = "this machine"
	}
	made, err := client.RedeemSetup(cmd.Context(), api.Setup{Secret: secret, Name: "command line on " + host})
	return login{URL: client.URL(), Token: made.Secret}, err
}

// askSecret reads a line without showing it, or from a pipe.
func (c *cli) askSecret(prompt string) (string, error) {
	var text string
	if fd := int(c.in.Fd()); term.IsTerminal(fd) {
		fmt.Fprint(c.errOut, prompt)
		raw, err := term.ReadPassword(fd)
		fmt.Fprintln(c.errOut)
		if err != nil {
			return "", fmt.Errorf("read the secret: %w", err)
		}
		text = string(raw)
	} else {
		line, err := bufio.NewReader(io.LimitReader(c.in, 4096)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the secret: %w", err)
		}
		text = line
	}
	if text = strings.TrimSpace(text); text == "" {
		return "", &holdfast.Error{Kind: holdfast.Invalid, Message: "no secret was given"}
	}
	return text, nil
}

func (c *cli) showLogins(l logins) error {
	type row struct {
		Name    string `json:"name"`
		URL     string `json:"url"`
		Current bool   `json:"current"`
	}
	rows := []row{}
	for _, name := range l.names() {
		rows = append(rows, row{name, l.Servers[name].URL, name == l.Current})
	}
	return c.show(rows, func(w io.Writer) {
		t := newTable(w, "NAME", "URL", "CURRENT")
		for _, r := range rows {
			t.row(r.Name, r.URL, yes(r.Current))
		}
		t.flush()
	})
}

func (c *cli) logoutCommand() *cobra.Command {
	return &cobra.Command{
		Use: "logout [NAME]", Short: "Forget a login", Long: "Forgets a login's address and token (default: the current one). The token itself stays valid: `holdfast token revoke` ends it.",
		Example: "  holdfast logout work", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			kept, err := c.readLogins()
			if err != nil {
				return err
			}
			name := first(args)
			if name == "" {
				name = kept.Current
			}
			if _, err := kept.find(name); err != nil {
				return err
			}
			delete(kept.Servers, name)
			if kept.Current == name {
				kept.Current = ""
			}
			if err := c.writeLogins(kept); err != nil {
				return err
			}
			return c.say("%s is forgotten", name)
		},
	}
}
