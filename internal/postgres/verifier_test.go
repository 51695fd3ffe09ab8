package postgres_test

import (
	"math/rand/v2"
	"testing"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
)

// PostgreSQL prepares a password before it hashes it. A verifier of ours must be the one that PostgreSQL would have made.
func TestVerifierIsTheOneThatPostgreSQLComputes(t *testing.T) {
	conn := pgtest.Start(t).Database(t).Connect(t)
	pgtest.Exec(t, conn, "CREATE ROLE verified LOGIN")
	defer pgtest.Exec(t, conn, "DROP ROLE verified")
	passwords := []string{
		"plain", " leading and trailing ", `quote'"\`, "p\u00e4ssw\u00f6rd", "a\u00adb", "I\u00adX", "\u00aa", "\u2168", "\u00a0space\u3000wide", "e\u0301 composed",
		"\u0627\u0628", "\u0627 latin", "1\u0627", "\u0627\u0031", "emoji \U0001F600", "\u2168\U0001F600", "control\u0007", "\u2168\u0007", "\u200b", "\u00ad", "a\u200bb",
		"\ufb01ligature", "\u1680ogham", "\u0221\u2168", "\ue000private\u2168", "\ufdd0\u2168", "\u0340\u2168", "\u2168\u0627", "\U0002FA1D", "\u212B", "\u30AB\u3099", "\u00bd",
		"\u0958", "\ufe0f\u2168", "\u180e\u2168", "\u2060\u2168", "\u05d0\u2168\u05d0", "\u05d0-\u05d0\u00bd\u05d0", "\u06dd\u2168",
	}
	// Random ones of what each table and rule has, and of code points from anywhere.
	random := rand.New(rand.NewPCG(1, 2))
	tricky := []rune("aZ1 -\u00a0\u3000\u00ad\u200b\u2060\ufe0f\u2168\u00bd\ufb01\u0340\u0301\u0627\u05d0\u0661\u06dd\u0007\ue000\ufffd\u0221\U0001F600\u202e\u1680\U000E0020")
	for range 400 {
		text := make([]rune, 1+random.IntN(4))
		for i := range text {
			text[i] = tricky[random.IntN(len(tricky))]
			if random.IntN(4) == 0 {
				text[i] = 1 + rune(random.IntN(0x2FFF))
			}
		}
		passwords = append(passwords, string(text))
	}
	for _, password := range passwords {
		pgtest.Exec(t, conn, "ALTER ROLE verified PASSWORD "+holdfast.QuoteLiteral(password))
		stored := pgtest.Value[string](t, conn, "SELECT rolpassword FROM pg_authid WHERE rolname = 'verified'")
		want, err := holdfast.ParseVerifier(stored)
		if err != nil {
			t.Fatal(err)
		}
		got, err := postgres.VerifierWithSalt(password, want.Salt, want.Iterations)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != stored {
			t.Errorf("%q: the verifier differs from PostgreSQL's", password)
		}
	}
}

func TestVerifiersOfOnePasswordDiffer(t *testing.T) {
	first, err1 := postgres.NewVerifier("same")
	second, err2 := postgres.NewVerifier("same")
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if first.String() == second.String() {
		t.Error("the salt is not random")
	}
}
