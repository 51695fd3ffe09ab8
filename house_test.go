package holdfast_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/holdfast/holdfast"

// arrows says which room may import which. Every room may import the words (the root package). ARCHITECTURE.md draws the same.
var arrows = map[string][]string{
	".":                      {},
	"console":                {},
	"adminbackup":            {"internal/backup", "internal/api"},
	"internal/platform":      {"internal/fleet", "internal/history", "internal/backup", "internal/schema", "internal/publish", "internal/volume", "internal/store", "internal/schedule", "internal/rows", "internal/identity", "internal/egress", "internal/usage", "internal/notify"},
	"internal/fleet":         {"internal/postgres", "internal/volume"},
	"internal/history":       {"internal/postgres", "internal/volume", "internal/blob"},
	"internal/backup":        {"internal/postgres", "internal/blob"},
	"internal/gateway":       {},
	"internal/schema":        {},
	"internal/publish":       {"internal/schema"},
	"internal/schedule":      {},
	"internal/usage":         {},
	"internal/store":         {},
	"internal/postgres":      {},
	"internal/volume":        {},
	"internal/blob":          {"internal/egress"},
	"internal/notify":        {"internal/egress"},
	"internal/sample":        {},
	"internal/api":           {},
	"internal/server":        {"internal/platform", "internal/api"},
	"internal/mcp":           {"internal/platform", "internal/api"},
	"internal/pgtest":        {"internal/postgres"},
	"internal/servetest":     {"internal/pgtest", "internal/api"},
	"internal/blob/blobtest": {"internal/blob"},
}

// testArrows are further rooms that a room's tests may import: those that cmd hands to it.
var testArrows = map[string][]string{
	"internal/platform": {"internal/blob"},
	"internal/server":   {"internal/store", "internal/fleet", "internal/volume", "internal/identity"},
}

// wiring may import every room: cmd/holdfast builds the house, test and bench exercise it, examples use what is public.
var wiring = []string{"cmd/", "test", "bench", "examples/"}

// testOnly are the rooms that no file of the product may import.
var testOnly = []string{"internal/pgtest", "internal/servetest", "internal/blob/blobtest", "testing"}

var badNames = []string{"util", "utils", "common", "helpers", "models", "types", "manager", "core", "base"}

// clientFiles in cmd/holdfast may import rooms; every other file there is a client of the API and nothing else.
var clientExceptions = []string{"main.go", "serve.go", "config.go", "recover.go", "doctor.go", "volume.go", "repository.go"}

// ioPackages are what the words must not import.
var ioPackages = []string{"os", "io/fs", "net", "net/http", "database/sql", "os/exec", "syscall", "log", "log/slog", "path/filepath", "bufio"}

type sourceFile struct {
	path, room string
	test       bool
	syntax     *ast.File
}

func TestTheHouseKeepsItsArrows(t *testing.T) {
	for _, f := range sources(t) {
		for _, spec := range f.syntax.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			checkImport(t, f, imported)
		}
		if slices.Contains(badNames, f.syntax.Name.Name) {
			t.Errorf("%s: a package named %s says nothing about what it looks after", f.path, f.syntax.Name.Name)
		}
	}
}

func checkImport(t *testing.T, f sourceFile, imported string) {
	t.Helper()
	if f.room == "." && !f.test && (slices.Contains(ioPackages, imported) || strings.Contains(strings.SplitN(imported, "/", 2)[0], ".")) {
		t.Errorf("%s imports %s: the words have no hands", f.path, imported)
	}
	target := strings.TrimPrefix(strings.TrimPrefix(imported, module), "/")
	if !f.test && (slices.Contains(testOnly, imported) || slices.Contains(testOnly, target)) && !isTestRoom(f.room) {
		t.Errorf("%s imports %s: only tests may", f.path, imported)
	}
	if imported == module || !strings.HasPrefix(imported, module+"/") {
		return
	}
	if isWiring(f.room) {
		if f.room == "cmd/holdfast" && !f.test && !slices.Contains(clientExceptions, path.Base(f.path)) && target != "internal/api" && target != "internal/sample" {
			t.Errorf("%s imports %s: a client command speaks to the API and to nothing else", f.path, target)
		}
		return
	}
	if f.test && (slices.Contains(testOnly, target) || target == f.room || slices.Contains(testArrows[f.room], target)) {
		return
	}
	allowed, known := arrows[f.room]
	if !known {
		t.Errorf("%s: the room %s is not in the plan; draw it in ARCHITECTURE.md and in house_test.go", f.path, f.room)
		return
	}
	if !slices.Contains(allowed, target) {
		t.Errorf("%s imports %s: there is no such arrow", f.path, target)
	}
}

