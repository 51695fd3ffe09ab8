package platform

import (
	"errors"
	"testing"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/store"
)

// What a person is to a project bounds what that one's session, tokens and agents may do there.
func TestRolesAndScopesBoundEachOther(t *testing.T) {
	shop := store.Project{Project: holdfast.Project{ID: "prj_shop", Name: "shop"}}
	other := store.Project{Project: holdfast.Project{ID: "prj_other", Name: "other"}}
	development := store.Branch{Branch: holdfast.Branch{ProjectID: shop.ID, Environment: holdfast.Development}}
	production := store.Branch{Branch: holdfast.Branch{ProjectID: shop.ID, Environment: holdfast.Production}}
	as := func(kind holdfast.TokenKind, right holdfast.Right, role holdfast.MemberRole, granted bool) holdfast.Principal {
		return holdfast.Principal{Name: "x", Kind: kind, Right: right, Members: map[holdfast.ProjectID]holdfast.Member{shop.ID: {Role: role, Production: granted}}}
	}
	person := func(role holdfast.MemberRole, granted bool) holdfast.Principal {
		return as(holdfast.PersonKind, holdfast.MayAdmin, role, granted)
	}
	deeds := map[string]func(holdfast.Principal) error{
		"see":              func(who holdfast.Principal) error { return checkProject(who, shop, holdfast.MayRead) },
		"develop":          func(who holdfast.Principal) error { return checkBranch(who, development, holdfast.MayWrite) },
		"produce":          func(who holdfast.Principal) error { return checkBranch(who, production, holdfast.MayWrite) },
		"development-rows": func(who holdfast.Principal) error { return checkRows(who, development) },
		"production-rows":  func(who holdfast.Principal) error { return checkRows(who, production) },
		"copy-production":  func(who holdfast.Principal) error { return checkCopy(who, production, NewBranch{}) },
		"own":              func(who holdfast.Principal) error { return checkOwner(who, shop) },
		"see-other":        func(who holdfast.Principal) error { return checkProject(who, other, holdfast.MayRead) },
		"install":          checkInstallation,
	}
	for name, c := range map[string]struct {
		who holdfast.Principal
		may []string
	}{
		"viewer":                        {person(holdfast.Viewer, false), []string{"see", "development-rows"}},
		"viewer with production's rows": {person(holdfast.Viewer, true), []string{"see", "development-rows", "production-rows"}},
		"developer":                     {person(holdfast.Developer, false), []string{"see", "development-rows", "develop"}},
		"developer with production's rows": {person(holdfast.Developer, true),
			[]string{"see", "development-rows", "develop", "production-rows", "copy-production"}},
		"admin":                    {person(holdfast.Admin, false), []string{"see", "development-rows", "develop", "production-rows", "copy-production", "produce"}},
		"owner":                    {person(holdfast.Owner, false), []string{"see", "development-rows", "develop", "production-rows", "copy-production", "produce", "own"}},
		"an owner's reading token": {as(holdfast.UserToken, holdfast.MayRead, holdfast.Owner, true), []string{"see", "development-rows", "production-rows"}},
		"a viewer's admin token":   {as(holdfast.UserToken, holdfast.MayAdmin, holdfast.Viewer, false), []string{"see", "development-rows"}},
		"an owner's agent":         {as(holdfast.AgentToken, holdfast.MayWrite, holdfast.Owner, true), []string{"see", "development-rows", "develop"}},
		"a person without a place": {holdfast.Principal{Kind: holdfast.PersonKind, Right: holdfast.MayAdmin, Members: map[holdfast.ProjectID]holdfast.Member{}}, nil},
		"nobody":                   {holdfast.Principal{}, nil},
		"an admin of the installation": {holdfast.Principal{Kind: holdfast.PersonKind, Right: holdfast.MayAdmin},
			[]string{"see", "development-rows", "develop", "production-rows", "copy-production", "produce", "own", "see-other", "install"}},
	} {
		may := map[string]bool{}
		for _, deed := range c.may {
			may[deed] = true
		}
		for deed, do := range deeds {
			if err := do(c.who); (err == nil) != may[deed] {
				t.Errorf("%s, %s: %v", name, deed, err)
			}
		}
	}
}

// A folder is a path on the server: the admin of a project could otherwise have its history written over anything.
func TestAFolderOnTheServerIsNamedByTheInstallation(t *testing.T) {
	folder := holdfast.Location{Name: "disk", Kind: holdfast.FolderLocation, Folder: "/srv/backups"}
	bucket := holdfast.Location{Name: "bucket", Kind: holdfast.S3Location}
	project := holdfast.Principal{Name: "p", Kind: holdfast.AdminToken, ProjectID: "one", Right: holdfast.MayAdmin}
	everywhere := holdfast.Principal{Name: "e", Kind: holdfast.AdminToken, Right: holdfast.MayAdmin}
	if err := checkPlace(project, folder); holdfast.KindOf(err) != holdfast.NotAllowed {
		t.Errorf("a project's admin: %v", err)
	}
	if err := errors.Join(checkPlace(project, bucket), checkPlace(everywhere, folder)); err != nil {
		t.Error(err)
	}
}
