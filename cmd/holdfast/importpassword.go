package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgpassfile"

	"github.com/holdfast/holdfast"
)

// sourceAddress is the address of a database elsewhere with its password: that of the address itself, of a file, of the environment, of the
// file in which PostgreSQL's programs look, or what is asked for, in this order.
func (c *cli) sourceAddress(from, passwordFile string) (string, error) {
	if from == "-" {
		var err error
		if from, err = c.askSecret("address of the database: "); err != nil {
			return "", err
		}
	}
	u, err := url.Parse(from)
	if err != nil {
		return "", &holdfast.Error{Kind: holdfast.Invalid, Message: "the address of the database is not a URL", Hint: "write it as postgres://USER@HOST:PORT/DATABASE?sslmode=require"}
	}
	if _, given := u.User.Password(); given || u.Query().Get("password") != "" || u.User == nil {
		return from, nil
	}
	password, err := c.sourcePassword(u, passwordFile)
	if err != nil {
		return "", err
	}
	u.User = url.UserPassword(u.User.Username(), password)
	return u.String(), nil
}

func (c *cli) sourcePassword(u *url.URL, file string) (string, error) {
	if file != "" {
		raw, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		line, _, _ := strings.Cut(string(raw), "\n")
		if line = strings.TrimRight(line, "\r"); line == "" {
			return "", &holdfast.Error{Kind: holdfast.Invalid, Message: "the first line of " + file + " is empty: it should be the password"}
		}
		return line, nil
	}
	if c.env.PGPassword != "" {
		return c.env.PGPassword, nil
	}
	if password := c.passFile(u); password != "" {
		return password, nil
	}
	return c.askSecret("password of " + u.User.Username() + ": ")
}

// passFile looks into the file of passwords as PostgreSQL's programs do, which do not believe one that others can read either.
func (c *cli) passFile(u *url.URL) string {
	path := c.env.PGPassFile
	if path == "" {
		path = filepath.Join(c.env.Home, ".pgpass")
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && c.env.PGPassFile == "":
		return ""
	case err != nil:
		fmt.Fprintf(c.errOut, "the file of passwords %s cannot be read\n", path)
		return ""
	case info.Mode().Perm()&0o077 != 0:
		fmt.Fprintf(c.errOut, "the file of passwords %s is left aside: others can read it (chmod 0600)\n", path)
		return ""
	}
	entries, err := pgpassfile.ReadPassfile(path)
	if err != nil {
		fmt.Fprintf(c.errOut, "the file of passwords %s cannot be read\n", path)
		return ""
	}
	named := func(parameter, value, otherwise string) string {
		if v := u.Query().Get(parameter); v != "" {
			return v
		}
		if value == "" {
			return otherwise
		}
		return value
	}
	user := named("user", u.User.Username(), "")
	return entries.FindPassword(named("host", u.Hostname(), ""), named("port", u.Port(), "5432"), named("dbname", strings.TrimPrefix(u.Path, "/"), user), user)
}
