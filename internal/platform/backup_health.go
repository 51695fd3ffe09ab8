package platform

import (
	"context"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/store"
)

// BackupHealth says how a branch stands with its backups.
type BackupHealth struct {
	Branch       holdfast.BranchRef
	Places       []BackupPlace
	Protected    bool // its newest good backup has copies at two places or more
	Rule         ThreeTwoOne
	LastGood     *BackupView
	LastVerified *BackupView
	Held         int      // backups that wait for a person to mark them verified
	Alerts       []string // what is wrong, for a person
	Export       *ExportFolder
}

// BackupPlace is a place where a project's backups go.
type BackupPlace struct {
	Name    string
	Kind    string
	Newest  time.Time // the newest good backup of the branch that it has; zero: none
	Copies  int
	Behind  int  // good backups of the branch that it does not have
	Offsite bool // not on this machine

	medium string // what breaks as one: a file system, a server
}

// ThreeTwoOne is the 3-2-1 rule for a branch: three copies, on two media, one of them away from this machine. The database itself is a copy.
type ThreeTwoOne struct {
	Copies  int
	Media   int // file systems and servers that the copies are on
	Offsite int
	Missing []string // what to do, for a person; empty: the rule is kept
}

// ExportKind is the kind of the place that the export folder is.
const ExportKind = "export folder"

// BackupHealth shows how a branch stands with its backups.
func (p *Platform) BackupHealth(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef) (BackupHealth, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayRead)
	if err != nil {
		return BackupHealth{}, err
	}
	h := BackupHealth{Branch: b.Ref()}
	var all []store.Backup
	var set []store.Location
	var standing BackupStanding
	err = p.store.View(ctx, func(tx *store.Tx) (err error) {
		if all, err = tx.Backups(b.ProjectID); err != nil {
			return err
		}
		if set, err = tx.Locations(b.ProjectID); err != nil {
			return err
		}
		mark, err := tx.BackupMark(b.ProjectID, b.Name)
		if err == nil {
			standing, err = standingOf(tx, b, mark)
		}
		return err
	})
	if err != nil {
		return h, err
	}
	if err := h.locate(ctx, p, b, set); err != nil {
		return h, err
	}
	for _, o := range all { // from new to old
		if o.State == holdfast.BackupCompleted && o.Branch == b.Name {
			h.count(o)
		}
	}
	h.judge(p.ownMedium())
	h.Alerts = standing.alerts(p.now())
	if b.Environment == holdfast.Production && len(h.Places) < 2 {
		h.Alerts = append(h.Alerts, "the backups of "+h.Branch.String()+" have one place only: add a second with `holdfast location add` or `holdfast backup export-folder`")
	}
	return h, nil
}

// locate lists the places.
func (h *BackupHealth) locate(ctx context.Context, p *Platform, b store.Branch, set []store.Location) error {
	if len(set) == 0 {
		set = []store.Location{{Location: p.localRepository}}
	}
	for _, l := range set {
		place := BackupPlace{Name: l.Name, Kind: string(l.Kind), Offsite: l.Kind == holdfast.S3Location && !onThisMachine(l.Endpoint), medium: mediumOf(l.Folder)}
		if l.Kind == holdfast.S3Location {
			place.medium = "server " + l.Endpoint
		}
		h.Places = append(h.Places, place)
	}
	export, found, err := p.exportFolder(ctx, b.ProjectID)
	if err != nil || !found {
		return err
	}
	h.Export = &export
	place := BackupPlace{Name: exportName, Kind: ExportKind, medium: "disk " + export.Folder} // while it is not mounted, nobody can tell
	if export.Mounted {
		place.medium = mediumOf(export.Folder)
	}
	h.Places = append(h.Places, place)
	return nil
}

// onThisMachine says whether an endpoint leads back to this machine by its own words.
func onThisMachine(endpoint string) bool {
	host, _, err := net.SplitHostPort(endpoint)
	if err != nil {
		host = endpoint
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// mediumOf names the file system that a folder lies on.
func mediumOf(folder string) string {
	if info, err := os.Stat(folder); err == nil {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			return "disk " + strconv.FormatUint(uint64(stat.Dev), 10)
		}
	}
	return "disk " + folder
}

// ownMedium is where the databases themselves are.
func (p *Platform) ownMedium() string {
	if p.volume != nil {
		return mediumOf(p.volume.Root())
	}
	return mediumOf(p.spool)
}

func (h *BackupHealth) count(b store.Backup) {
	view := viewBackup(b)
	if h.LastGood == nil {
		h.LastGood, h.Protected = &view, len(b.Copies) >= 2
	}
	if !b.VerifiedAt.IsZero() && (h.LastVerified == nil || b.VerifiedAt.After(h.LastVerified.VerifiedAt)) {
		h.LastVerified = &view
	}
	if b.HeldUntilProof {
		h.Held++
	}
	for i := range h.Places {
		place := &h.Places[i]
		if !b.At(place.Name) {
			place.Behind++
			continue
		}
		place.Copies++
		if place.Newest.IsZero() {
			place.Newest = b.StartedAt
		}
	}
}

// judge holds the newest good backup against the 3-2-1 rule. own is the medium of the database.
func (h *BackupHealth) judge(own string) {
	media := map[string]bool{own: true}
	h.Rule = ThreeTwoOne{Copies: 1}
	if h.LastGood != nil {
		for _, place := range h.Places {
			if h.LastGood.At(place.Name) {
				h.Rule.Copies++
				media[place.medium] = true
				if place.Offsite {
					h.Rule.Offsite++
				}
			}
		}
	}
	h.Rule.Media = len(media)
	lacks := func(when bool, what string) {
		if when {
			h.Rule.Missing = append(h.Rule.Missing, what)
		}
	}
	lacks(h.LastGood == nil, "make a backup")
	lacks(h.Rule.Copies < 3, "keep backups at two places: `holdfast location add`, `holdfast backup export-folder set`")
	lacks(h.Rule.Media < 2, "one place must be on another disk than the database")
	lacks(h.Rule.Offsite < 1, "one place must be away from this machine: `holdfast location add --s3`")
}
