package blob_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/blob"
	"github.com/holdfast/holdfast/internal/blob/blobtest"
)

var quickly = blob.Backoff{Tries: 4, First: time.Millisecond, Most: 5 * time.Millisecond}

func TestRetriedFolder(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Location { return blob.NewRetried(openFolder(t), quickly, t.TempDir()) }, blobtest.Options{Listed: 10})
}

func TestLimitedFolder(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Location { return blob.NewLimited(openFolder(t), 10<<30, 10<<30) }, blobtest.Options{Listed: 10})
}

func TestCheckedFolder(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Location { return blob.NewChecked(openFolder(t)) }, blobtest.Options{Listed: 10})
}

// The order in which the product wraps: retries outside, where the source can still be read again.
func TestAllWrappersAroundS3(t *testing.T) {
	open := startS3(t).buckets(nil)
	blobtest.Run(t, func(t *testing.T) blob.Location {
		return blob.NewRetried(blob.NewChecked(encrypted(t, blob.NewLimited(open(t), 10<<30, 10<<30))), quickly, t.TempDir())
	}, blobtest.Options{Listed: 10, UnsizedInList: true})
}

var errAway = &holdfast.Error{Kind: holdfast.Unavailable, Message: "the location is away"}

// flaky is a location that breaks off calls: each method consults its own countdown.
type flaky struct {
	blob.Location
	puts, lostAnswers, gets, lists, others int // how many calls still break
	damaged                                int // how many puts still store something else
	calls                                  int
}

func broke(countdown *int) bool {
	*countdown--
	return *countdown >= 0
}

func (f *flaky) Put(ctx context.Context, name string, r io.Reader, opts blob.PutOptions) (blob.Info, error) {
	f.calls++
	if broke(&f.puts) {
		_, _ = io.CopyN(io.Discard, r, 100)
		return blob.Info{}, errAway
	}
	if broke(&f.damaged) {
		data, err := io.ReadAll(r)
		if err != nil {
			return blob.Info{}, err
		}
		data[len(data)/2] ^= 1
		return f.Location.Put(ctx, name, bytes.NewReader(data), opts)
	}
	info, err := f.Location.Put(ctx, name, r, opts)
	if err == nil && broke(&f.lostAnswers) {
		return blob.Info{}, errAway
	}
	return info, err
}

func (f *flaky) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	f.calls++
	r, err := f.Location.Get(ctx, name, offset, length)
	if err == nil && broke(&f.gets) {
		return struct {
			io.Reader
			io.Closer
		}{io.MultiReader(io.LimitReader(r, 1000), brokenReader{errAway}), r}, nil
	}
	return r, err
}

