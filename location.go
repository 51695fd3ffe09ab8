package holdfast

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
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
}

var locationName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

// Validate checks what can be checked without connecting.
func (l Location) Validate() error {
	invalid := func(format string, args ...any) error {
		return &Error{Kind: Invalid, Message: fmt.Sprintf(format, args...)}
	}
	if !locationName.MatchString(l.Name) {
		return invalid("%q cannot be a location's name: use up to 31 lower-case letters, digits and dashes", l.Name)
	}
	switch l.Kind {
	case FolderLocation:
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
