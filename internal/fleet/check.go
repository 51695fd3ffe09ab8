package fleet

import (
	"context"

	"github.com/holdfast/holdfast/internal/postgres"
)

// ChooseMajor returns the major version that a new branch gets when major is asked for; zero asks for the default. It is a
// Precondition error when this machine has no such PostgreSQL.
func (f *Fleet) ChooseMajor(major int) (int, error) {
	install, err := postgres.Choose(f.config.Installations, major)
	return install.Major, err
}

// Check asks PostgreSQL whether it would start with the settings of spec, and changes nothing. What it refuses is Invalid, with
// its own words.
func (f *Fleet) Check(ctx context.Context, spec Spec) error {
	server, err := f.Server(spec.ID)
	if err != nil {
		return err
	}
	return server.Check(ctx, spec.parameters(server.Installation()))
}
