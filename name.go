package holdfast

import (
	"fmt"
	"regexp"
	"strings"
)

// Longest names, in bytes. A branch's database carries project and branch in its name, and PostgreSQL cuts names at 63 bytes.
const (
	MaxProjectName = 20
	MaxBranchName  = 63 - 1 - MaxProjectName
)

var (
	projectName = regexp.MustCompile(`^[a-z][a-z0-9-]*[a-z0-9]$|^[a-z]$`)
	branchName  = regexp.MustCompile(`^[a-z][a-z0-9_-]*[a-z0-9]$|^[a-z]$`)
)

// CheckProjectName says whether name can be a project's. It has no underscore: the first underscore of a database name ends
// the project and begins the branch.
func CheckProjectName(name string) error {
	if len(name) > MaxProjectName || !projectName.MatchString(name) {
		return &Error{Kind: Invalid, Message: fmt.Sprintf("%q cannot be a project's name", name),
			Hint: fmt.Sprintf("use 1 to %d lower-case letters, digits and dashes, beginning with a letter", MaxProjectName)}
	}
	return nil
}

// CheckBranchName says whether name can be a branch's.
func CheckBranchName(name string) error {
	if len(name) > MaxBranchName || !branchName.MatchString(name) {
		return &Error{Kind: Invalid, Message: fmt.Sprintf("%q cannot be a branch's name", name),
			Hint: fmt.Sprintf("use 1 to %d lower-case letters, digits, dashes and underscores, beginning with a letter", MaxBranchName)}
	}
	return nil
}

// BranchRef names a branch as people do: shop/production.
type BranchRef struct {
	Project string
	Branch  string
}

// ParseBranchRef reads PROJECT/BRANCH; "dev" and "prod" are short for development and production.
func ParseBranchRef(s string) (BranchRef, error) {
	project, branch, found := strings.Cut(s, "/")
	if !found || project == "" || branch == "" || strings.Contains(branch, "/") {
		return BranchRef{}, &Error{Kind: Invalid, Message: fmt.Sprintf("%q does not name a branch", s), Hint: "write PROJECT/BRANCH, for example shop/development"}
	}
	switch branch {
	case "dev":
		branch = DevelopmentName
	case "prod":
		branch = ProductionName
	}
	ref := BranchRef{Project: project, Branch: branch}
	return ref, ref.Validate()
}

// Validate checks both names.
func (r BranchRef) Validate() error {
	if err := CheckProjectName(r.Project); err != nil {
		return err
	}
	return CheckBranchName(r.Branch)
}

func (r BranchRef) String() string { return r.Project + "/" + r.Branch }

// Database is the name of the branch's main database, which is also its address at the front door: shop_production.
func (r BranchRef) Database() string { return r.Project + "_" + r.Branch }

// ParseAddress splits the database name that a client asks for into the branch and the database inside it:
// shop_production is the branch's own database, other@shop_production the database other of the same branch.
// ok is false when no branch can have that address.
func ParseAddress(name string) (ref BranchRef, database string, ok bool) {
	address := name
	if i := strings.LastIndexByte(name, '@'); i >= 0 {
		database, address = name[:i], name[i+1:]
		if database == "" {
			return BranchRef{}, "", false
		}
	} else {
		database = name
	}
	project, branch, found := strings.Cut(address, "_")
	ref = BranchRef{Project: project, Branch: branch}
	if !found || ref.Validate() != nil {
		return BranchRef{}, "", false
	}
	return ref, database, true
}
