package identity

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

var cheap = Cost{Memory: 64, Time: 1, Threads: 1}

func TestAPasswordIsKnownByItsHash(t *testing.T) {
	hash := HashPassword("correct horse", cheap)
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=64,t=1,p=1$") || hash == HashPassword("correct horse", cheap) {
		t.Errorf("got %s", hash)
	}
	for _, c := range []struct {
		encoded, password string
		ok                bool
	}{
		{hash, "correct horse", true}, {hash, "correct horsf", false}, {hash, "", false}, {"", "", false}, {"", "correct horse", false},
		{strings.Replace(hash, "t=1", "t=2", 1), "correct horse", false}, {strings.Replace(hash, "m=64", "m=999999999", 1), "correct horse", false},
		{strings.Replace(hash, "argon2id", "argon2i", 1), "correct horse", false}, {hash[:len(hash)-4], "correct horse", false},
	} {
		if got := VerifyPassword(c.encoded, c.password, cheap); got != c.ok {
			t.Errorf("%.60q with %q: got %v", c.encoded, c.password, got)
		}
	}
}

// The vectors of RFC 6238, appendix B, for SHA-1; they have eight digits.
func TestTheVectorsOfRFC6238(t *testing.T) {
	secret := []byte("12345678901234567890")
	for at, want := range map[int64]string{59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130"} {
		step := stepAt(time.Unix(at, 0))
		if got := truncate(secret, step, 8); got != want {
			t.Errorf("at %d: got %s, want %s", at, got, want)
		}
		if got := Code(secret, step); got != want[2:] {
			t.Errorf("at %d: got %s, want %s", at, got, want[2:])
		}
	}
}

func TestACodeIsTakenOnceAndAroundItsTime(t *testing.T) {
	secret, now := NewCodeSecret(), time.Unix(1_800_000_000, 0)
	for off, ok := range map[time.Duration]bool{0: true, -codeStep: true, codeStep: true, -2 * codeStep: false, 2 * codeStep: false} {
		if _, got := CheckCode(secret, CodeAt(secret, now.Add(off)), now, 0); got != ok {
			t.Errorf("a clock that is %s off: got %v", off, got)
		}
	}
	step, ok := CheckCode(secret, " "+CodeAt(secret, now)[:3]+" "+CodeAt(secret, now)[3:], now, 0)
	if _, again := CheckCode(secret, CodeAt(secret, now), now, step); !ok || again {
		t.Errorf("first %v, again %v", ok, again)
	}
	if _, ok := CheckCode(secret, "", now, 0); ok {
		t.Error("no code is a code")
	}
	if url := CodeURL([]byte("12345678901234567890"), "Holdfast", "ann@example.com"); url != "otpauth://totp/Holdfast:ann@example.com?issuer=Holdfast&secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" {
		t.Error(url)
	}
}

// Who has no account, or no password, costs as much memory and as many passes as a wrong password: the time of an answer tells nothing.
func TestNoHashCostsAsMuchAsAWrongPassword(t *testing.T) {
	cost := Cost{Memory: 8 << 10, Time: 1, Threads: 1}
	took := func(encoded string) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if VerifyPassword(encoded, "a guess", cost) {
			t.Errorf("%q is right", encoded)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	wrong := took(HashPassword("a long password", cost))
	if wrong < uint64(cost.Memory)<<10 {
		t.Fatalf("a wrong password took %d bytes only: this test measures nothing", wrong)
	}
	for _, encoded := range []string{"", "no hash", "$argon2id$v=19$m=1,t=1,p=1$x$x"} {
		if got := took(encoded); got < wrong-wrong/10 || got > wrong+wrong/10 {
			t.Errorf("%q took %d bytes, a wrong password %d", encoded, got, wrong)
		}
	}
}