func (f *flaky) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	f.calls++
	if !broke(&f.lists) {
		return f.Location.List(ctx, prefix)
	}
	return func(yield func(blob.Info, error) bool) {
		n := 0
		for info, err := range f.Location.List(ctx, prefix) {
			if n++; n > 2 {
				yield(blob.Info{}, errAway)
				return
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

func (f *flaky) Stat(ctx context.Context, name string) (blob.Info, error) {
	f.calls++
	if broke(&f.others) {
		return blob.Info{}, errAway
	}
	return f.Location.Stat(ctx, name)
}

func (f *flaky) Delete(ctx context.Context, name string) error {
	f.calls++
	if broke(&f.others) {
		return errAway
	}
	return f.Location.Delete(ctx, name)
}

func TestRetriedPutsAgainFromTheBeginning(t *testing.T) {
	data := blobtest.Bytes(3<<20, 1)
	begun := bytes.NewReader(append([]byte("read before"), data...))
	if _, err := begun.Seek(11, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	for what, source := range map[string]io.Reader{
		"a source that seeks": begun,
		"a spooled source":    blobtest.Stream(3<<20, 1),
	} {
		spool := t.TempDir()
		inner := &flaky{Location: openFolder(t), puts: 2}
		if _, err := blob.NewRetried(inner, quickly, spool).Put(t.Context(), "a", source, blob.PutOptions{Size: 3 << 20}); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if got, err := get(t, inner, "a"); err != nil || got != string(data) {
			t.Errorf("%s: got %d bytes, %v", what, len(got), err)
		}
		if left := files(t, spool); len(left) != 0 {
			t.Errorf("%s left %v", what, left)
		}
	}
}

func TestRetriedTriesALargeBareSourceOnce(t *testing.T) {
	inner := &flaky{Location: openFolder(t), puts: 1}
	_, err := blob.NewRetried(inner, quickly, "").Put(t.Context(), "a", blobtest.Stream(3<<20, 1), blob.PutOptions{})
	if holdfast.KindOf(err) != holdfast.Unavailable || inner.calls != 1 {
		t.Errorf("%d calls, %v", inner.calls, err)
	}
}

func TestRetriedFindsItsOwnObjectAfterALostAnswer(t *testing.T) {
	inner := &flaky{Location: openFolder(t), lostAnswers: 1}
	l := blob.NewRetried(inner, quickly, "")
	info, err := l.Put(t.Context(), "a", strings.NewReader("mine"), blob.PutOptions{IfAbsent: true})
	if err != nil || info.Size != 4 || info.SHA256 == "" {
		t.Errorf("put answered %+v, %v", info, err)
	}
	// Somebody else's object stays a conflict also when our own try got lost.
	put(t, inner.Location, "b", "theirs")
	inner.puts = 1
	if _, err := l.Put(t.Context(), "b", strings.NewReader("mine"), blob.PutOptions{IfAbsent: true}); holdfast.KindOf(err) != holdfast.Conflict {
		t.Errorf("put on somebody else's object answered %v", err)
	}
}

func TestRetriedGoesOnWhereAGetBrokeOff(t *testing.T) {
	data := blobtest.Bytes(10_000, 1)
	inner := &flaky{Location: openFolder(t)}
	put(t, inner, "a", string(data))
	for _, r := range []struct{ offset, length, end int64 }{{0, -1, 10_000}, {500, 5000, 5500}, {9000, -1, 10_000}, {0, 1000, 1000}} {
		inner.gets = 3
		body, err := blob.NewRetried(inner, quickly, "").Get(t.Context(), "a", r.offset, r.length)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(body)
		body.Close()
		if err != nil || !bytes.Equal(got, data[r.offset:r.end]) {
			t.Errorf("%+v gave %d bytes, %v", r, len(got), err)
		}
	}
}

func TestRetriedGoesOnWhereAListBrokeOff(t *testing.T) {
	inner := &flaky{Location: openFolder(t), lists: 3}
	want := []string{"a", "b", "c", "d"}
	for _, name := range want {
		put(t, inner, name, "x")
	}
	var got []string
	for info, err := range blob.NewRetried(inner, quickly, "").List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, info.Name)
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %v", got)
	}
}

func TestRetriedGivesUp(t *testing.T) {
	inner := &flaky{Location: openFolder(t), others: 1000, puts: 1000}
	l := blob.NewRetried(inner, quickly, "")
	_, statErr := l.Stat(t.Context(), "a")
	_, putErr := l.Put(t.Context(), "a", strings.NewReader("x"), blob.PutOptions{})
	for what, err := range map[string]error{"stat": statErr, "put": putErr, "delete": l.Delete(t.Context(), "a")} {
		if !errors.Is(err, errAway) {
			t.Errorf("%s answered %v", what, err)
		}
	}
	if inner.calls != 3*quickly.Tries {
		t.Errorf("%d calls, want %d each", inner.calls, quickly.Tries)
	}
}

func TestRetriedDoesNotRepeatWhatIsWrong(t *testing.T) {
	inner := &flaky{Location: openFolder(t)}
	l := blob.NewRetried(inner, quickly, "")
	broken := errors.New("the pipe broke")
	if _, err := l.Stat(t.Context(), "missing"); holdfast.KindOf(err) != holdfast.NotFound {
		t.Error(err)
	}
	if _, err := l.Put(t.Context(), "a", io.MultiReader(strings.NewReader("x"), brokenReader{broken}), blob.PutOptions{}); !errors.Is(err, broken) {
		t.Error(err)
	}
	if inner.calls != 1 {
		t.Errorf("%d calls, want 1: the source broke before anything was sent", inner.calls)
	}
}

type brokenReader struct{ err error }

func (b brokenReader) Read([]byte) (int, error) { return 0, b.err }

func TestBackoffEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		inner := &flaky{Location: openFolder(t), others: 1 << 30}
		began := time.Now()
		_, err := blob.NewRetried(inner, blob.Backoff{Tries: 1 << 30, First: time.Second, Most: time.Hour}, "").Stat(ctx, "a")
		if !errors.Is(err, errAway) || time.Since(began) != 10*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if inner.calls < 3 || inner.calls > 6 { // waits of 1, 2, 4, 8 s, each at least half of that
			t.Errorf("%d calls in 10 seconds", inner.calls)
		}
	})
}

