package volume_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/volume"
)

const placeSize = 400 << 20

// newPlace plans a place in a folder of the test's own, with data in it, and checks after the test that nothing stays mounted or attached.
func newPlace(t *testing.T) volume.Place {
	t.Helper()
	dir := t.TempDir()
	p := volume.Place{Note: filepath.Join(dir, "volume.json"), Folder: filepath.Join(dir, "branches")}
	write(t, filepath.Join(p.Folder, "br_1", "data", "PG_VERSION"), []byte("15\n"))
	write(t, filepath.Join(p.Folder, "br_1", "data", "base", "1"), noise(3<<20, 1))
	t.Cleanup(func() {
		for _, folder := range []string{p.Folder, p.Folder + ".image"} {
			_ = unix.Unmount(folder, unix.MNT_DETACH) // most are not mounted
		}
		if left := attached(t, dir); len(left) > 0 {
			t.Errorf("loop devices of %v are left", left)
		}
	})
	return p
}

type place struct{ volume.Place }

func (p place) file() string { return filepath.Join(filepath.Dir(p.Note), "volume.img") }

// attached lists the files below dir that have a loop device.
func attached(t *testing.T, dir string) (files []string) {
	t.Helper()
	paths, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		raw, _ := os.ReadFile(path) // it may have been detached meanwhile
		if strings.HasPrefix(string(raw), dir+"/") {
			files = append(files, strings.TrimSpace(string(raw)))
		}
	}
	return files
}

// expectData checks that the folder holds what newPlace put there.
func expectData(t *testing.T, p volume.Place) {
	t.Helper()
	if got := read(t, filepath.Join(p.Folder, "br_1", "data", "base", "1")); string(got) != string(noise(3<<20, 1)) {
		t.Error("the data differ")
	}
	if left, _ := filepath.Glob(p.Folder + ".*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func expectReady(t *testing.T, p volume.Place, want bool) {
	t.Helper()
	there, err := p.Ready(t.Context())
	if err != nil || there != want {
		t.Fatalf("Ready answered %v, %v, want %v", there, err, want)
	}
}

func TestAVolumeTakesTheDataInAndIsMountedAgain(t *testing.T) {
	mountXFS(t, placeSize) // skips where that cannot be
	p := place{newPlace(t)}
	expectReady(t, p.Place, false)
	if err := p.Create(t.Context(), p.file(), placeSize); err != nil {
		t.Fatal(err)
	}
	expectData(t, p.Place)
	if v := open(t, p.Folder); !v.Reflinks() {
		t.Errorf("it is %s", v.Describe())
	}
	// As after a start of the machine.
	if err := (volume.Image{File: p.file(), Folder: p.Folder}).Unmount(); err != nil {
		t.Fatal(err)
	}
	expectReady(t, p.Place, true)
	expectReady(t, p.Place, true)
	expectData(t, p.Place)
	s, err := p.Look()
	if err != nil || !s.Mounted || s.File != p.file() || s.Size != placeSize || s.Allocated >= s.Size || s.Allocated < 3<<20 || s.Disk.Free == 0 {
		t.Errorf("it looks like %+v, %v", s, err)
	}
	if err := p.Create(t.Context(), p.file()+"2", placeSize); holdfast.KindOf(err) != holdfast.Conflict {
		t.Errorf("a second one answered %v", err)
	}
}

func TestAVolumeGrows(t *testing.T) {
	mountXFS(t, placeSize) // skips where that cannot be
	p := place{newPlace(t)}
	if err := p.Grow(t.Context(), 2*placeSize); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("without a volume: %v", err)
	}
	if err := p.Create(t.Context(), p.file(), placeSize); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a second time changes nothing
		if err := p.Grow(t.Context(), 2*placeSize); err != nil {
			t.Fatal(err)
		}
	}
	if space, err := open(t, p.Folder).Space(); err != nil || space.Total < 2*placeSize*9/10 {
		t.Errorf("it has %+v, %v", space, err)
	}
	for size, want := range map[int64]holdfast.Kind{placeSize: holdfast.Invalid, 1 << 55: holdfast.Precondition} {
		if err := p.Grow(t.Context(), size); holdfast.KindOf(err) != want {
			t.Errorf("to %d: %v", size, err)
		}
	}
	expectData(t, p.Place)
}

