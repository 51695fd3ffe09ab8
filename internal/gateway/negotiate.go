package gateway

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
)

const tlsRecord = 0x16 // the first byte of a TLS handshake; no packet of PostgreSQL is long enough to begin with it

// negotiate settles encryption and reads what the client wants: a session, or the end of another one's query.
func (v *visit) negotiate(ctx context.Context) (*startup, *cancelKey, error) {
	v.door = &doorConn{Conn: v.tcp}
	v.conn = v.door
	first := make([]byte, 1)
	if _, err := io.ReadFull(v.tcp, first); err != nil {
		return nil, nil, err
	}
	v.door.peeked = first
	encrypted := false
	if first[0] == tlsRecord && v.gateway.tls != nil {
		if err := v.encrypt(ctx); err != nil {
			return nil, nil, err
		}
		if v.conn.(*tls.Conn).ConnectionState().NegotiatedProtocol != alpn {
			return nil, nil, protocolViolation("received direct SSL connection request without ALPN protocol negotiation extension")
		}
		encrypted = true
	}
	askedTLS, askedGSS := encrypted, encrypted
	for {
		code, body, err := readPacket(v.conn)
		switch {
		case err != nil:
			return nil, nil, err
		case code == cancelCode:
			key, ok := parseCancel(body)
			if !ok {
				return nil, nil, io.ErrUnexpectedEOF // a cancel request gets no answer
			}
			return nil, &key, nil
		case code == sslCode && !askedTLS:
			askedTLS = true
			encrypted, err = v.answerTLS(ctx)
			askedGSS = askedGSS || encrypted
		case code == gssCode && !askedGSS:
			askedGSS = true
			_, err = v.conn.Write([]byte{'N'})
		default:
			wish, err := v.readWish(code, body, encrypted)
			return wish, nil, err
		}
		if err != nil {
			return nil, nil, err
		}
	}
}

// answerTLS answers SSLRequest and encrypts the connection if it can.
func (v *visit) answerTLS(ctx context.Context) (encrypted bool, err error) {
	if v.gateway.tls == nil {
		_, err := v.conn.Write([]byte{'N'})
		return false, err
	}
	if _, err := v.conn.Write([]byte{'S'}); err != nil {
		return false, err
	}
	// What the client sends from here on goes through TLS: nothing that somebody slipped in before is left in a buffer.
	return true, v.encrypt(ctx)
}

func (v *visit) encrypt(ctx context.Context) error {
	conn := tls.Server(v.door, v.gateway.tls)
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	v.conn = conn
	return nil
}

// readWish reads a startup packet and refuses what cannot be had whoever asks.
func (v *visit) readWish(version uint32, body []byte, encrypted bool) (*startup, error) {
	wish, err := parseStartup(version, body)
	switch {
	case err != nil:
		return nil, err
	case !encrypted && !v.gateway.settings.AllowPlaintext:
		return nil, plaintextRefused()
	case wish.wantsReplication():
		return nil, replicationRefused()
	}
	if wish.minor > 0 || len(wish.extensions) > 0 {
		if _, err := v.conn.Write(negotiateVersion(wish.extensions)); err != nil {
			return nil, err
		}
	}
	return &wish, nil
}

// negotiateVersion says that 3.0 is spoken and that the options mean nothing. The version is sent whole, as PostgreSQL does
// and libpq reads it, though the protocol's text speaks of the minor one.
func negotiateVersion(options []string) []byte {
	body := binary.BigEndian.AppendUint32(nil, protocol30)
	body = binary.BigEndian.AppendUint32(body, uint32(len(options)))
	for _, o := range options {
		body = append(append(body, o...), 0)
	}
	return appendMessage(nil, 'v', body)
}
