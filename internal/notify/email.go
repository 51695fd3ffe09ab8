package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/smtp"
	"net/url"
	"strings"
	"time"

	"github.com/holdfast/holdfast"
)

// mail sends one message over SMTP. smtps begins with TLS; smtp asks for STARTTLS and goes on without only where nothing secret is said and
// the server lies in a private network that the channel may reach.
func (s *Sender) mail(ctx context.Context, c holdfast.Channel, secret holdfast.ChannelSecret, n holdfast.Notice) error {
	u, err := url.Parse(secret.URL)
	if err != nil {
		return err
	}
	client, conn, err := s.openSMTP(ctx, c, u)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := startTLS(client, c, u); err != nil {
		return err
	}
	if c.User != "" || secret.Password != "" {
		if err := client.Auth(&login{user: c.User, password: secret.Password}); err != nil {
			return fmt.Errorf("log in at the mail server: %w", err)
		}
	}
	if err := client.Mail(c.From); err != nil {
		return fmt.Errorf("name the sender: %w", err)
	}
	for _, to := range c.To {
		if err := client.Rcpt(to); err != nil {
			return fmt.Errorf("name a receiver: %w", err)
		}
	}
	w, err := client.Data()
	if err == nil {
		_, err = w.Write(message(c, n, time.Now()))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return fmt.Errorf("hand over the message: %w", err)
	}
	_ = client.Quit() // the message was taken: what comes after does not matter
	return nil
}

func (s *Sender) openSMTP(ctx context.Context, c holdfast.Channel, u *url.URL) (*smtp.Client, net.Conn, error) {
	port := u.Port()
	if port == "" {
		port = map[string]string{"smtp": "587", "smtps": "465"}[u.Scheme]
	}
	conn, err := s.guardOf(c).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	if u.Scheme == "smtps" {
		conn = tls.Client(conn, &tls.Config{ServerName: u.Hostname()})
	}
	client, err := smtp.NewClient(conn, u.Hostname())
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("greet the mail server: %w", err), conn.Close())
	}
	return client, conn, nil
}

func startTLS(client *smtp.Client, c holdfast.Channel, u *url.URL) error {
	if u.Scheme == "smtps" {
		return nil
	}
	if offered, _ := client.Extension("STARTTLS"); offered {
		if err := client.StartTLS(&tls.Config{ServerName: u.Hostname()}); err != nil {
			return fmt.Errorf("begin TLS with the mail server: %w", err)
		}
		return nil
	}
	if c.User != "" || !c.AllowPrivate {
		return &holdfast.Error{Kind: holdfast.Unavailable, Message: "the mail server offers no TLS", Hint: "use smtps://, or a server that offers STARTTLS"}
	}
	return nil
}

// login proves a password by whichever of PLAIN and LOGIN the server knows. It is used after TLS has begun.
type login struct{ user, password string }

// Start implements smtp.Auth.
func (l *login) Start(server *smtp.ServerInfo) (string, []byte, error) {
	if !server.TLS {
		return "", nil, errors.New("the password would be sent without encryption")
	}
	for _, method := range server.Auth {
		if strings.EqualFold(method, "PLAIN") {
			return "PLAIN", []byte("\x00" + l.user + "\x00" + l.password), nil
		}
	}
	return "LOGIN", nil, nil
}

// Next implements smtp.Auth.
func (l *login) Next(question []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	if strings.HasPrefix(strings.ToLower(string(question)), "user") {
		return []byte(l.user), nil
	}
	return []byte(l.password), nil
}

// message is an e-mail as RFC 5322 has it.
func message(c holdfast.Channel, n holdfast.Notice, at time.Time) []byte {
	_, domain, _ := strings.Cut(c.From, "@")
	var b bytes.Buffer
	header := func(name, value string) {
		fmt.Fprintf(&b, "%s: %s\r\n", name, strings.NewReplacer("\r", " ", "\n", " ").Replace(value))
	}
	header("Date", at.Format(time.RFC1123Z))
	header("From", c.From)
	header("To", strings.Join(c.To, ", "))
	header("Subject", mime.QEncoding.Encode("utf-8", n.Title()))
	header("Message-ID", "<"+n.ID+"@"+domain+">")
	header("Auto-Submitted", "auto-generated")
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	w.Write([]byte(strings.ReplaceAll(n.Text(), "\n", "\r\n") + "\r\n")) // into memory: it cannot fail
	w.Close()
	return b.Bytes()
}
