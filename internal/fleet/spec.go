package fleet

import (
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// Spec is how a branch's server should be.
type Spec struct {
	ID    holdfast.BranchID
	Major int // PostgreSQL's major version; zero: the default for Create, otherwise what the data directory has
	// Dir is the branch's directory, with the data in Dir/data. Empty: named after the ID below the Fleet's root.
	Dir string
	// Parameters are PostgreSQL's settings (holdfast.Branch.Effective).
	Parameters map[string]string
	// Statistics preloads pg_stat_statements where the installation has it.
	Statistics bool
	// IdleTimeout is how long the branch stays awake unused; holdfast.NeverSleep or zero: for ever.
	IdleTimeout time.Duration
	// ConnectionLimit is how many sessions Acquire admits at once; zero: any number.
	ConnectionLimit int
}

const statisticsLibrary = "pg_stat_statements"

// parameters are the settings that the server is started with.
func (s Spec) parameters(install postgres.Installation) map[string]string {
	p := map[string]string{"cluster_name": string(s.ID)}
	if s.Statistics && install.HasLibrary(statisticsLibrary) {
		p["shared_preload_libraries"] = statisticsLibrary
	}
	maps.Copy(p, s.Parameters)
	return p
}

// Dir returns a branch's directory as Spec.Dir defines it.
func (f *Fleet) Dir(spec Spec) string {
	if spec.Dir != "" {
		return filepath.Clean(spec.Dir)
	}
	return filepath.Join(f.config.Root, string(spec.ID))
}

// DataDir returns the data directory of a branch.
func (f *Fleet) DataDir(spec Spec) string { return filepath.Join(f.Dir(spec), dataName) }

const (
	dataName = "data"
	logName  = "server.log"
)

func (f *Fleet) serverAt(dir string, install postgres.Installation) *postgres.Server {
	return postgres.New(postgres.Config{
		Installation: install,
		Account:      f.config.Account,
		DataDir:      filepath.Join(dir, dataName),
		LogFile:      filepath.Join(dir, logName),
	})
}

// install finds the programs for a branch whose data directory exists.
func (f *Fleet) install(spec Spec) (postgres.Installation, error) {
	major := spec.Major
	if major == 0 {
		var err error
		if major, err = f.serverAt(f.Dir(spec), postgres.Installation{}).DataMajor(); err != nil {
			return postgres.Installation{}, err
		}
	}
	return postgres.Choose(f.config.Installations, major)
}

// checkID refuses what cannot be the name of a directory beside the Fleet's own, which begin with a dot.
func checkID(id holdfast.BranchID) error {
	if id == "" || strings.HasPrefix(string(id), ".") || strings.ContainsAny(string(id), "/\x00") {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("%q cannot identify a branch", id)}
	}
	return nil
}
