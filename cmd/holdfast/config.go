package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/caarlos0/env/v11"
	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/pflag"

	"github.com/holdfast/holdfast"
)

// configFile is the name of the server's configuration file in its data directory.
const configFile = "holdfast.toml"

// environment is what client commands take from the process's environment.
type environment struct {
	URL    string `env:"HOLDFAST_URL"`
	Token  string `env:"HOLDFAST_TOKEN"`
	Server string `env:"HOLDFAST_SERVER"`
	Data   string `env:"HOLDFAST_DATA"`

	Home       string `env:"HOME"`
	ConfigHome string `env:"XDG_CONFIG_HOME"`
	DataHome   string `env:"XDG_DATA_HOME"`

	// Where a password of a database elsewhere may be, as PostgreSQL's own programs look for it.
	PGPassword string `env:"PGPASSWORD"`
	PGPassFile string `env:"PGPASSFILE"`

	// NodeExtraCA is a user's own choice of certificates that Node.js trusts.
	NodeExtraCA string `env:"NODE_EXTRA_CA_CERTS"`

	// NotifySocket is set by a service manager, which also keeps what this program prints.
	NotifySocket string `env:"NOTIFY_SOCKET"`
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

// serveConfig is what an operator may choose for a server. A flag wins over the environment, that over the file, and that over the
// default. The data directory is not in it: the file lies there.
type serveConfig struct {
	HTTP          string   `toml:"http" env:"HOLDFAST_HTTP"`
	Gateway       string   `toml:"gateway" env:"HOLDFAST_GATEWAY"`
	GatewayPublic string   `toml:"gateway_public" env:"HOLDFAST_GATEWAY_PUBLIC"`
	Hosts         []string `toml:"hosts" env:"HOLDFAST_HOSTS"`
	AllowNetworks []string `toml:"allow_networks" env:"HOLDFAST_ALLOW_NETWORKS"`
	Proxies       []string `toml:"proxies" env:"HOLDFAST_PROXIES"`
	PostgreSQL    []string `toml:"postgresql" env:"HOLDFAST_POSTGRESQL"`
	Account       string   `toml:"account" env:"HOLDFAST_ACCOUNT"`
	Certificate   string   `toml:"certificate" env:"HOLDFAST_CERTIFICATE"`
	Key           string   `toml:"key" env:"HOLDFAST_KEY"`
	KeepServers   bool     `toml:"keep_servers" env:"HOLDFAST_KEEP_SERVERS"`
	LogLevel      string   `toml:"log_level" env:"HOLDFAST_LOG_LEVEL"`
	LogFormat     string   `toml:"log_format" env:"HOLDFAST_LOG_FORMAT"`
}

func defaultServeConfig() serveConfig {
	return serveConfig{HTTP: "127.0.0.1:7600", Gateway: "127.0.0.1:6432", LogLevel: "info", LogFormat: "text"}
}

// flags adds a flag for each setting; what stands in c is the default.
func (c *serveConfig) flags(f *pflag.FlagSet) {
	f.StringVar(&c.HTTP, "http", c.HTTP, "address of the API")
	f.StringVar(&c.Gateway, "gateway", c.Gateway, "address of the front door for PostgreSQL clients")
	f.StringVar(&c.GatewayPublic, "gateway-public", c.GatewayPublic, "host:port of the front door in connection strings (default: where it listens)")
	f.StringSliceVar(&c.Hosts, "host", c.Hosts, "a name under which the API is reached (can be repeated)")
	f.StringSliceVar(&c.Proxies, "proxy", c.Proxies, "an address or network of proxies before the API, whose X-Forwarded-For is believed (can be repeated)")
	f.StringVar(&c.Certificate, "certificate", c.Certificate, "certificate of the front door, PEM (default: one is made)")
	f.StringVar(&c.Key, "key", c.Key, "private key of the certificate, PEM")
	f.BoolVar(&c.KeepServers, "keep-servers", c.KeepServers, "leave the databases running when stopping; the next start takes them over")
	c.programFlags(f)
}

// programFlags are those of the settings that matter where nothing listens.
func (c *serveConfig) programFlags(f *pflag.FlagSet) {
	f.StringSliceVar(&c.AllowNetworks, "allow-network", c.AllowNetworks, "a network that S3 endpoints and alert channels may lie in although it is not public, as 192.168.1.0/24 (can be repeated)")
	f.StringSliceVar(&c.PostgreSQL, "postgresql", c.PostgreSQL, "a directory with PostgreSQL's programs, looked at first (can be repeated)")
	f.StringVar(&c.Account, "account", c.Account, "the user that databases run as when this program is root (default: postgres)")
	f.StringVar(&c.LogLevel, "log-level", c.LogLevel, "debug, info, warn or error")
	f.StringVar(&c.LogFormat, "log-format", c.LogFormat, "text or json")
}

// readServeConfig joins defaults, the file in the data directory, the environment and the flags that were given; but names flags that mean
// something else to the command.
func readServeConfig(data string, given *pflag.FlagSet, but ...string) (serveConfig, error) {
	c := defaultServeConfig()
	if err := c.readFile(filepath.Join(data, configFile)); err != nil {
		return c, err
	}
	if err := env.Parse(&c); err != nil {
		return c, &holdfast.Error{Kind: holdfast.Invalid, Message: "a HOLDFAST_ variable in the environment makes no sense", Cause: err}
	}
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	c.flags(own)
	var err error
	given.Visit(func(f *pflag.Flag) {
		into := own.Lookup(f.Name)
		if into == nil || slices.Contains(but, f.Name) {
			return
		}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			err = errors.Join(err, into.Value.(pflag.SliceValue).Replace(list.GetSlice()))
			return
		}
		err = errors.Join(err, into.Value.Set(f.Value.String()))
	})
	return c, errors.Join(err, c.check())
}