// Settings come in as arguments: only cmd reads flags and the environment.
func TestOnlyCmdReadsFlagsAndEnvironment(t *testing.T) {
	forbidden := map[string][]string{"os": {"Getenv", "LookupEnv", "Environ"}, "flag": nil}
	for _, f := range sources(t) {
		if f.test || isWiring(f.room) || isTestRoom(f.room) {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := sel.X.(*ast.Ident)
			if !ok || pkg.Obj != nil {
				return true
			}
			names, listed := forbidden[pkg.Name]
			if listed && (names == nil && imports(f.syntax, pkg.Name) || slices.Contains(names, sel.Sel.Name)) {
				t.Errorf("%s uses %s.%s: settings arrive as arguments", f.path, pkg.Name, sel.Sel.Name)
			}
			return true
		})
	}
}

// A reader learns from the package comment what the room looks after and from each exported name's comment its contract.
func TestEveryRoomAndExportedNameIsDocumented(t *testing.T) {
	documented, seen := map[string]bool{}, map[string]bool{}
	for _, f := range sources(t) {
		if f.test {
			continue
		}
		seen[f.room] = true
		if f.syntax.Doc != nil {
			documented[f.room] = true
		}
		if f.syntax.Name.Name == "main" {
			continue
		}
		for _, decl := range f.syntax.Decls {
			checkDocumented(t, f, decl)
		}
	}
	for room := range seen {
		if !documented[room] {
			t.Errorf("%s has no package comment", room)
		}
	}
}

func checkDocumented(t *testing.T, f sourceFile, decl ast.Decl) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && receiverExported(d) && !wellKnownMethod(d) {
			t.Errorf("%s: %s has no comment", f.path, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
					t.Errorf("%s: type %s has no comment", f.path, s.Name.Name)
				}
			case *ast.ValueSpec:
				if s.Names[0].IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
					t.Errorf("%s: %s has no comment", f.path, s.Names[0].Name)
				}
			}
		}
	}
}

// Tests wait for signals, never by the clock.
func TestNoTestSleeps(t *testing.T) {
	for _, f := range sources(t) {
		if !f.test || f.path == "house_test.go" {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Sleep" {
				if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "time" && !imports(f.syntax, "testing/synctest") {
					t.Errorf("%s: a test waits by the clock", f.path)
				}
			}
			return true
		})
	}
}

func sources(t *testing.T) []sourceFile {
	t.Helper()
	var out []sourceFile
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); p != "." && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "testdata" || name == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		syntax, err := parser.ParseFile(fset, p, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		out = append(out, sourceFile{path: filepath.ToSlash(p), room: filepath.ToSlash(filepath.Dir(p)), test: strings.HasSuffix(p, "_test.go"), syntax: syntax})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) == 0 {
		t.Fatal("found no source file")
	}
	return out
}

func isWiring(room string) bool {
	return slices.ContainsFunc(wiring, func(w string) bool {
		return room == strings.TrimSuffix(w, "/") || strings.HasPrefix(room, strings.TrimSuffix(w, "/")+"/")
	})
}

func isTestRoom(room string) bool {
	return slices.Contains(testOnly, room) || room == "test" || room == "bench" || strings.HasPrefix(room, "bench/") || strings.HasPrefix(room, "test/")
}

func imports(f *ast.File, pkg string) bool {
	return slices.ContainsFunc(f.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == strconv.Quote(pkg) })
}

func receiverExported(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if generic, ok := typ.(*ast.IndexExpr); ok {
		typ = generic.X
	}
	name, ok := typ.(*ast.Ident)
	return ok && name.IsExported()
}

// wellKnownMethod says whether the method's contract is that of an interface everybody knows.
func wellKnownMethod(d *ast.FuncDecl) bool {
	return d.Recv != nil && slices.Contains([]string{"String", "Error", "Unwrap", "Read", "Write", "Close", "Len", "Less", "Swap", "MarshalJSON", "UnmarshalJSON"}, d.Name.Name)
}
