package notify

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/egress"
)

// ours is the certificate of the test's servers, which this process trusts as it does those of the machine.
var ours tls.Certificate

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "notify")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
			IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			panic(err)
		}
		ours = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
		roots := filepath.Join(dir, "roots.pem")
		if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
			panic(err)
		}
		os.Setenv("SSL_CERT_FILE", roots) // before anything reads the machine's
		return m.Run()
	}())
}

// here is a sender that reaches this machine.
func here() *Sender {
	return New(egress.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
}

func fired() holdfast.Notice {
	at := time.Date(2026, 11, 20, 14, 3, 11, 0, time.UTC)
	return holdfast.Notice{ID: "ntc_1", Event: holdfast.NoticeFiring, At: at, Alert: holdfast.NoticeAlert{ID: "alt_1", Condition: holdfast.WALLag, Severity: holdfast.Critical,
		Place: "shop/production", Message: "the WAL is late: Grüße", Hint: "look at the disk", FiredAt: at}}
}

// postOffice is an SMTP server, small and real: it speaks TLS, wants a password where it has one, and keeps what it is handed.
type postOffice struct {
	net.Listener
	startTLS bool
	password string

	mu     sync.Mutex
	login  string // what was proved
	secure bool   // the last message came over TLS
	from   string
	to     []string
	data   string
	reject string // a reply to every receiver
}

func newPostOffice(t *testing.T, implicit bool) *postOffice {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if implicit {
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{ours}})
	}
	o := &postOffice{Listener: l}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { o.serve(conn, implicit) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return o
}

func (o *postOffice) serve(conn net.Conn, secure bool) {
	defer func() { conn.Close() }()
	conn.SetDeadline(time.Now().Add(time.Minute))
	r := bufio.NewReader(conn)
	say := func(lines ...string) { fmt.Fprint(conn, strings.Join(lines, "\r\n")+"\r\n") }
	ask := func(question string) string {
		say("334 " + base64.StdEncoding.EncodeToString([]byte(question)))
		line, _ := r.ReadString('\n')
		raw, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
		return string(raw)
	}
	say("220 test")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		o.mu.Lock()
		switch strings.ToUpper(verb) {
		case "EHLO":
			say("250-test")
			switch {
			case o.startTLS && !secure:
				say("250-STARTTLS")
			case o.password != "":
				say("250-AUTH LOGIN")
			}
			say("250 8BITMIME")
		case "STARTTLS":
			say("220 go on")
			conn = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{ours}})
			r, secure = bufio.NewReader(conn), true
		case "AUTH":
			user, password := ask("Username:"), ask("Password:")
			if password != o.password {
				say("535 wrong password " + password)
				break
			}
			o.login = user
			say("235 welcome")
		case "MAIL":
			o.from, o.to, o.secure = rest, nil, secure
			say("250 ok")
		case "RCPT":
			if o.reject != "" {
				say(o.reject)
				break
			}
			o.to = append(o.to, rest)
			say("250 ok")
		case "DATA":
			say("354 go on")
			var b strings.Builder
			for {
				line, err := r.ReadString('\n')
				if err != nil || line == ".\r\n" {
					break
				}
				b.WriteString(strings.TrimPrefix(line, "."))
			}
			o.data = b.String()
			say("250 taken")
		case "QUIT":
			say("221 bye")
			o.mu.Unlock()
			return
		default:
			say("502 what?")
		}
		o.mu.Unlock()
	}
}

func emailChannel() holdfast.Channel {
	return holdfast.Channel{Name: "ops", Kind: holdfast.Email, From: "holdfast@example.com", To: []string{"ops@example.com", "boss@example.com"}, Severity: holdfast.Warning}
}

