// Package notify tells people and programs of alerts: by a signed webhook, by e-mail, through a chat service, and by the beats of a
// dead man's switch. It sends once and says how that went; when to try again, and for how long, is for the caller to decide.
//
// A caller may rely on this: no connection is made to an address that the egress guard refuses, except of a channel that is allowed to
// reach private networks; no error repeats a secret of the channel.
package notify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/egress"
)

// sendTimeout bounds one attempt.
const sendTimeout = 20 * time.Second

// Sender sends notices. It is safe for concurrent use.
type Sender struct {
	guard egress.Guard
}

// New returns a sender that reaches what guard lets through.
func New(guard egress.Guard) *Sender { return &Sender{guard: guard} }

// Check refuses a channel that this sender could never serve. It makes no connection.
func (s *Sender) Check(c holdfast.Channel, secret holdfast.ChannelSecret) error {
	if err := c.Validate(secret); err != nil {
		return err
	}
	if c.Kind == holdfast.Chat {
		_, err := chatService(c, secret)
		return err
	}
	return s.checkAddress(c, secret.URL)
}

// checkAddress refuses an address, written as such, that the guard will not let through. What a name leads to is found out at each connection.
func (s *Sender) checkAddress(c holdfast.Channel, text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return nil // Validate has read it
	}
	host := u.Hostname()
	if strings.EqualFold(host, "localhost") {
		host = "127.0.0.1"
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return nil
	}
	if err := s.guardOf(c).Check(address); err != nil {
		return &holdfast.Error{Kind: holdfast.NotAllowed, Message: fmt.Sprintf("%s is not a public address", u.Hostname()), Cause: err,
			Hint: "an admin of the installation can allow it for the channel (--allow-private), or whoever runs the server the network (`holdfast serve --allow-network`)"}
	}
	return nil
}

// Send delivers a notice to a channel once. A heartbeat is never told of anything; see Beat.
func (s *Sender) Send(ctx context.Context, c holdfast.Channel, secret holdfast.ChannelSecret, n holdfast.Notice) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	var err error
	switch c.Kind {
	case holdfast.Webhook:
		err = s.postWebhook(ctx, c, secret, n)
	case holdfast.Email:
		err = s.mail(ctx, c, secret, n)
	case holdfast.Chat:
		err = s.chat(ctx, c, secret, n)
	case holdfast.Heartbeat:
		err = s.Beat(ctx, c, secret)
	default:
		err = fmt.Errorf("%q is no kind of channel", c.Kind)
	}
	return redact(err, secret)
}

// Beat asks a heartbeat's address: whoever watches there for the beats hears that all is well.
func (s *Sender) Beat(ctx context.Context, c holdfast.Channel, secret holdfast.ChannelSecret) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, secret.URL, nil)
	if err == nil {
		err = s.roundTrip(c, req)
	}
	return redact(err, secret)
}

// guardOf is what bounds a channel's connections.
func (s *Sender) guardOf(c holdfast.Channel) egress.Guard {
	if c.AllowPrivate {
		return egress.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}}
	}
	return s.guard
}

// client is an HTTP client that connects as the guard says and follows no redirect: a redirect could carry what is sent elsewhere.
func (s *Sender) client(c holdfast.Channel) *http.Client {
	return &http.Client{Timeout: sendTimeout, Transport: s.transport(c), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (s *Sender) transport(c holdfast.Channel) *http.Transport {
	return &http.Transport{DialContext: s.guardOf(c).DialContext, TLSHandshakeTimeout: 10 * time.Second, DisableKeepAlives: true}
}

func (s *Sender) roundTrip(c holdfast.Channel, req *http.Request) error {
	req.Header.Set("User-Agent", "holdfast")
	client := s.client(c)
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return &holdfast.Error{Kind: holdfast.Unavailable, Message: fmt.Sprintf("the receiver answered with %d", res.StatusCode)}
	}
	return nil
}

// redacted is an error whose text holds no secret of a channel. The cause is dropped: its text could be printed.
func redact(err error, secret holdfast.ChannelSecret) error {
	if err == nil {
		return nil
	}
	var told *holdfast.Error
	if errors.As(err, &told) && told.Cause == nil {
		return told // written by us, without any part of the address but a host
	}
	var unknown *net.DNSError
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err
	}
	if errors.As(err, &unknown) {
		err = unknown
	}
	text := err.Error()
	for _, part := range secretParts(secret) {
		text = strings.ReplaceAll(text, part, "…")
	}
	return &holdfast.Error{Kind: holdfast.Unavailable, Message: text}
}

// secretParts are the texts that an error must not repeat, the longest first.
func secretParts(secret holdfast.ChannelSecret) []string {
	parts := []string{secret.URL}
	if u, err := url.Parse(secret.URL); err == nil {
		if u.User != nil {
			password, _ := u.User.Password()
			parts = append(parts, u.User.String(), u.User.Username(), password)
		}
		parts = append(parts, u.RequestURI(), u.RawQuery)
		parts = append(parts, strings.Split(strings.Trim(u.Path, "/"), "/")...)
		for _, values := range u.Query() {
			parts = append(parts, values...)
		}
	}
	parts = append(parts, secret.Key, secret.Password)
	var out []string
	for _, p := range parts {
		if len(p) >= 6 { // shorter ones are words that say nothing
			out = append(out, p)
		}
	}
	return out
}
