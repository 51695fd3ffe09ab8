package postgres_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
)

func TestSegmentNamesAreReadBackAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := int64(1) << rapid.IntRange(20, 30).Draw(t, "size")
		segment := postgres.SegmentAt(rapid.Uint32().Draw(t, "timeline"), holdfast.LSN(rapid.Uint64().Draw(t, "lsn")), size)
		parsed, ok := postgres.ParseSegment(segment.Name(), size)
		if !ok || parsed != segment {
			t.Fatalf("%s was read as %v, %v; want %v", segment.Name(), parsed, ok, segment)
		}
	})
	for _, name := range []string{"", "00000001.history", "000000010000000000000001.partial", "0000000100000000000001FF", "00000001000000000000000g", "0000000100000000000000ff"} {
		if s, ok := postgres.ParseSegment(name, postgres.DefaultSegmentSize); ok {
			t.Errorf("%q was taken for segment %v", name, s)
		}
	}
}

func TestSegmentNamesAndControlFileAgreeWithTheServer(t *testing.T) {
	s := pgtest.Start(t)
	conn := s.Database(t).Connect(t)
	control, err := s.Control(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if control.State != "in production" || !control.Checksums || control.SegmentSize != postgres.DefaultSegmentSize || control.ShutDownCleanly() {
		t.Errorf("the control file says %+v", control)
	}
	if id := pgtest.Value[string](t, conn, "SELECT system_identifier::text FROM pg_control_system()"); id != uintText(control.SystemID) {
		t.Errorf("system identifier %d, the server says %s", control.SystemID, id)
	}
	for _, lsn := range []string{"0/1", "0/16B3748", "1/28", "16/B374D848", "FF/FFFFFFFF"} {
		at, err := holdfast.ParseLSN(lsn)
		if err != nil {
			t.Fatal(err)
		}
		want := pgtest.Value[string](t, conn, "SELECT pg_walfile_name($1::text::pg_lsn)", lsn)
		if got := postgres.SegmentAt(control.Timeline, at, control.SegmentSize); got.Name() != want || got.Start() > at || got.End() <= at || got.Next().Start() != got.End() {
			t.Errorf("%s lies in %s, the server says %s", lsn, got.Name(), want)
		}
	}
}
