package gateway

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/holdfast/holdfast"
)

func verifierOf(t testing.TB, password string, salt []byte, iterations int) holdfast.Verifier {
	t.Helper()
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		t.Fatal(err)
	}
	v := holdfast.Verifier{Iterations: iterations, Salt: salt}
	v.StoredKey = sha256.Sum256(sign(salted, []byte("Client Key")))
	copy(v.ServerKey[:], sign(salted, []byte("Server Key")))
	return v
}

func initialResponse(mechanism, message string) []byte {
	b := append([]byte(mechanism), 0)
	return append(binary.BigEndian.AppendUint32(b, uint32(len(message))), message...)
}

// clientFinalFor is the final message of a client that knows the password.
func clientFinalFor(t *testing.T, x *exchange, password string, binding []byte) []byte {
	t.Helper()
	server, err := parseServerFirst(x.serverFirst)
	if err != nil {
		t.Fatal(err)
	}
	salted, err := pbkdf2.Key(sha256.New, password, server.salt, server.iterations, sha256.Size)
	if err != nil {
		t.Fatal(err)
	}
	key := sign(salted, []byte("Client Key"))
	stored := sha256.Sum256(key)
	without := "c=" + base64.StdEncoding.EncodeToString(binding) + ",r=" + string(server.nonce)
	auth := string(x.first.bare) + "," + string(x.serverFirst) + "," + without
	proof := make([]byte, len(key))
	subtle.XORBytes(proof, key, sign(stored[:], []byte(auth)))
	return []byte(without + ",p=" + base64.StdEncoding.EncodeToString(proof))
}

func TestAProofYieldsTheClientsKey(t *testing.T) {
	for _, c := range []struct {
		name, mechanism, first, given string
		offered, known, ok            bool
	}{
		{"right", scramPlain, "n,,n=,r=abc", "secret", false, true, true},
		{"the user name is ignored", scramPlain, "n,,n=somebody,r=abc,x=later", "secret", false, true, true},
		{"bound to the channel", scramPlus, "p=tls-server-end-point,,n=,r=abc", "secret", true, true, true},
		{"client without binding", scramPlain, "n,,n=,r=abc", "secret", true, true, true},
		{"client that sees no offer, and there is none", scramPlain, "y,,n=,r=abc", "secret", false, true, true},
		{"wrong password", scramPlain, "n,,n=,r=abc", "guess", false, true, false},
		{"right proof for a mock", scramPlain, "n,,n=,r=abc", "secret", false, false, false},
	} {
		x := &exchange{verifier: verifierOf(t, "secret", []byte("0123456789abcdef"), 4096), known: c.known, offered: c.offered, endPoint: []byte("hash")}
		if _, err := x.begin(initialResponse(c.mechanism, c.first)); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		binding := bytes.Clone(x.first.header)
		if c.mechanism == scramPlus {
			binding = append(binding, "hash"...)
		}
		final, credentials, ok, err := x.finish(clientFinalFor(t, x, c.given, binding))
		if err != nil || ok != c.ok {
			t.Errorf("%s: got %v, %v", c.name, ok, err)
		}
		if ok && (sha256.Sum256(credentials.clientKey[:]) != x.verifier.StoredKey || !bytes.HasPrefix(final, []byte("v="))) {
			t.Errorf("%s: the key does not fit the verifier", c.name)
		}
	}
}