func TestCheckedFindsWhatWasStoredWrong(t *testing.T) {
	inner := &flaky{Location: openFolder(t), damaged: 1}
	checked := blob.NewChecked(inner)
	if _, err := checked.Put(t.Context(), "a", strings.NewReader("content"), blob.PutOptions{}); holdfast.KindOf(err) != holdfast.Corrupt {
		t.Errorf("put answered %v", err)
	}
	if _, err := inner.Stat(t.Context(), "a"); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("the damaged object is still there: %v", err)
	}
	inner.damaged = 1
	if _, err := blob.NewRetried(checked, quickly, "").Put(t.Context(), "a", strings.NewReader("content"), blob.PutOptions{IfAbsent: true}); err != nil {
		t.Errorf("put again answered %v", err)
	}
	if got, err := get(t, inner, "a"); err != nil || got != "content" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestVerifyFindsDamage(t *testing.T) {
	f := folderAt(t, t.TempDir())
	data := blobtest.Bytes(100_000, 1)
	info, err := f.Put(t.Context(), "a", bytes.NewReader(data), blob.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(f.Path(), "a")
	if err := blob.Verify(t.Context(), f, "a", info.Size, info.SHA256); err != nil {
		t.Errorf("an untouched object: %v", err)
	}
	flipped := bytes.Clone(data)
	flipped[50_000] ^= 0x10
	for what, damage := range map[string]func() error{
		"a bit flipped": func() error { return os.WriteFile(path, flipped, 0o600) },
		"truncated":     func() error { return os.WriteFile(path, data[:99_999], 0o600) },
		"missing":       func() error { return os.Remove(path) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if err := blob.Verify(t.Context(), f, "a", info.Size, info.SHA256); holdfast.KindOf(err) != holdfast.Corrupt {
			t.Errorf("%s: %v", what, err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLimitedKeepsThePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := blob.NewLimited(openFolder(t), 1000, 2000)
		began := time.Now()
		put(t, l, "a", strings.Repeat("x", 10_000))
		if took := time.Since(began); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("10000 bytes at 1000 a second took %v", took)
		}
		began = time.Now()
		if _, err := get(t, l, "a"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 4*time.Second || took > 6*time.Second {
			t.Errorf("10000 bytes at 2000 a second took %v", took)
		}
	})
}

func TestConnectionOfAFolder(t *testing.T) {
	f := folderAt(t, t.TempDir())
	report := blob.TestConnection(t.Context(), encrypted(t, f))
	if err := report.Err(); err != nil || !report.Conditional || len(report.Steps) != 8 {
		t.Errorf("%v, %+v", err, report)
	}
	if left := files(t, f.Path()); len(left) != 1 {
		t.Errorf("left %v", left)
	}
}

// racy is a location that looks before it puts, as one does whose server ignores conditions.
type racy struct{ blob.Location }

func (l racy) Put(ctx context.Context, name string, r io.Reader, opts blob.PutOptions) (blob.Info, error) {
	if _, err := l.Stat(ctx, name); err == nil && opts.IfAbsent {
		return blob.Info{}, &holdfast.Error{Kind: holdfast.Conflict, Message: "exists"}
	}
	opts.IfAbsent = false
	return l.Location.Put(ctx, name, r, opts)
}

func TestConnectionTellsWhereConditionsAreNotKept(t *testing.T) {
	report := blob.TestConnection(t.Context(), blob.NewRetried(racy{openFolder(t)}, quickly, ""))
	if err := report.Err(); err != nil || report.Conditional || report.Steps[5].Note == "" {
		t.Errorf("%v, %+v", err, report)
	}
}

func TestConnectionStopsAtTheFirstFailureAndCleansUp(t *testing.T) {
	f := folderAt(t, t.TempDir())
	report := blob.TestConnection(t.Context(), &flaky{Location: f, damaged: 1})
	if err := report.Err(); holdfast.KindOf(err) != holdfast.Corrupt || len(report.Steps) != 3 {
		t.Errorf("%v, %+v", err, report)
	}
	if left := files(t, f.Path()); len(left) != 1 {
		t.Errorf("left %v", left)
	}
}