// readFile reads the file strictly: a misspelt key is an error, not a setting that is silently not set.
func (c *serveConfig) readFile(path string) error {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) { // what is in the directory's place is for openDataDir to say
		return nil
	}
	if err != nil {
		return dataDirError(filepath.Dir(path), err)
	}
	decoder := toml.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	err = decoder.Decode(c)
	var strict *toml.StrictMissingError
	var wrong *toml.DecodeError
	invalid := &holdfast.Error{Kind: holdfast.Invalid, Cause: err}
	switch {
	case err == nil:
		return nil
	case errors.As(err, &strict) && len(strict.Errors) > 0:
		row, _ := strict.Errors[0].Position()
		invalid.Message = fmt.Sprintf("%s, line %d: there is no setting %q", path, row, strings.Join(strict.Errors[0].Key(), "."))
		invalid.Hint = "`holdfast serve --help` lists the settings; in the file their dashes are underscores"
		invalid.Cause = nil
	case errors.As(err, &wrong):
		row, _ := wrong.Position()
		invalid.Message = fmt.Sprintf("%s, line %d makes no sense", path, row)
	default:
		invalid.Message = path + " could not be read"
	}
	return invalid
}

func (c *serveConfig) check() error {
	for name, address := range map[string]string{"http": c.HTTP, "gateway": c.Gateway, "gateway-public": c.GatewayPublic} {
		if name == "gateway-public" && address == "" {
			continue
		}
		if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
			return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("--%s %q is not an address", name, address), Hint: "write it as 127.0.0.1:7600"}
		}
	}
	if _, err := networks("proxy", c.Proxies); err != nil {
		return err
	}
	if _, err := networks("allow-network", c.AllowNetworks); err != nil {
		return err
	}
	if (c.Certificate == "") != (c.Key == "") {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: "--certificate and --key belong together"}
	}
	if c.LogFormat != "text" && c.LogFormat != "json" {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("--log-format %q is neither text nor json", c.LogFormat)}
	}
	if _, err := c.level(); err != nil {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("--log-level %q is not one of debug, info, warn and error", c.LogLevel)}
	}
	return nil
}

// networks reads addresses and networks; an address is the network that has only it.
func networks(name string, texts []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if address, alone := netip.ParseAddr(text); alone == nil {
			prefix, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		if err != nil {
			return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("--%s %q is neither an address nor a network", name, text), Hint: "write it as 10.0.0.7 or 10.0.0.0/8"}
		}
		out = append(out, prefix.Masked())
	}
	return out, nil
}

func (c *serveConfig) level() (slog.Level, error) {
	var l slog.Level
	err := l.UnmarshalText([]byte(c.LogLevel))
	return l, err
}
