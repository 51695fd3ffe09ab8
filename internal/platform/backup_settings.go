package platform

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/store"
)

var settingName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

func checkSettingName(name string) error {
	if !settingName.MatchString(name) {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: "\"" + name + "\" cannot be such a name", Hint: "use up to 63 lower-case letters, digits, dashes and underscores, beginning with a letter"}
	}
	return nil
}

func (p *Platform) putSetting(ctx context.Context, who holdfast.Principal, project, purpose, name string, config any) error {
	if err := checkSettingName(name); err != nil {
		return err
	}
	found, _, err := p.findProject(ctx, who, project, holdfast.MayAdmin)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(config)
	if err != nil {
		return err
	}
	return p.store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.PutBackupSetting(found.ID, purpose, store.BackupSetting{Name: name, Config: string(raw)}); err != nil {
			return err
		}
		return p.record(tx, who, purpose+".set", project+"/"+name, nil)
	})
}

func (p *Platform) deleteSetting(ctx context.Context, who holdfast.Principal, project, purpose, name string) error {
	found, _, err := p.findProject(ctx, who, project, holdfast.MayAdmin)
	if err != nil {
		return err
	}
	return p.store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.DeleteBackupSetting(found.ID, purpose, name); err != nil {
			return err
		}
		return p.record(tx, who, purpose+".remove", project+"/"+name, nil)
	})
}

// readSettings reads a project's settings of a purpose.
func readSettings[T any](ctx context.Context, p *Platform, project holdfast.ProjectID, purpose string) (map[string]T, error) {
	out := map[string]T{}
	err := p.store.View(ctx, func(tx *store.Tx) error {
		settings, err := tx.BackupSettings(project, purpose)
		for _, s := range settings {
			var one T
			if err := json.Unmarshal([]byte(s.Config), &one); err != nil {
				return err
			}
			out[s.Name] = one
		}
		return err
	})
	return out, err
}

func (p *Platform) readTableSets(ctx context.Context, project holdfast.ProjectID) (map[string][]string, error) {
	return readSettings[[]string](ctx, p, project, store.TableSets)
}

// TableSets lists a project's named sets of tables.
func (p *Platform) TableSets(ctx context.Context, who holdfast.Principal, project string) (map[string][]string, error) {
	found, _, err := p.findProject(ctx, who, project, holdfast.MayRead)
	if err != nil {
		return nil, err
	}
	return p.readTableSets(ctx, found.ID)
}

// SetTableSet names a set of tables, or gives the name another set.
func (p *Platform) SetTableSet(ctx context.Context, who holdfast.Principal, project, name string, tables []string) error {
	if len(tables) == 0 {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: "a table set needs a table"}
	}
	for _, t := range tables {
		if _, err := holdfast.ParseTablePattern(t); err != nil {
			return err
		}
	}
	return p.putSetting(ctx, who, project, store.TableSets, name, tables)
}

// DeleteTableSet forgets a set of tables.
func (p *Platform) DeleteTableSet(ctx context.Context, who holdfast.Principal, project, name string) error {
	return p.deleteSetting(ctx, who, project, store.TableSets, name)
}

// ExportFolder is a folder for further copies of a project's backups, for example on an external disk that is not always there.
type ExportFolder struct {
	Folder   string    `json:"folder"`
	Encrypt  bool      `json:"encrypt,omitempty"`
	LastSync time.Time `json:"last_sync,omitzero"` // when it had everything
	Mounted  bool      `json:"-"`
}

// exportName is what the export folder is called among a backup's copies.
const exportName = "export-folder"

// exportMark lies in an export folder and says whose it is. A folder without it is the place where a disk is mounted that is not there now.
const exportMark = ".holdfast-export"

// SetExportFolder chooses a folder for further copies of every completed backup. They are brought there whenever it is in reach.
func (p *Platform) SetExportFolder(ctx context.Context, who holdfast.Principal, project string, e ExportFolder) error {
	found, _, err := p.findProject(ctx, who, project, holdfast.MayAdmin)
	if err != nil {
		return err
	}
	if err := (holdfast.Location{Name: exportName, Kind: holdfast.FolderLocation, Folder: e.Folder}).Validate(); err != nil {
		return err
	}
	if info, err := os.Stat(e.Folder); err != nil || !info.IsDir() {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: "there is no folder " + e.Folder, Hint: "mount the disk, and make the folder on it", Cause: err}
	}
	if err := os.WriteFile(filepath.Join(e.Folder, exportMark), []byte(string(found.ID)+"\n"), 0o600); err != nil {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: "the folder " + e.Folder + " cannot be written", Hint: "let the account that runs the server write to it", Cause: err}
	}
	if e.Encrypt {
		if err := p.store.Update(ctx, func(tx *store.Tx) error { return p.ensureRepositoryKey(tx, found.ID) }); err != nil {
			return err
		}
	}
	return p.putSetting(ctx, who, project, store.ExportFolder, exportName, ExportFolder{Folder: e.Folder, Encrypt: e.Encrypt})
}

// RemoveExportFolder forgets the export folder; what lies there stays.
func (p *Platform) RemoveExportFolder(ctx context.Context, who holdfast.Principal, project string) error {
	return p.deleteSetting(ctx, who, project, store.ExportFolder, exportName)
}

// exportFolder is a project's export folder, and whether it has one.
func (p *Platform) exportFolder(ctx context.Context, project holdfast.ProjectID) (ExportFolder, bool, error) {
	all, err := readSettings[ExportFolder](ctx, p, project, store.ExportFolder)
	e, found := all[exportName]
	if found {
		_, err := os.Stat(filepath.Join(e.Folder, exportMark))
		e.Mounted = err == nil
	}
	return e, found, err
}

// exportPlace is the export folder as a place for backups, when it is there now.
func (p *Platform) exportPlace(ctx context.Context, project holdfast.ProjectID) (backup.Destination, bool, error) {
	e, found, err := p.exportFolder(ctx, project)
	if err != nil || !found || !e.Mounted {
		return backup.Destination{}, false, err
	}
	var keys [][]byte
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { keys, err = tx.ProjectKeys(project, store.RepositoryKey); return err }); err != nil {
		return backup.Destination{}, false, err
	}
	l, err := p.openLocation(ctx, store.Location{Location: holdfast.Location{Name: exportName, Kind: holdfast.FolderLocation, Folder: e.Folder, Encrypt: e.Encrypt}}, keys)
	if err != nil {
		return backup.Destination{}, false, err
	}
	return backup.Destination{Name: exportName, Catalogue: backup.NewCatalogue(l.Location, backupsBelow(project))}, true, nil
}
