package gateway

import (
	"context"
	"time"

	"github.com/holdfast/holdfast"
)

// authenticate lets the client prove that it knows the password of the role it asks for. Whatever is wrong — the
// address, the role, the password — the client gets the same messages at the same times.
func (v *visit) authenticate(ctx context.Context, wish *startup) (*login, error) {
	g := v.gateway
	asked := time.Now()
	x := &exchange{endPoint: endPoint(v.door.certificate)}
	x.offered = x.endPoint != nil
	if _, err := v.conn.Write(appendAuthentication(nil, authSASL, x.mechanisms())); err != nil {
		return nil, err
	}
	ref, database, known := v.lookUp(ctx, wish, x)
	found := time.Now()
	lookup := g.pace.took(found.Sub(asked), found)
	body, err := v.readSASL()
	if err != nil {
		return nil, err
	}
	first, err := x.begin(body)
	if err != nil {
		return nil, err
	}
	if err := wait(ctx, time.Until(asked.Add(lookup))); err != nil {
		return nil, err
	}
	if _, err := v.conn.Write(appendAuthentication(nil, authSASLContinue, first)); err != nil {
		return nil, err
	}
	if body, err = v.readSASL(); err != nil {
		return nil, err
	}
	answered := time.Now()
	final, credentials, ok, err := x.finish(body)
	if err != nil {
		return nil, err
	}
	_ = v.tcp.SetDeadline(time.Time{}) // fails only when it is closed, and then the next write does
	if !ok {
		delay := max(g.lobby.failed(v.addr, answered), g.settings.LookupFloor)
		if err := wait(ctx, time.Until(answered.Add(delay))); err != nil {
			return nil, err
		}
		v.countFailure(ref, known)
		return nil, wrongPassword(wish.user)
	}
	return &login{ref: ref, database: database, credentials: credentials, final: final, at: answered}, nil
}

// lookUp fills in what the exchange is checked against: the role's verifier, or a mock where there is none.
func (v *visit) lookUp(ctx context.Context, wish *startup, x *exchange) (ref holdfast.BranchRef, database string, known bool) {
	x.verifier = mockVerifier(v.gateway.settings.MockSecret, wish.database, wish.user)
	ref, database, named := holdfast.ParseAddress(wish.database)
	if !named {
		return ref, database, false
	}
	ctx, cancel := context.WithTimeout(ctx, v.gateway.settings.HandshakeTimeout)
	defer cancel()
	if verifier, ok := v.gateway.verifiers.Verifier(ctx, ref, wish.user); ok {
		x.verifier, x.known = verifier, true
	}
	return ref, database, x.known
}

func (v *visit) countFailure(ref holdfast.BranchRef, known bool) {
	if !known {
		v.gateway.strangers.Add(1)
		return
	}
	v.gateway.branches.get(ref).wrong.Add(1)
}

// readSASL reads a SASL message of the client.
func (v *visit) readSASL() ([]byte, error) {
	kind, body, err := readMessage(v.conn, maxSASL)
	if err != nil {
		return nil, err
	}
	if kind != 'p' {
		return nil, protocolViolation("expected SASL response")
	}
	return body, nil
}