func TestAnEmailArrivesOverTLSWithItsPassword(t *testing.T) {
	for name, implicit := range map[string]bool{"smtp": false, "smtps": true} {
		t.Run(name, func(t *testing.T) {
			office := newPostOffice(t, implicit)
			office.startTLS, office.password = !implicit, "the secret password"
			c, secret := emailChannel(), holdfast.ChannelSecret{URL: name + "://" + office.Addr().String(), Password: "the secret password"}
			c.User = "holdfast"
			if err := here().Send(t.Context(), c, secret, fired()); err != nil {
				t.Fatal(err)
			}
			office.mu.Lock()
			if !office.secure || office.login != "holdfast" || !strings.HasPrefix(office.from, "FROM:<holdfast@example.com>") || len(office.to) != 2 || office.to[1] != "TO:<boss@example.com>" {
				t.Errorf("got secure %v, login %q, %s to %v", office.secure, office.login, office.from, office.to)
			}
			office.checkMessage(t)
			office.mu.Unlock()

			secret.Password = "another secret password"
			err := here().Send(t.Context(), c, secret, fired())
			if err == nil || strings.Contains(err.Error(), secret.Password) {
				t.Errorf("a wrong password: %v", err)
			}
		})
	}
}

func (o *postOffice) checkMessage(t *testing.T) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(o.data))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	body, bodyErr := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err := errors.Join(err, bodyErr); err != nil {
		t.Fatal(err)
	}
	if subject != "[Holdfast] critical: wal_lag on shop/production" || m.Header.Get("To") != "ops@example.com, boss@example.com" || m.Header.Get("Message-Id") != "<ntc_1@example.com>" ||
		!strings.Contains(string(body), "Grüße\r\nHint: look at the disk\r\n") {
		t.Errorf("got %v\n%s", m.Header, body)
	}
}

func TestAnEmailWithoutTLSIsForPrivateNetworksAndWithoutPassword(t *testing.T) {
	office := newPostOffice(t, false)
	c, secret := emailChannel(), holdfast.ChannelSecret{URL: "smtp://" + office.Addr().String()}
	if err := here().Send(t.Context(), c, secret, fired()); err == nil {
		t.Error("it was sent without encryption")
	}
	c.AllowPrivate = true
	if err := here().Send(t.Context(), c, secret, fired()); err != nil {
		t.Error(err)
	}
	c.User, secret.Password = "holdfast", "the secret password"
	if err := here().Send(t.Context(), c, secret, fired()); err == nil {
		t.Error("a password was sent without encryption")
	}
	c.User = ""
	office.mu.Lock()
	office.reject = "550 no such user"
	office.mu.Unlock()
	if err := here().Send(t.Context(), c, holdfast.ChannelSecret{URL: secret.URL}, fired()); err == nil || !strings.Contains(err.Error(), "no such user") {
		t.Errorf("got %v", err)
	}
}

func TestPrivateAddressesAreRefusedUnlessTheChannelMayReachThem(t *testing.T) {
	asked := 0
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer inside.Close()
	office := newPostOffice(t, false)
	strict := New(egress.Guard{})
	host := strings.TrimPrefix(inside.URL, "http://")
	for _, c := range []struct {
		kind holdfast.ChannelKind
		url  string
	}{
		{holdfast.Webhook, inside.URL}, {holdfast.Heartbeat, inside.URL}, {holdfast.Email, "smtp://" + office.Addr().String()},
		{holdfast.Chat, "ntfy://" + host + "/alerts?scheme=http"}, {holdfast.Chat, "gotify://" + host + "/AzyoeNS.D4iJLVa?disabletls=yes"},
	} {
		channel := emailChannel()
		channel.Kind = c.kind
		if err := strict.Send(t.Context(), channel, holdfast.ChannelSecret{URL: c.url}, fired()); err == nil || asked != 0 {
			t.Errorf("%s %s was reached: %v", c.kind, c.url, err)
		}
	}
	// Who writes such an address is told at once.
	for _, c := range []struct {
		kind    holdfast.ChannelKind
		url     string
		private bool
		want    holdfast.Kind
	}{
		{holdfast.Webhook, inside.URL, false, holdfast.NotAllowed}, {holdfast.Webhook, inside.URL, true, 0}, {holdfast.Webhook, "http://localhost:9/hook", false, holdfast.NotAllowed},
		{holdfast.Webhook, "http://[::ffff:169.254.169.254]/latest", false, holdfast.NotAllowed}, {holdfast.Heartbeat, "http://10.0.0.1/beat", false, holdfast.NotAllowed},
		{holdfast.Email, "smtp://192.168.1.1:25", false, holdfast.NotAllowed}, {holdfast.Email, "smtp://192.168.1.1:25", true, 0}, {holdfast.Webhook, "https://8.8.8.8/hook", false, 0},
	} {
		channel := emailChannel()
		channel.Kind, channel.AllowPrivate = c.kind, c.private
		if c.kind != holdfast.Email {
			channel.From, channel.To, channel.User = "", nil, ""
		}
		if c.kind == holdfast.Heartbeat {
			channel.Every = holdfast.DefaultHeartbeat
		}
		secret := holdfast.ChannelSecret{URL: c.url}
		if c.kind == holdfast.Webhook {
			secret.Key = "a key to sign with"
		}
		if err := strict.Check(channel, secret); holdfast.KindOf(err) != c.want && (c.want != 0 || err != nil) {
			t.Errorf("%s %s (private %v): got %v", c.kind, c.url, c.private, err)
		}
	}
	if err := strict.Send(t.Context(), holdfast.Channel{Kind: holdfast.Webhook, AllowPrivate: true}, holdfast.ChannelSecret{URL: inside.URL}, fired()); err != nil || asked != 1 {
		t.Errorf("got %v", err)
	}
}