func TestABrokenExchangeIsRefusedAsPostgreSQLDoes(t *testing.T) {
	for _, c := range []struct {
		mechanism, first string
		final            func(x *exchange) string
		code             string
	}{
		{"SCRAM-SHA-1", "n,,n=,r=abc", nil, "08P01"},
		{scramPlus, "n,,n=,r=abc", nil, "08P01"},
		{scramPlain, "p=tls-server-end-point,,n=,r=abc", nil, "08P01"},
		{scramPlus, "p=tls-unique,,n=,r=abc", nil, "08P01"},
		{scramPlain, "y,,n=,r=abc", nil, "28000"},
		{scramPlain, "n,a=admin,n=,r=abc", nil, "0A000"},
		{scramPlain, "n,,m=x,n=,r=abc", nil, "0A000"},
		{scramPlain, "n,,n=,r=", nil, "08P01"},
		{scramPlain, "n,,n=,r=a\x7f", nil, "08P01"},
		{scramPlain, "n,,r=abc", nil, "08P01"},
		{scramPlain, "", nil, "08P01"},
		{scramPlain, "q,,n=,r=abc", nil, "08P01"},
		{scramPlain, "n,,n=,r=abc", func(x *exchange) string { return "c=biws,r=other,p=" + strings.Repeat("A", 43) + "=" }, "08P01"},
		{scramPlain, "n,,n=,r=abc", func(x *exchange) string {
			return "c=eSws,r=" + string(x.nonce) + ",p=" + strings.Repeat("A", 43) + "="
		}, "28000"},
		{scramPlain, "n,,n=,r=abc", func(x *exchange) string { return "c=biws,r=" + string(x.nonce) + ",p=AAAA" }, "08P01"},
		{scramPlain, "n,,n=,r=abc", func(x *exchange) string { return "c=biws,r=" + string(x.nonce) }, "08P01"},
		{scramPlain, "n,,n=,r=abc", func(x *exchange) string { return "" }, "08P01"},
	} {
		x := &exchange{verifier: verifierOf(t, "secret", []byte("salt"), 1), known: true, offered: true, endPoint: []byte("hash")}
		_, err := x.begin(initialResponse(c.mechanism, c.first))
		if err == nil && c.final != nil {
			_, _, _, err = x.finish([]byte(c.final(x)))
		}
		var r *refusal
		if !errors.As(err, &r) || r.code != c.code {
			t.Errorf("%s %q: got %v, want %s", c.mechanism, c.first, err, c.code)
		}
	}
}

func TestAMockVerifierDependsOnTheNamesAndTheSecretOnly(t *testing.T) {
	a := mockVerifier([]byte("s"), "shop_production", "app")
	if again := mockVerifier([]byte("s"), "shop_production", "app"); again.String() != a.String() {
		t.Error("asking twice gave two answers")
	}
	for _, other := range []holdfast.Verifier{mockVerifier([]byte("t"), "shop_production", "app"), mockVerifier([]byte("s"), "shop_productio", "napp"), mockVerifier([]byte("s"), "shop_production", "ap")} {
		if bytes.Equal(other.Salt, a.Salt) {
			t.Error("two names have the same salt")
		}
	}
}

func FuzzInitialResponse(f *testing.F) {
	f.Add(initialResponse(scramPlus, "p=tls-server-end-point,,n=,r=abc"))
	f.Add(initialResponse(scramPlain, "n,,n=user,r=abc,x=y"))
	f.Add([]byte("SCRAM-SHA-256\x00\xff\xff\xff\xff"))
	f.Add([]byte("SCRAM-SHA-256"))
	f.Fuzz(func(t *testing.T, data []byte) {
		x := &exchange{verifier: holdfast.Verifier{Iterations: 1, Salt: []byte("salt")}, offered: true, endPoint: []byte("hash")}
		if first, err := x.begin(data); err == nil && !bytes.HasPrefix(first, append([]byte("r="), x.first.nonce...)) {
			t.Errorf("the nonce %q is not in %q", x.first.nonce, first)
		}
	})
}

func FuzzClientFinal(f *testing.F) {
	f.Add([]byte("c=biws,r=abcdef,p=" + strings.Repeat("A", 43) + "="))
	f.Add([]byte("c=biws,r=abcdef,x=y,p=" + strings.Repeat("A", 43) + "="))
	f.Add([]byte("c=,r=,p="))
	f.Add([]byte(",p="))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseClientFinal(data)
		if err == nil && !bytes.HasPrefix(data, append(bytes.Clone(c.withoutProof), ",p="...)) {
			t.Errorf("%q is not the beginning of %q", c.withoutProof, data)
		}
	})
}

func FuzzServerFirst(f *testing.F) {
	f.Add([]byte("r=abc,s=c2FsdA==,i=4096"))
	f.Add([]byte("r=,s=,i="))
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := parseServerFirst(data); err == nil && (s.iterations < 1 || len(s.nonce) == 0) {
			t.Errorf("%q was read as %+v", data, s)
		}
	})
}
