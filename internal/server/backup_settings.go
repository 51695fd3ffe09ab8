package server

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

// TableSetPath is the part of a path that names a set of tables.
type TableSetPath struct {
	Project string `path:"project" example:"shop"`
	Name    string `path:"name" example:"catalogue"`
}

type tableSetInput struct {
	TableSetPath
	Body api.TableSet
}

type exportFolderInput struct {
	Project string `path:"project" example:"shop"`
	Body    api.ExportFolder
}

func (s *Server) backupSettingsRoutes() {
	p := s.config.Platform
	add(s, route{method: http.MethodGet, path: api.BackupHealthPath, id: "backup-health", rule: toSee, tag: "backups", summary: "How a branch stands with its backups"},
		func(ctx context.Context, who holdfast.Principal, in *BranchPath) (api.BackupHealth, error) {
			h, err := p.BackupHealth(ctx, who, in.ref())
			return viewHealth(h), err
		})
	addList(s, route{method: http.MethodGet, path: api.TableSetsPath, id: "list-table-sets", rule: toSee, tag: "backups", summary: "A project's named sets of tables"},
		func(ctx context.Context, who holdfast.Principal, in *projectInput) ([]api.TableSet, error) {
			sets, err := p.TableSets(ctx, who, in.Project)
			var out []api.TableSet
			for _, name := range slices.Sorted(maps.Keys(sets)) {
				out = append(out, api.TableSet{Name: name, Tables: sets[name]})
			}
			return out, err
		})
	addEmpty(s, route{method: http.MethodPut, path: api.TableSetPath, id: "set-table-set", rule: toAdminister, tag: "backups", summary: "Name a set of tables"},
		func(ctx context.Context, who holdfast.Principal, in *tableSetInput) error {
			return p.SetTableSet(ctx, who, in.Project, in.Name, in.Body.Tables)
		})
	addEmpty(s, route{method: http.MethodDelete, path: api.TableSetPath, id: "delete-table-set", rule: toAdminister, tag: "backups", summary: "Forget a set of tables"},
		func(ctx context.Context, who holdfast.Principal, in *TableSetPath) error {
			return p.DeleteTableSet(ctx, who, in.Project, in.Name)
		})
	addEmpty(s, route{method: http.MethodPut, path: api.ExportFolderPath, id: "set-export-folder", rule: toAdminister, tag: "backups", summary: "Choose a folder for further copies of a project's backups",
		about: "It may be on a disk that is not always there: copies are brought there whenever it is."},
		func(ctx context.Context, who holdfast.Principal, in *exportFolderInput) error {
			return p.SetExportFolder(ctx, who, in.Project, platform.ExportFolder{Folder: in.Body.Folder, Encrypt: in.Body.Encrypt})
		})
	addEmpty(s, route{method: http.MethodDelete, path: api.ExportFolderPath, id: "remove-export-folder", rule: toAdminister, tag: "backups", summary: "Forget the export folder", about: "What lies there stays."},
		func(ctx context.Context, who holdfast.Principal, in *projectInput) error {
			return p.RemoveExportFolder(ctx, who, in.Project)
		})
}

func viewHealth(h platform.BackupHealth) api.BackupHealth {
	out := api.BackupHealth{Protected: h.Protected, Held: h.Held, Alerts: h.Alerts, Places: []api.BackupPlace{}}
	if out.Alerts == nil {
		out.Alerts = []string{}
	}
	out.Rule = api.ThreeTwoOne{Kept: len(h.Rule.Missing) == 0, Copies: h.Rule.Copies, Media: h.Rule.Media, Offsite: h.Rule.Offsite, Missing: h.Rule.Missing}
	if out.Rule.Kept {
		out.Rule.Missing = []string{}
	}
	view := func(b *platform.BackupView) *api.Backup {
		if b == nil {
			return nil
		}
		v := viewBackup(*b)
		return &v
	}
	out.LastGood, out.LastVerified = view(h.LastGood), view(h.LastVerified)
	for _, place := range h.Places {
		v := api.BackupPlace{Name: place.Name, Kind: place.Kind, Offsite: place.Offsite, Copies: place.Copies, Behind: place.Behind, Newest: place.Newest}
		if h.Export != nil && place.Kind == platform.ExportKind {
			v.Mounted, v.LastSync = &h.Export.Mounted, h.Export.LastSync
		}
		out.Places = append(out.Places, v)
	}
	return out
}
