package gateway

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

func TestAMessageLongerThanItsLimitIsNotRead(t *testing.T) {
	for _, c := range []struct {
		bytes []byte
		ok    bool
	}{
		{[]byte{'p', 0, 0, 0, 8, 1, 2, 3, 4}, true},
		{[]byte{'p', 0, 0, 0, 9, 1, 2, 3, 4, 5}, false},
		{[]byte{'p', 0xff, 0xff, 0xff, 0xff}, false},
		{[]byte{'p', 0, 0, 0, 3}, false},
	} {
		_, _, err := readMessage(bytes.NewReader(c.bytes), 4)
		var r *refusal
		if (err == nil) != c.ok || err != nil && !errors.As(err, &r) {
			t.Errorf("%x: %v", c.bytes, err)
		}
	}
}

// stream is a few messages as a server sends them, and where each ends.
func stream() (all []byte, ends []int) {
	for _, m := range []struct {
		kind byte
		body []byte
	}{{'1', nil}, {'D', bytes.Repeat([]byte{'Z'}, 300)}, {'C', []byte("SELECT 1\x00")}, {'Z', []byte{'T'}}, {'N', nil}, {'Z', []byte{'I'}}} {
		all = appendMessage(all, m.kind, m.body)
		ends = append(ends, len(all))
	}
	return all, ends
}

func TestMessageBoundariesAreFoundHoweverTheStreamIsCut(t *testing.T) {
	all, ends := stream()
	for size := 1; size <= len(all); size++ {
		var f frames
		at := 0
		for piece := range slices.Chunk(all, size) {
			first := f.scan(piece)
			want := slices.IndexFunc(ends, func(e int) bool { return e > at && e <= at+len(piece) })
			switch {
			case at == 0 || slices.Contains(ends, at):
				if first != 0 {
					t.Fatalf("pieces of %d: at %d, a boundary, got %d", size, at, first)
				}
			case want < 0 && first != -1, want >= 0 && first != ends[want]-at:
				t.Fatalf("pieces of %d: at %d got %d", size, at, first)
			}
			at += len(piece)
			if f.atBoundary() != slices.Contains(ends, at) {
				t.Fatalf("pieces of %d: at %d boundary is %v", size, at, f.atBoundary())
			}
		}
		if !f.ready || f.status != 'I' {
			t.Errorf("pieces of %d: ready %v, status %c", size, f.ready, f.status)
		}
	}
}

func TestAnImpossibleLengthLosesTheBoundaryForGood(t *testing.T) {
	var f frames
	f.scan([]byte{'D', 0, 0, 0, 1})
	all, _ := stream()
	if f.scan(all) != -1 || f.atBoundary() {
		t.Error("found a boundary in nonsense")
	}
}

func FuzzFrames(f *testing.F) {
	all, _ := stream()
	f.Add(all, 3)
	f.Add([]byte{'D', 0xff, 0xff, 0xff, 0xff, 'Z'}, 1)
	f.Add([]byte{'Z', 0, 0, 0, 5, 'I', 'Z', 0, 0, 0, 3}, 2)
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		if size < 1 || size > len(data) {
			return
		}
		var whole, cut frames
		whole.scan(data)
		for piece := range slices.Chunk(data, size) {
			if first := cut.scan(piece); first < -1 || first > len(piece) {
				t.Fatalf("boundary at %d of %d", first, len(piece))
			}
		}
		if whole != cut {
			t.Errorf("whole %+v, cut %+v", whole, cut)
		}
	})
}
