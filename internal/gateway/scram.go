package gateway

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"strconv"

	"github.com/holdfast/holdfast"
)

// The mechanisms of RFC 7677, and the one channel binding that PostgreSQL knows (RFC 5929).
const (
	scramPlain  = "SCRAM-SHA-256"
	scramPlus   = "SCRAM-SHA-256-PLUS"
	bindingType = "tls-server-end-point"

	nonceLength = 18   // as PostgreSQL has it
	maxSASL     = 1024 // the longest message that PostgreSQL takes
)

// exchange is the server's side of one SCRAM exchange (RFC 5802).
type exchange struct {
	verifier holdfast.Verifier
	known    bool   // false: verifier is a mock, and no proof is right
	offered  bool   // whether the PLUS mechanism was offered
	endPoint []byte // the hash of our certificate

	mechanism   string
	first       clientFirst
	serverFirst []byte
	nonce       []byte // the client's and ours
}

// credentials open a server as a role without its password: what a right proof yields, and the verifier it fits.
type credentials struct {
	clientKey [sha256.Size]byte
	verifier  holdfast.Verifier
}

// mechanisms lists what is offered, in AuthenticationSASL's form.
func (x *exchange) mechanisms() []byte {
	var list []byte
	if x.offered {
		list = append(append(list, scramPlus...), 0)
	}
	return append(append(list, scramPlain...), 0, 0)
}

// begin takes SASLInitialResponse and returns the server's first message.
func (x *exchange) begin(body []byte) ([]byte, error) {
	mechanism, message, err := parseInitialResponse(body)
	if err != nil {
		return nil, err
	}
	if mechanism != scramPlain && (mechanism != scramPlus || !x.offered) {
		return nil, protocolViolation("client selected an invalid SASL authentication mechanism")
	}
	x.mechanism = mechanism
	if x.first, err = parseClientFirst(message); err != nil {
		return nil, err
	}
	if err := x.checkBinding(); err != nil {
		return nil, err
	}
	ours := make([]byte, nonceLength)
	_, _ = rand.Read(ours) // never fails
	x.nonce = base64.StdEncoding.AppendEncode(bytes.Clone(x.first.nonce), ours)
	x.serverFirst = append(append(append([]byte("r="), x.nonce...), ",s="...), base64.StdEncoding.EncodeToString(x.verifier.Salt)...)
	x.serverFirst = strconv.AppendInt(append(x.serverFirst, ",i="...), int64(x.verifier.Iterations), 10)
	return x.serverFirst, nil
}

// checkBinding refuses what does not fit the mechanism, and a client that was made to believe that we offer no binding.
func (x *exchange) checkBinding() error {
	const malformed = "malformed SCRAM message"
	switch plus := x.mechanism == scramPlus; {
	case plus != (x.first.flag == 'p'):
		return protocolViolation(malformed + ": the channel binding does not fit the selected mechanism")
	case plus && x.first.binding != bindingType:
		return protocolViolation("unsupported SCRAM channel-binding type")
	case x.first.flag == 'y' && x.offered:
		return bindingRefused("the client supports SCRAM channel binding but thinks the server does not, and this server does support it")
	}
	return nil
}

// finish takes the client's final message. It returns the server's and the credentials when the proof is right; ok is false
// when it is not, which takes the same steps.
func (x *exchange) finish(message []byte) (serverFinal []byte, c credentials, ok bool, err error) {
	last, err := parseClientFinal(message)
	if err != nil {
		return nil, credentials{}, false, err
	}
	if !bytes.Equal(last.nonce, x.nonce) {
		return nil, credentials{}, false, protocolViolation("invalid SCRAM response: nonce does not match")
	}
	binding := bytes.Clone(x.first.header)
	if x.mechanism == scramPlus {
		binding = append(binding, x.endPoint...)
	}
	if base64.StdEncoding.EncodeToString(binding) != string(last.binding) {
		return nil, credentials{}, false, bindingRefused("SCRAM channel binding check failed")
	}
	auth := bytes.Join([][]byte{x.first.bare, x.serverFirst, last.withoutProof}, []byte{','})
	c = credentials{verifier: x.verifier}
	signature := sign(x.verifier.StoredKey[:], auth)
	subtle.XORBytes(c.clientKey[:], last.proof[:], signature)
	stored := sha256.Sum256(c.clientKey[:])
	right := subtle.ConstantTimeCompare(stored[:], x.verifier.StoredKey[:])
	serverFinal = append([]byte("v="), base64.StdEncoding.EncodeToString(sign(x.verifier.ServerKey[:], auth))...)
	if right != 1 || !x.known {
		return nil, credentials{}, false, nil
	}
	return serverFinal, c, true, nil
}

// mockVerifier is what an unknown role or name is checked against: always the same for the same name, so that asking twice
// tells nothing, and without a password that fits.
func mockVerifier(secret []byte, database, role string) holdfast.Verifier {
	var name []byte
	name = binary.BigEndian.AppendUint64(name, uint64(len(database)))
	name = append(append(name, database...), role...)
	v := holdfast.Verifier{Iterations: 4096, Salt: sign(secret, append([]byte("salt "), name...))[:16]}
	copy(v.StoredKey[:], sign(secret, append([]byte("stored "), name...)))
	copy(v.ServerKey[:], sign(secret, append([]byte("server "), name...)))
	return v
}

func sign(key, message []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(message)
	return mac.Sum(nil)
}
