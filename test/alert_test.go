package test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/servetest"
)

// inbox is a mail server that takes whatever comes.
type inbox struct {
	net.Listener
	mu       sync.Mutex
	subjects []string
}

func newInbox(t *testing.T) *inbox {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	i := &inbox{Listener: l}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go i.serve(conn)
		}
	}()
	t.Cleanup(func() { _ = l.Close() })
	return i
}

func (i *inbox) serve(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience)) // of a socket it cannot fail
	in := bufio.NewScanner(conn)
	fmt.Fprint(conn, "220 test\r\n")
	for in.Scan() {
		verb, _, _ := strings.Cut(strings.ToUpper(in.Text()), " ")
		switch verb {
		case "DATA":
			fmt.Fprint(conn, "354 go on\r\n")
			var subject string
			for in.Scan() && in.Text() != "." {
				if s, found := strings.CutPrefix(in.Text(), "Subject: "); found {
					subject = s
				}
			}
			i.mu.Lock()
			i.subjects = append(i.subjects, subject)
			i.mu.Unlock()
			fmt.Fprint(conn, "250 taken\r\n")
		case "QUIT":
			fmt.Fprint(conn, "221 bye\r\n")
			return
		default:
			fmt.Fprint(conn, "250 ok\r\n")
		}
	}
}

// got lists what arrived that has a text in its subject.
func (i *inbox) got(text string) (found []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, s := range i.subjects {
		if strings.Contains(s, text) {
			found = append(found, s)
		}
	}
	return found
}

// putCertificate gives the front door a certificate that ends then.
func putCertificate(t *testing.T, s *server, ends time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(ends.Unix()), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: ends,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"gateway.key": {Type: "PRIVATE KEY", Bytes: secret}, "gateway.crt": {Type: "CERTIFICATE", Bytes: der}} {
		if err := os.WriteFile(filepath.Join(s.data, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A disk that is nearly full, a certificate that ends soon, and a location without the key of a branch: each is told by e-mail once, and once that it is over.
func TestWhatIsWrongIsToldByEmail(t *testing.T) {
	t.Parallel()
	dir := place(t)
	disk, offsite := filepath.Join(dir, "srv"), filepath.Join(dir, "offsite")
	for _, made := range []string{disk, offsite} {
		if err := os.Mkdir(made, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mount(t, disk, 0, "mode=0755,size=600m")
	s := newServer(t, disk, nil)
	s.start(t)
	mail := newInbox(t)
	s.must(t, "alert", "channels", "add", "ops", "--kind", "email", "--url", "smtp://"+mail.Addr().String(), "--from", "holdfast@example.com", "--to", "ops@example.com", "--allow-private")
	s.must(t, "alert", "channels", "test", "ops")
	if got := mail.got("test notice"); len(got) != 1 {
		t.Errorf("of the test there came %q", got)
	}
	_, production := s.project(t, api.NewProject{Name: "shop"})
	s.must(t, "location", "add", "shop", "offsite", "--folder", offsite, "--encrypt")
	folder := filepath.Join(offsite, "branches", s.branch(t, production).ID)
	servetest.Until(t, "the history at the location", func() bool {
		_, err := os.Stat(filepath.Join(folder, "branch.json"))
		return err == nil
	})
	s.signal(t, syscall.SIGTERM)

	putCertificate(t, s, time.Now().Add(time.Hour))
	for _, name := range []string{"key-1.age", "key-2.age"} {
		if err := os.Rename(filepath.Join(folder, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	s.start(t)
	filler := filepath.Join(disk, "filler")
	fillDisk(t, filler, 5)
	wrong := []string{"disk_low on installation", "certificate_expiry on installation", "key_missing on " + production.String()}
	for _, what := range wrong {
		servetest.Until(t, "an e-mail of "+what, func() bool { return len(mail.got(what)) > 0 })
	}
	if o := s.holdfast(t, "status"); o.code != 6 || !strings.Contains(o.out, "disk_low") {
		t.Errorf("the status is %d:\n%s%s", o.code, o.out, o.err)
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	putCertificate(t, s, time.Now().Add(10_000*time.Hour))
	if err := os.Rename(filepath.Join(dir, "key-1.age"), filepath.Join(folder, "key-1.age")); err != nil { // one is enough: the other is made from it
		t.Fatal(err)
	}
	for _, what := range wrong {
		servetest.Until(t, "the end of "+what, func() bool { return len(mail.got("resolved: "+what)) > 0 })
		if got := mail.got(what); len(got) != 2 {
			t.Errorf("of %s there came %q", what, got)
		}
	}
	alerts, err := s.Alerts(t.Context(), "", true)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []holdfast.Condition{holdfast.DiskLow, holdfast.Certificate, holdfast.KeyMissing} {
		if i := slices.IndexFunc(alerts, func(a api.Alert) bool { return a.Condition == string(c) }); i < 0 || alerts[i].ResolvedAt.IsZero() {
			t.Errorf("%s is not in the list of what was wrong: %+v", c, alerts)
		}
	}
}

// fillDisk leaves so many percent of a disk free.
func fillDisk(t *testing.T, file string, percent uint64) {
	t.Helper()
	var space syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(file), &space); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	take := int64(space.Bavail-space.Blocks*percent/100) * int64(space.Bsize)
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, take); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
