// Package blobtest is the suite that every blob.Location passes, whatever keeps its bytes and however many wrappers lie around it.
package blobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/blob"
)

// Options say what cannot be asked of a location.
type Options struct {
	Large         int64 // size of the large object; 0: 24 MiB and a bit, more than one part of a multipart upload
	Listed        int   // objects in the long listing; 0: 1100, more than one page of S3
	RacyIfAbsent  bool  // two Puts with IfAbsent at the same moment may both succeed
	UnsizedInList bool  // List gives -1 as the size
}

type suite struct {
	Options
	open func(t *testing.T) blob.Location
}

// Run runs the suite. open gives an empty location, a new one at each call.
func Run(t *testing.T, open func(t *testing.T) blob.Location, opts Options) {
	if opts.Large == 0 {
		opts.Large = 24<<20 + 3
	}
	if opts.Listed == 0 {
		opts.Listed = 1100
	}
	s := &suite{Options: opts, open: open}
	for _, test := range []struct {
		name string
		run  func(*testing.T, blob.Location)
	}{
		{"what was put is got back", s.roundTrip},
		{"an object is replaced whole", s.replace},
		{"a large object of unknown size", s.large},
		{"ranges", s.ranges},
		{"a missing object", s.missing},
		{"wrong names are refused", s.badNames},
		{"listing in byte order by prefix", s.list},
		{"a long listing", s.listMany},
		{"IfAbsent keeps what is there", s.ifAbsent},
		{"IfAbsent lets one of many win", s.ifAbsentRace},
		{"a canceled put leaves nothing", s.canceledPut},
		{"a failing source leaves what was there", s.failingSource},
		{"a wrong size keeps nothing", s.wrongSize},
		{"deleting", s.delete},
		{"an ended context", s.endedContext},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

func (s *suite) roundTrip(t *testing.T, l blob.Location) {
	for i, size := range []int{0, 1, 65535, 65536, 65537, 1 << 20} {
		name, data := fmt.Sprintf("folder/object-%d.bin", i), Bytes(int64(size), uint64(i))
		for _, promised := range []int64{0, int64(size)} {
			info, err := l.Put(t.Context(), name, bytes.NewReader(data), blob.PutOptions{Size: promised})
			if err != nil {
				t.Fatalf("put %d bytes: %v", size, err)
			}
			if info.Name != name || info.Size != int64(size) || info.SHA256 != hexSum(data) {
				t.Errorf("put %d bytes answered %+v", size, info)
			}
		}
		s.expect(t, l, name, data)
	}
}

// expect checks Stat and Get of an object.
func (s *suite) expect(t *testing.T, l blob.Location, name string, want []byte) {
	t.Helper()
	info, err := l.Stat(t.Context(), name)
	if err != nil {
		t.Fatalf("stat: %v", err)
	}
	if info.Name != name || info.Size != int64(len(want)) || info.Stored < info.Size || info.Time.IsZero() {
		t.Errorf("stat of %d bytes answered %+v", len(want), info)
	}
	if got := s.get(t, l, name, 0, -1); !bytes.Equal(got, want) {
		t.Errorf("got %d bytes that are not the %d bytes put", len(got), len(want))
	}
}

func (s *suite) get(t *testing.T, l blob.Location, name string, offset, length int64) []byte {
	t.Helper()
	r, err := l.Get(t.Context(), name, offset, length)
	if err != nil {
		t.Fatalf("get %s: %v", name, err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
	return data
}

func (s *suite) put(t *testing.T, l blob.Location, name string, data []byte) {
	t.Helper()
	if _, err := l.Put(t.Context(), name, bytes.NewReader(data), blob.PutOptions{}); err != nil {
		t.Fatalf("put %s: %v", name, err)
	}
}

func (s *suite) replace(t *testing.T, l blob.Location) {
	s.put(t, l, "a", Bytes(100_000, 1))
	s.put(t, l, "a", []byte("shorter"))
	s.expect(t, l, "a", []byte("shorter"))
}

func (s *suite) large(t *testing.T, l blob.Location) {
	// A bare reader: its size cannot be guessed from its type.
	sum := sha256.New()
	info, err := l.Put(t.Context(), "large", io.TeeReader(Stream(s.Large, 7), sum), blob.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := hex.EncodeToString(sum.Sum(nil))
	if info.Size != s.Large || info.SHA256 != want {
		t.Errorf("put answered %+v", info)
	}
	r, err := l.Get(t.Context(), "large", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	sum.Reset()
	n, err := io.Copy(sum, r)
	if err != nil || n != s.Large || hex.EncodeToString(sum.Sum(nil)) != want {
		t.Errorf("got %d of %d bytes, hash equal: %v, error: %v", n, s.Large, hex.EncodeToString(sum.Sum(nil)) == want, err)
	}
	tail := s.get(t, l, "large", s.Large-100_000, 50_000)
	if whole := readAll(t, Stream(s.Large, 7)); !bytes.Equal(tail, whole[s.Large-100_000:s.Large-50_000]) {
		t.Error("a range near the end differs")
	}
}

func (s *suite) ranges(t *testing.T, l blob.Location) {
	data := Bytes(300_000, 3)
	s.put(t, l, "r", data)
	size := int64(len(data))
	for _, r := range []struct{ offset, length int64 }{
		{0, -1}, {0, 0}, {0, 1}, {1, 1}, {65535, 2}, {65536, 65536}, {100_000, -1}, {100_000, 150_000}, {size - 1, 1}, {size - 1, 100}, {size, -1}, {size, 5}, {0, size * 2},
	} {
		end := size
		if r.length >= 0 {
			end = min(size, r.offset+r.length)
		}
		if got := s.get(t, l, "r", r.offset, r.length); !bytes.Equal(got, data[r.offset:end]) {
			t.Errorf("range %+v gave %d bytes that are not the %d expected", r, len(got), end-r.offset)
		}
	}
	s.put(t, l, "empty", nil)
	if got := s.get(t, l, "empty", 0, 10); len(got) != 0 {
		t.Errorf("an empty object gave %d bytes", len(got))
	}
	for _, offset := range []int64{size + 1, -1} {
		if r, err := l.Get(t.Context(), "r", offset, 1); holdfast.KindOf(err) != holdfast.Invalid {
			closeIf(r)
			t.Errorf("reading from %d of %d bytes answered %v", offset, size, err)
		}
	}
}

func (s *suite) missing(t *testing.T, l blob.Location) {
	s.put(t, l, "folder/there", []byte("x"))
	for _, name := range []string{"missing", "folder/missing", "folder", "missing/too"} {
		for _, length := range []int64{-1, 0, 10} {
			if r, err := l.Get(t.Context(), name, 0, length); holdfast.KindOf(err) != holdfast.NotFound {
				closeIf(r)
				t.Errorf("get %s answered %v", name, err)
			}
		}
		if r, err := l.Get(t.Context(), name, 5, -1); holdfast.KindOf(err) != holdfast.NotFound {
			closeIf(r)
			t.Errorf("get %s from 5 answered %v", name, err)
		}
		if _, err := l.Stat(t.Context(), name); holdfast.KindOf(err) != holdfast.NotFound {
			t.Errorf("stat %s answered %v", name, err)
		}
	}
}

func (s *suite) badNames(t *testing.T, l blob.Location) {
	for _, name := range []string{"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", ".hidden", "a/.partial", "ä", "a b", "a\x00b", `a\b`, "a\n", "a*",
		strings.Repeat("x", 201), strings.Repeat("x/", 400) + "x"} {
		for what, err := range map[string]error{
			"put":    second(l.Put(t.Context(), name, strings.NewReader("x"), blob.PutOptions{})),
			"get":    second(l.Get(t.Context(), name, 0, -1)),
			"stat":   second(l.Stat(t.Context(), name)),
			"delete": l.Delete(t.Context(), name),
		} {
			if holdfast.KindOf(err) != holdfast.Invalid {
				t.Errorf("%s %q answered %v", what, name, err)
			}
		}
	}
	for _, prefix := range []string{"/", "../", "a//", ".p", "ä", "a/."} {
		if _, err := names(t.Context(), l, prefix); holdfast.KindOf(err) != holdfast.Invalid {
			t.Errorf("list %q answered %v", prefix, err)
		}
	}
	if all, err := names(t.Context(), l, ""); err != nil || len(all) != 0 {
		t.Errorf("wrong names left %v, %v", all, err)
	}
}

func (s *suite) list(t *testing.T, l blob.Location) {
	all := []string{"a-b/x", "a.b", "a/1", "a/2/deep/er", "a/2/deeper", "a0", "aa", "b/00000001000000000000000A", "b/00000001000000000000000B", "c"}
	for i, name := range all {
		s.put(t, l, name, Bytes(int64(i), 1))
	}
	slices.Sort(all)
	for _, prefix := range []string{"", "a", "a/", "a/2/", "a/2/deep", "a-", "b/0000000100000000", "b/00000001000000000000000B", "nothing", "nothing/here", "c/"} {
		got, err := names(t.Context(), l, prefix)
		want := slices.DeleteFunc(slices.Clone(all), func(n string) bool { return !strings.HasPrefix(n, prefix) })
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("list %q gave %v, %v; want %v", prefix, got, err, want)
		}
	}
	for info, err := range l.List(t.Context(), "a/2/deeper") {
		wantSize := int64(4) // as put above
		if s.UnsizedInList {
			wantSize = -1
		}
		if err != nil || info.Size != wantSize || info.Stored < 4 || info.Time.IsZero() {
			t.Errorf("listed %+v, %v", info, err)
		}
	}
	for range l.List(t.Context(), "") {
		break // a caller may stop early
	}
}

func (s *suite) listMany(t *testing.T, l blob.Location) {
	want := make([]string, s.Listed)
	var g errgroup.Group
	g.SetLimit(8)
	for i := range want {
		want[i] = fmt.Sprintf("many/%d/%d", i%7, i)
		g.Go(func() error {
			_, err := l.Put(t.Context(), want[i], strings.NewReader("x"), blob.PutOptions{})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	got, err := names(t.Context(), l, "many/")
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("listed %d of %d objects, %v; or their order is wrong", len(got), len(want), err)
	}
}

func (s *suite) ifAbsent(t *testing.T, l blob.Location) {
	if _, err := l.Put(t.Context(), "a/once", strings.NewReader("first"), blob.PutOptions{IfAbsent: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Put(t.Context(), "a/once", strings.NewReader("second"), blob.PutOptions{IfAbsent: true}); holdfast.KindOf(err) != holdfast.Conflict {
		t.Errorf("the second put answered %v", err)
	}
	s.expect(t, l, "a/once", []byte("first"))
}

func (s *suite) ifAbsentRace(t *testing.T, l blob.Location) {
	if s.RacyIfAbsent {
		t.Skip("this location cannot decide between puts at the same moment")
	}
	for _, size := range []int64{10, s.Large} {
		name := fmt.Sprintf("race-%d", size)
		var won, winner atomic.Int64
		var g errgroup.Group
		start := make(chan struct{})
		for i := range 4 {
			g.Go(func() error {
				<-start
				_, err := l.Put(t.Context(), name, Stream(size, uint64(i)), blob.PutOptions{IfAbsent: true})
				if err == nil {
					won.Add(1)
					winner.Store(int64(i))
				}
				if holdfast.KindOf(err) == holdfast.Conflict {
					return nil
				}
				return err
			})
		}
		close(start)
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		if won.Load() != 1 {
			t.Fatalf("%d of 4 puts of %d bytes won", won.Load(), size)
		}
		if got := s.get(t, l, name, 0, -1); !bytes.Equal(got, readAll(t, Stream(size, uint64(winner.Load())))) {
			t.Error("the object is not the winner's")
		}
	}
}

func (s *suite) canceledPut(t *testing.T, l blob.Location) {
	s.put(t, l, "old", []byte("as it was"))
	for _, name := range []string{"new", "old"} {
		ctx, cancel := context.WithCancel(t.Context())
		source := io.MultiReader(Stream(s.Large-1, 1), onRead(cancel), Stream(100, 2))
		_, err := l.Put(ctx, name, source, blob.PutOptions{})
		if holdfast.KindOf(err) != holdfast.Canceled {
			t.Errorf("a canceled put answered %v", err)
		}
		cancel()
	}
	s.expectOnlyOld(t, l)
}

func (s *suite) expectOnlyOld(t *testing.T, l blob.Location) {
	t.Helper()
	s.expect(t, l, "old", []byte("as it was"))
	if all, err := names(t.Context(), l, ""); err != nil || !slices.Equal(all, []string{"old"}) {
		t.Errorf("the location holds %v, %v", all, err)
	}
}

func (s *suite) failingSource(t *testing.T, l blob.Location) {
	s.put(t, l, "old", []byte("as it was"))
	broken := errors.New("the pipe broke")
	for _, size := range []int64{0, 1000, s.Large} {
		for _, name := range []string{"new", "old"} {
			_, err := l.Put(t.Context(), name, io.MultiReader(Stream(size, 1), failing{broken}), blob.PutOptions{})
			if !errors.Is(err, broken) {
				t.Errorf("a put whose source broke after %d bytes answered %v", size, err)
			}
		}
	}
	s.expectOnlyOld(t, l)
}

func (s *suite) wrongSize(t *testing.T, l blob.Location) {
	s.put(t, l, "old", []byte("as it was"))
	for _, size := range []int64{999, 1001, 2 * s.Large} {
		_, err := l.Put(t.Context(), "old", Stream(1000, 1), blob.PutOptions{Size: size})
		if holdfast.KindOf(err) != holdfast.Invalid {
			t.Errorf("1000 bytes put as %d answered %v", size, err)
		}
	}
	s.expectOnlyOld(t, l)
}

func (s *suite) delete(t *testing.T, l blob.Location) {
	for _, name := range []string{"a/b/c", "a/b/d", "e"} {
		s.put(t, l, name, []byte("x"))
	}
	for _, name := range []string{"a/b/c", "e", "missing", "missing/too", "a/b/c", "a/b", "e/f"} {
		if err := l.Delete(t.Context(), name); err != nil {
			t.Errorf("delete %s: %v", name, err)
		}
	}
	if all, err := names(t.Context(), l, ""); err != nil || !slices.Equal(all, []string{"a/b/d"}) {
		t.Errorf("the location holds %v, %v", all, err)
	}
	s.put(t, l, "a/b/c", []byte("again"))
	s.expect(t, l, "a/b/c", []byte("again"))
}

func (s *suite) endedContext(t *testing.T, l blob.Location) {
	s.put(t, l, "old", []byte("as it was"))
	s.put(t, l, "large", Bytes(1<<20, 1))
	ctx, cancel := context.WithCancel(t.Context())
	r, err := l.Get(ctx, "large", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.Copy(io.Discard, r); holdfast.KindOf(err) != holdfast.Canceled {
		t.Errorf("reading on answered %v", err)
	}
	_, listErr := names(ctx, l, "")
	for what, err := range map[string]error{
		"put":    second(l.Put(ctx, "new", strings.NewReader("x"), blob.PutOptions{})),
		"get":    second(l.Get(ctx, "old", 0, -1)),
		"stat":   second(l.Stat(ctx, "old")),
		"list":   listErr,
		"delete": l.Delete(ctx, "old"),
	} {
		if holdfast.KindOf(err) != holdfast.Canceled {
			t.Errorf("%s answered %v", what, err)
		}
	}
	if err := l.Delete(t.Context(), "large"); err != nil {
		t.Fatal(err)
	}
	s.expectOnlyOld(t, l)
}