func TestARemovedVolumeGivesTheDataBack(t *testing.T) {
	mountXFS(t, placeSize) // skips where that cannot be
	p := place{newPlace(t)}
	if err := p.Create(t.Context(), p.file(), placeSize); err != nil {
		t.Fatal(err)
	}
	server := exec.Command("sleep", "600")
	server.Dir = filepath.Join(p.Folder, "br_1")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	err := p.Remove(t.Context())
	_ = server.Process.Kill()
	_ = server.Wait()
	if holdfast.KindOf(err) != holdfast.Busy {
		t.Errorf("while a server runs: %v", err)
	}
	file, err := os.Open(p.Folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Remove(t.Context()); holdfast.KindOf(err) != holdfast.Busy {
		t.Errorf("while it is used: %v", err)
	}
	file.Close()
	expectReady(t, p.Place, true)
	expectData(t, p.Place)
	if err := p.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectReady(t, p.Place, false)
	expectData(t, p.Place)
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(p.Note), "volume*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if err := p.Remove(t.Context()); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("a second time: %v", err)
	}
}

// Data that are not there must not look like a new installation.
func TestAVolumeThatCannotBeMountedIsSaid(t *testing.T) {
	mountXFS(t, placeSize) // skips where that cannot be
	p := place{newPlace(t)}
	if err := p.Create(t.Context(), p.file(), placeSize); err != nil {
		t.Fatal(err)
	}
	image := volume.Image{File: p.file(), Folder: p.Folder}
	if err := image.Unmount(); err != nil {
		t.Fatal(err)
	}
	for what, damage := range map[string]func() error{
		"the image is gone":      func() error { return os.Rename(p.file(), p.file()+".hidden") },
		"it is something else":   func() error { return os.WriteFile(p.file(), []byte("no file system"), 0o600) },
		"the folder is not bare": func() error { return os.WriteFile(filepath.Join(p.Folder, "x"), nil, 0o600) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Ready(t.Context()); holdfast.KindOf(err) != holdfast.Precondition || !strings.Contains(err.Error(), "cannot be mounted") || holdfast.HintOf(err) == "" {
			t.Errorf("%s: %v (%s)", what, err, holdfast.HintOf(err))
		}
	}
	for _, text := range []string{"", "{}", `{"version":1,"file":"x","state":"ready"}`, `{"version":1,"file":"/x","state":"?"}`} {
		write(t, p.Note, []byte(text))
		if _, err := p.Ready(t.Context()); holdfast.KindOf(err) != holdfast.Corrupt {
			t.Errorf("with the note %q: %v", text, err)
		}
	}
	write(t, p.Note, []byte(`{"version":2,"file":"/x","state":"ready"}`))
	if _, err := p.Ready(t.Context()); holdfast.KindOf(err) != holdfast.Precondition {
		t.Errorf("with a newer note: %v", err)
	}
}

func TestAVolumeIsNotMadeWhereItCannotBe(t *testing.T) {
	mountXFS(t, placeSize) // skips where that cannot be
	p := place{newPlace(t)}
	taken := filepath.Join(t.TempDir(), "taken")
	write(t, taken, []byte("precious"))
	for what, c := range map[string]struct {
		file string
		size int64
		kind holdfast.Kind
	}{
		"the file exists":            {taken, placeSize, holdfast.Conflict},
		"it would lie in itself":     {filepath.Join(p.Folder, "image"), placeSize, holdfast.Invalid},
		"the path is relative":       {"image", placeSize, holdfast.Invalid},
		"it is larger than the disk": {p.file(), 1 << 55, holdfast.Precondition},
		"it is too small":            {p.file(), 100 << 20, holdfast.Precondition},
	} {
		if err := p.Create(t.Context(), c.file, c.size); holdfast.KindOf(err) != c.kind {
			t.Errorf("%s: %v", what, err)
		}
	}
	server := exec.Command("sleep", "600")
	server.Dir = filepath.Join(p.Folder, "br_1", "data")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	err := p.Create(t.Context(), p.file(), placeSize)
	_ = server.Process.Kill()
	_ = server.Wait()
	if holdfast.KindOf(err) != holdfast.Busy || !strings.Contains(err.Error(), strconv.Itoa(server.Process.Pid)) {
		t.Errorf("while a server runs: %v", err)
	}
	expectReady(t, p.Place, false)
	expectData(t, p.Place)
	if string(read(t, taken)) != "precious" {
		t.Error("somebody else's file was changed")
	}
}

// placeVariable makes the test binary do something with the place in the directory it names, and stop at the step whose number stands before it.
const placeVariable = "VOLUME_TEST_PLACE"

func TestPlaceProcess(t *testing.T) {
	fields := strings.SplitN(os.Getenv(placeVariable), ":", 3)
	if len(fields) != 3 {
		t.Skip("runs as the child of the tests that kill it")
	}
	at, err := strconv.Atoi(fields[0])
	if err != nil {
		t.Fatal(err)
	}
	dir := fields[2]
	p := place{volume.Place{Note: filepath.Join(dir, "volume.json"), Folder: filepath.Join(dir, "branches")}}
	steps := 0
	p.Step = func(step string) {
		if steps == at {
			fmt.Println("at:", step)
			_, _ = io.Copy(io.Discard, os.Stdin)
		}
		steps++
	}
	if fields[1] == "remove" {
		err = p.Remove(t.Context())
	} else {
		err = p.Create(t.Context(), p.file(), placeSize)
	}
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("done")
}

// killAt runs a child that is killed at a step, and returns that step; "" when the child was done before.
func killAt(t *testing.T, p volume.Place, do string, at int) string {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestPlaceProcess$")
	child.Env = append(os.Environ(), fmt.Sprintf("%s=%d:%s:%s", placeVariable, at, do, filepath.Dir(p.Note)))
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	_ = child.Process.Kill()
	_ = child.Wait()
	step, stopped := strings.CutPrefix(strings.TrimSpace(line), "at: ")
	switch {
	case err == nil && stopped:
		return step
	case err != nil || line != "done\n":
		t.Fatalf("the child said %q, %v", line, err)
	}
	return ""
}

// Killed at any step, a creation is done or undone at the next start, the data are where they should be, and no loop device, mount or file is left.
func TestAKilledCreationIsDoneOrUndone(t *testing.T) {
	mountXFS(t, placeSize) // skips where that cannot be
	for at := 0; ; at++ {
		p := place{newPlace(t)}
		step := killAt(t, p.Place, "create", at)
		if step == "" {
			if at < 9 {
				t.Errorf("there were only %d steps", at)
			}
			return
		}
		expectDoneOrUndone(t, p.Place, step)
	}
}

func TestAKilledRemovalIsDoneOrUndone(t *testing.T) {
	mountXFS(t, placeSize) // skips where that cannot be
	for at := 0; ; at++ {
		p := place{newPlace(t)}
		if err := p.Create(t.Context(), p.file(), placeSize); err != nil {
			t.Fatal(err)
		}
		step := killAt(t, p.Place, "remove", at)
		if step == "" {
			if at < 6 {
				t.Errorf("there were only %d steps", at)
			}
			return
		}
		expectDoneOrUndone(t, p.Place, step)
	}
}

// expectDoneOrUndone starts after a kill and checks that the data are there, either in the volume or without anything of it left.
func expectDoneOrUndone(t *testing.T, p volume.Place, step string) {
	t.Helper()
	there, err := p.Ready(t.Context())
	if err != nil {
		t.Fatalf("killed at %q: %v", step, err)
	}
	expectData(t, p)
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(p.Note), "volume*"))
	loops := attached(t, filepath.Dir(p.Note))
	if want := map[bool]int{true: 2, false: 0}[there]; len(left) != want || len(loops) != want/2 {
		t.Errorf("killed at %q, there %v: %v are left and the loop devices of %v", step, there, left, loops)
	}
	expectReady(t, p, there)
	t.Logf("killed at %q: there %v", step, there)
}
