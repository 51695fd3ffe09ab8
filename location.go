package holdfast

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// LocationKind is what sort of place a location is.
type LocationKind string

// The kinds of locations.
const (
	FolderLocation LocationKind = "folder"
	S3Location     LocationKind = "s3"
)

// Location is a place where a project's history and backups are kept. Everything goes to each of a project's locations, and counts
// only when every one has it.
type Location struct {
	Name string // within the project
	Kind LocationKind

	Folder string // absolute; for a folder

	Endpoint  string // host or host:port, for S3
	Region    string
	Bucket    string
	Prefix    string // below which all objects lie; may be empty
	PathStyle bool   // bucket in the path instead of in the host name
	Insecure  bool   // plain HTTP: for an endpoint on this machine or a trusted network only
	AccessKey string // its secret is kept sealed and never shown

	Encrypt bool // objects are encrypted with the project's key before they leave this machine

	// LockDays is for how long the bucket refuses to destroy a backup, whoever asks, us and a thief of our key included: object lock in the
	// mode "compliance". 0: no lock. History is not locked, because it is thinned out all the time.
	LockDays int `json:",omitempty"`
}

// MaxLockDays is the longest lock: what is locked by mistake is paid for until it ends.
const MaxLockDays = 3660

// LockFor is how long backups are locked.
func (l Location) LockFor() time.Duration { return time.Duration(l.LockDays) * 24 * time.Hour }

var locationName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

// Validate checks what can be checked without connecting.
func (l Location) Validate() error {
	invalid := func(format string, args ...any) error {
		return &Error{Kind: Invalid, Message: fmt.Sprintf(format, args...)}
	}
	if !locationName.MatchString(l.Name) {
		return invalid("%q cannot be a location's name: use up to 31 lower-case letters, digits and dashes", l.Name)
	}
	if l.LockDays < 0 || l.LockDays > MaxLockDays {
		return invalid("the location %s cannot lock backups for %d days: choose 0 to %d", l.Name, l.LockDays, MaxLockDays)
	}
	switch l.Kind {
	case FolderLocation:
		if l.LockDays != 0 {
			return invalid("the location %s is a folder, and a folder cannot be locked: whoever may write it may remove from it", l.Name)
		}
		if !path.IsAbs(l.Folder) || path.Clean(l.Folder) != l.Folder || l.Folder == "/" {
			return invalid("the location %s needs a folder with an absolute, plain path, not %q", l.Name, l.Folder)
		}
	case S3Location:
		if u, err := url.Parse("https://" + l.Endpoint); err != nil || u.Host != l.Endpoint || u.Hostname() == "" || u.User != nil {
			return invalid("the location %s needs an endpoint as host or host:port, not %q", l.Name, l.Endpoint)
		}
		if l.Bucket == "" || l.AccessKey == "" {
			return invalid("the location %s needs a bucket and an access key", l.Name)
		}
		if strings.HasPrefix(l.Prefix, "/") || slices.Contains(strings.Split(l.Prefix, "/"), "..") {
			return invalid("the prefix of the location %s cannot be %q", l.Name, l.Prefix)
		}
	default:
		return invalid("%q is no kind of location: use %s or %s", l.Kind, FolderLocation, S3Location)
	}
	return nil
}
