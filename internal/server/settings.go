package server

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

func (s *Server) settingRoutes() {
	add(s, route{method: http.MethodGet, path: api.SettingsPath, id: "get-settings", rule: toSee, tag: "settings", summary: "A branch's whole configuration, and what can be set"},
		func(ctx context.Context, who holdfast.Principal, in *BranchPath) (api.Settings, error) {
			b, err := s.config.Platform.Branch(ctx, who, in.ref())
			if err != nil {
				return api.Settings{}, err
			}
			return viewSettings(b), nil
		})
	add(s, route{method: http.MethodPatch, path: api.SettingsPath, id: "change-settings", rule: toDevelop, tag: "settings", summary: "Change some of a branch's settings",
		about: "What is left out stays. A parameter that is null returns to the profile of the branch's environment. Unknown and dangerous settings are refused with the reason."},
		func(ctx context.Context, who holdfast.Principal, in *settingsInput) (api.Branch, error) {
			change := platform.SettingsChange{ConnectionLimit: in.Body.Connections, Parameters: in.Body.Parameters}
			if in.Body.IdleTimeout != nil {
				d := duration(*in.Body.IdleTimeout)
				change.IdleTimeout = &d
			}
			if in.Body.Window != nil {
				// What is out of bounds stays so; the multiplication must not bring it back.
				d := time.Duration(max(-1, min(*in.Body.Window, int64(holdfast.MaxWindow/time.Second)+1))) * time.Second
				if d == 0 {
					d = -1 // zero means the default where settings are kept
				}
				change.Window = &d
			}
			b, err := s.config.Platform.ChangeSettings(ctx, who, in.ref(), change)
			return viewBranch(b), err
		})
}

func viewSettings(b platform.BranchView) api.Settings {
	profile, settable := holdfast.Profile(b.Environment), holdfast.UserParameters()
	names := map[string]bool{}
	for _, name := range settable {
		names[name] = true
	}
	for name := range b.Parameters {
		names[name] = true
	}
	out := api.Settings{IdleTimeout: seconds(b.Settings.IdleTimeout), Connections: b.Settings.ConnectionLimit, Window: seconds(b.Settings.HistoryWindow()), Parameters: []api.Parameter{}}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		_, changed := b.Settings.Parameters[name]
		_, can := slices.BinarySearch(settable, name)
		out.Parameters = append(out.Parameters, api.Parameter{Name: name, Value: b.Parameters[name], Profile: profile[name], Changed: changed, Settable: can})
	}
	return out
}
