package main

import (
	"os"
	"path/filepath"

	"github.com/caarlos0/env/v11"

	"github.com/holdfast/holdfast"
)

// environment is what client commands take from the process's environment.
type environment struct {
	URL    string `env:"HOLDFAST_URL"`
	Token  string `env:"HOLDFAST_TOKEN"`
	Server string `env:"HOLDFAST_SERVER"`
	Data   string `env:"HOLDFAST_DATA"`

	Home       string `env:"HOME"`
	ConfigHome string `env:"XDG_CONFIG_HOME"`
	DataHome   string `env:"XDG_DATA_HOME"`
}

func readEnvironment() (environment, error) {
	var e environment
	if err := env.Parse(&e); err != nil {
		return e, &holdfast.Error{Kind: holdfast.Invalid, Message: "the environment could not be read", Cause: err}
	}
	return e, nil
}

// defaultData is the data directory where none is named: the system's for root, the user's own otherwise.
func (e environment) defaultData() string {
	switch {
	case e.Data != "":
		return e.Data
	case os.Geteuid() == 0:
		return "/var/lib/holdfast"
	case filepath.IsAbs(e.DataHome):
		return filepath.Join(e.DataHome, "holdfast")
	}
	return filepath.Join(e.Home, ".local", "share", "holdfast")
}

// configDir is where the command line keeps its logins. The XDG specification says to ignore relative paths.
func (e environment) configDir() string {
	if filepath.IsAbs(e.ConfigHome) {
		return filepath.Join(e.ConfigHome, "holdfast")
	}
	return filepath.Join(e.Home, ".config", "holdfast")
}

// variables is the environment for a program that this one starts, without those that drop says.
func variables(drop func(name string) bool) []string {
	var out []string
	for _, pair := range os.Environ() {
		for i := range pair {
			if pair[i] == '=' {
				if !drop(pair[:i]) {
					out = append(out, pair)
				}
				break
			}
		}
	}
	return out
}