func TestAChatServiceIsToldInWords(t *testing.T) {
	var title, text string
	ntfy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		title, text = r.Header.Get("Title"), string(body)
		io.WriteString(w, "{}")
	}))
	defer ntfy.Close()
	secret := holdfast.ChannelSecret{URL: "ntfy://" + strings.TrimPrefix(ntfy.URL, "http://") + "/alerts?scheme=http"}
	if err := here().Send(t.Context(), holdfast.Channel{Kind: holdfast.Chat}, secret, fired()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(title+text, "critical: wal_lag on shop/production") || !strings.Contains(text, "the WAL is late") {
		t.Errorf("got %q, %q", title, text)
	}
}

func TestAReceiverThatIsOutOfOrderIsAnErrorWithoutSecrets(t *testing.T) {
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/else", http.StatusTemporaryRedirect)
			return
		}
		w.WriteHeader(http.StatusBadGateway)
	}))
	closed := broken.URL
	for _, path := range []string{"/T0123/secret-token", "/moved"} {
		if err := here().Send(t.Context(), holdfast.Channel{Kind: holdfast.Webhook}, holdfast.ChannelSecret{URL: broken.URL + path}, fired()); holdfast.KindOf(err) != holdfast.Unavailable {
			t.Errorf("%s: %v", path, err)
		}
	}
	broken.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, url := range []string{closed + "/T0123/secret-token", "https://user:secret-token@hooks.invalid/x"} {
		err := here().Send(ctx, holdfast.Channel{Kind: holdfast.Webhook}, holdfast.ChannelSecret{URL: url}, fired())
		if err == nil || strings.Contains(err.Error(), "secret-token") || strings.Contains(fmt.Sprintf("%+v", err), "secret-token") {
			t.Errorf("got %v", err)
		}
	}
}

func TestChannelsThatCouldNeverWorkAreRefused(t *testing.T) {
	good := map[string]holdfast.ChannelKind{"https://hooks.example.com/x": holdfast.Webhook, "smtps://mail.example.com": holdfast.Email,
		"slack://hook:AAAAAAAAA-BBBBBBBBB-123456789123456789123456@webhook": holdfast.Chat, "ntfy://ntfy.sh/alerts": holdfast.Chat, "http://beat.example.com": holdfast.Heartbeat}
	bad := map[string]holdfast.ChannelKind{"": holdfast.Webhook, "ftp://example.com": holdfast.Webhook, "smtp://user:pw@mail.example.com": holdfast.Email, "http://mail.example.com": holdfast.Email,
		"nonsense://x": holdfast.Chat, "generic://example.com": holdfast.Chat, "smtp://example.com": holdfast.Chat, "gotify://inside/token": holdfast.Chat, "https://x.example.com": "pigeon"}
	check := func(url string, kind holdfast.ChannelKind) error {
		c := emailChannel()
		c.Kind, c.Every = kind, time.Minute
		return here().Check(c, holdfast.ChannelSecret{URL: url})
	}
	for url, kind := range good {
		if err := check(url, kind); err != nil {
			t.Errorf("%s %s: %v", kind, url, err)
		}
	}
	for url, kind := range bad {
		if err := check(url, kind); !slices.Contains([]holdfast.Kind{holdfast.Invalid, holdfast.NotAllowed}, holdfast.KindOf(err)) {
			t.Errorf("%s %s: %v", kind, url, err)
		}
	}
}
