package blob_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/blob"
	"github.com/holdfast/holdfast/internal/blob/blobtest"
)

// cutter is a way to the server that breaks connections: each of the first cuts connections after it carried so many bytes.
type cutter struct {
	address string
	after   int64
	cuts    atomic.Int64
}

func startCutter(t *testing.T, target string, after, cuts int64) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{address: l.Addr().String(), after: after}
	c.cuts.Store(cuts)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { c.carry(client, target) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return c
}

func (c *cutter) carry(client net.Conn, target string) {
	defer client.Close()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	var down sync.WaitGroup
	down.Go(func() {
		_, _ = io.Copy(client, server)
		client.Close()
	})
	if n, _ := io.CopyN(server, client, c.after); n == c.after && c.cuts.Add(-1) < 0 {
		_, _ = io.Copy(server, client)
	}
	server.Close()
	client.Close()
	down.Wait()
}

func throughCutter(o blob.S3Options, c *cutter) blob.S3Options {
	o.Endpoint = "http://" + c.address
	o.Parts = quickly
	return o
}

func TestS3PartsSurviveBrokenConnections(t *testing.T) {
	s := startS3(t)
	s.MakeBucket(t, "bucket")
	cut := startCutter(t, s.Address, 3<<20, 3)
	l := openS3(t, throughCutter(s.Options("bucket"), cut))
	const size = 30 << 20
	info, err := l.Put(t.Context(), "a", blobtest.Stream(size, 1), blob.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if cut.cuts.Load() >= 0 {
		t.Error("no connection was cut")
	}
	if err := blob.Verify(t.Context(), l, "a", size, info.SHA256); err != nil {
		t.Error(err)
	}
}

func TestS3UploadCutForGoodLeavesNothing(t *testing.T) {
	s := startS3(t)
	open := s.buckets(func(o *blob.S3Options) { *o = throughCutter(*o, startCutter(t, s.Address, 3<<20, 1<<30)) })
	l := open(t)
	if _, err := l.Put(t.Context(), "a", blobtest.Stream(30<<20, 1), blob.PutOptions{}); holdfast.KindOf(err) != holdfast.Unavailable {
		t.Errorf("put answered %v", err)
	}
	if _, err := l.Stat(t.Context(), "a"); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("stat answered %v", err)
	}
}

func TestS3DownForAWhile(t *testing.T) {
	s := startS3(t)
	s.MakeBucket(t, "bucket")
	l := openS3(t, s.Options("bucket"))
	put(t, l, "before", "x")
	s.Stop()
	_, statErr := l.Stat(t.Context(), "before")
	_, getErr := get(t, l, "before")
	_, putErr := l.Put(t.Context(), "during", strings.NewReader("x"), blob.PutOptions{})
	for what, err := range map[string]error{"stat": statErr, "get": getErr, "put": putErr, "delete": l.Delete(t.Context(), "before"), "the test": blob.TestConnection(t.Context(), l).Err()} {
		if holdfast.KindOf(err) != holdfast.Unavailable {
			t.Errorf("%s answered %v", what, err)
		}
	}
	// A put that waits for the server ends well once it is back.
	tried := make(chan struct{})
	waiting := blob.NewRetried(announcing{l, sync.OnceFunc(func() { close(tried) })}, blob.Backoff{Tries: 1000, First: 10 * time.Millisecond, Most: 50 * time.Millisecond}, "")
	done := make(chan error, 1)
	go func() {
		_, err := waiting.Put(t.Context(), "during", strings.NewReader("kept"), blob.PutOptions{IfAbsent: true})
		done <- err
	}()
	<-tried
	s.Start()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got, err := get(t, l, "during"); err != nil || got != "kept" {
		t.Errorf("got %q, %v", got, err)
	}
}

// announcing tells when the first put has failed.
type announcing struct {
	blob.Location
	failed func()
}

func (a announcing) Put(ctx context.Context, name string, r io.Reader, opts blob.PutOptions) (blob.Info, error) {
	info, err := a.Location.Put(ctx, name, r, opts)
	if err != nil {
		a.failed()
	}
	return info, err
}

func TestS3SaysWhatIsWrong(t *testing.T) {
	s := startS3(t)
	s.MakeBucket(t, "bucket")
	for what, c := range map[string]struct {
		change func(*blob.S3Options)
		kind   holdfast.Kind
		says   string
	}{
		"a wrong secret": {func(o *blob.S3Options) { o.SecretKey = "wrong-secret-key" }, holdfast.Unauthenticated, "secret key"},
		"a wrong key":    {func(o *blob.S3Options) { o.AccessKey = "nobody" }, holdfast.Unauthenticated, "access key"},
		"no bucket":      {func(o *blob.S3Options) { o.Bucket = "missing" }, holdfast.Precondition, "missing does not exist"},
		"not TLS":        {func(o *blob.S3Options) { o.Endpoint = "https://" + s.Address }, holdfast.Precondition, "TLS"},
		"a wrong region": {func(o *blob.S3Options) { o.Region = "mars-1" }, holdfast.Precondition, "region"},
	} {
		o := s.Options("bucket")
		c.change(&o)
		report := blob.TestConnection(t.Context(), openS3(t, o))
		err := report.Err()
		if holdfast.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) || holdfast.HintOf(err) == "" {
			t.Errorf("%s: %v: %v (%s)", what, holdfast.KindOf(err), err, holdfast.HintOf(err))
		}
		if err != nil && (strings.Contains(err.Error(), "wrong-secret-key") || strings.Contains(err.Error(), blobtest.SecretKey)) {
			t.Errorf("%s: the error tells the secret", what)
		}
	}
}

func TestS3OptionsAreChecked(t *testing.T) {
	good := blob.S3Options{Endpoint: "https://s3.example.com", Bucket: "b", AccessKey: "k", SecretKey: "s"}
	for what, change := range map[string]func(*blob.S3Options){
		"no scheme":     func(o *blob.S3Options) { o.Endpoint = "s3.example.com" },
		"a path":        func(o *blob.S3Options) { o.Endpoint = "https://s3.example.com/bucket" },
		"keys in it":    func(o *blob.S3Options) { o.Endpoint = "https://k:s@s3.example.com" },
		"no bucket":     func(o *blob.S3Options) { o.Bucket = "" },
		"no secret":     func(o *blob.S3Options) { o.SecretKey = "" },
		"a bad prefix":  func(o *blob.S3Options) { o.Prefix = "a/../b" },
		"small parts":   func(o *blob.S3Options) { o.PartSize = 1 << 20 },
		"no such certs": func(o *blob.S3Options) { o.RootCAs = []byte("x") },
	} {
		o := good
		change(&o)
		if _, err := blob.OpenS3(o); holdfast.KindOf(err) != holdfast.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	openS3(t, good)
}

func TestConnectionOfS3(t *testing.T) {
	l := startS3(t).buckets(nil)(t)
	report := blob.TestConnection(t.Context(), blob.NewRetried(l, quickly, ""))
	if err := report.Err(); err != nil || !report.Conditional {
		t.Errorf("%v, %+v", err, report)
	}
	for info := range l.List(t.Context(), "") {
		t.Errorf("left %s", info.Name)
	}
}

// A server that knows no conditions says so; the object is then put after a look.
func TestS3WithoutConditionalWrites(t *testing.T) {
	s := startS3(t)
	s.MakeBucket(t, "bucket")
	target, err := url.Parse("http://" + s.Address)
	if err != nil {
		t.Fatal(err)
	}
	var refused atomic.Int64
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
	}}
	old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") != "" {
			refused.Add(1)
			w.WriteHeader(http.StatusNotImplemented)
			_, _ = io.WriteString(w, `<?xml version="1.0"?><Error><Code>NotImplemented</Code><Message>A header implies functionality that is not implemented</Message></Error>`)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	defer old.Close()
	o := s.Options("bucket")
	o.Endpoint = old.URL
	l := openS3(t, o)
	for _, size := range []int64{10, 12 << 20} {
		if _, err := l.Put(t.Context(), "a", blobtest.Stream(size, 1), blob.PutOptions{IfAbsent: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Put(t.Context(), "a", blobtest.Stream(size, 2), blob.PutOptions{IfAbsent: true}); holdfast.KindOf(err) != holdfast.Conflict {
			t.Errorf("the second put answered %v", err)
		}
		if err := l.Delete(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	}
	if refused.Load() == 0 {
		t.Error("no condition was refused")
	}
	if report := blob.TestConnection(t.Context(), l); report.Err() != nil || report.Conditional {
		t.Errorf("%v, %+v", report.Err(), report)
	}
}

func TestS3TransferThatStandsStillFails(t *testing.T) {
	release := make(chan struct{})
	hung := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.Header().Set("ETag", `"x"`)
		w.Header().Set("Last-Modified", time.Unix(0, 0).UTC().Format(http.TimeFormat))
		_, _ = io.WriteString(w, "only this much")
		w.(http.Flusher).Flush()
		<-release
	}))
	defer hung.Close()
	defer close(release)
	l := openS3(t, blob.S3Options{Endpoint: hung.URL, Region: "r", Bucket: "bucket", AccessKey: "k", SecretKey: "s", PathStyle: true, Stalled: 50 * time.Millisecond})
	if got, err := get(t, l, "a"); holdfast.KindOf(err) != holdfast.Unavailable || got != "only this much" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestS3CollectsUploadsThatACrashLeft(t *testing.T) {
	s := startS3(t)
	s.MakeBucket(t, "bucket")
	for _, key := range []string{"some/prefix/mine", "other/prefix/theirs"} {
		id, err := s.Client.NewMultipartUpload(t.Context(), "bucket", key, minio.PutObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Client.PutObjectPart(t.Context(), "bucket", key, id, 1, strings.NewReader("x"), 1, minio.PutObjectPartOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	l := openS3(t, s.Options("bucket"))
	for _, c := range []struct {
		age  time.Duration
		want int
	}{{time.Hour, 0}, {-time.Hour, 1}, {-time.Hour, 0}} { // the server's times have whole seconds
		if n, err := l.CollectUploads(t.Context(), c.age); err != nil || n != c.want {
			t.Errorf("older than %v: %d, %v, want %d", c.age, n, err, c.want)
		}
	}
}

func TestS3PutNeedsLittleMemory(t *testing.T) {
	l := startS3(t).buckets(nil)(t)
	const size = 200 << 20
	most := &peak{from: blobtest.Stream(size, 1)}
	runtime.GC()
	info, err := l.Put(t.Context(), "a", most, blob.PutOptions{})
	if err != nil || info.Size != size {
		t.Fatalf("%+v, %v", info, err)
	}
	if most.heap > 80<<20 { // three parts of 8 MiB, and as much that is not collected yet
		t.Errorf("the heap grew to %d MiB", most.heap>>20)
	}
}

type peak struct {
	from io.Reader
	read int64
	next int64
	heap uint64
}

func (p *peak) Read(b []byte) (int, error) {
	if p.read >= p.next {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		p.heap = max(p.heap, m.HeapInuse)
		p.next += 4 << 20
	}
	n, err := p.from.Read(b)
	p.read += int64(n)
	return n, err
}

func TestS3OverTLS(t *testing.T) {
	certificate, key := selfSigned(t)
	s := s3Server{blobtest.StartS3(t, blobtest.S3ServerOptions{Certificate: certificate, Key: key})}
	s.MakeBucket(t, "bucket")
	o := s.Options("bucket")
	if report := blob.TestConnection(t.Context(), openS3(t, o)); holdfast.KindOf(report.Err()) != holdfast.Precondition || !strings.Contains(report.Err().Error(), "certificate") {
		t.Errorf("an unknown certificate answered %v", report.Err())
	}
	var err error
	if o.RootCAs, err = os.ReadFile(certificate); err != nil {
		t.Fatal(err)
	}
	l := openS3(t, o)
	info, err := l.Put(t.Context(), "a", blobtest.Stream(20<<20, 1), blob.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := blob.Verify(t.Context(), l, "a", info.Size, info.SHA256); err != nil {
		t.Error(err)
	}
}

func selfSigned(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certificate, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: raw}} {
		var b bytes.Buffer
		if err := pem.Encode(&b, block); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, key
}

func TestS3LocksObjects(t *testing.T) {
	s := s3Server{blobtest.StartS3(t, blobtest.S3ServerOptions{Versions: true})}
	if err := s.Client.MakeBucket(t.Context(), "locked", minio.MakeBucketOptions{ObjectLocking: true}); err != nil {
		t.Fatal(err)
	}
	s.MakeBucket(t, "unlocked")
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	for name, size := range map[string]int64{"small": 100, "large": 12 << 20} {
		opts := blob.PutOptions{LockedUntil: until}
		if _, err := openS3(t, s.Options("locked")).Put(t.Context(), name, blobtest.Stream(size, 1), opts); err != nil {
			t.Fatal(err)
		}
		object, err := s.Client.StatObject(t.Context(), "locked", "some/prefix/"+name, minio.StatObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := time.Parse(time.RFC3339, object.Metadata.Get("X-Amz-Object-Lock-Retain-Until-Date"))
		if err != nil || !got.Equal(until) {
			t.Errorf("%d bytes are locked until %v, %v", size, got, err)
		}
		if err := s.Client.RemoveObject(t.Context(), "locked", "some/prefix/"+name, minio.RemoveObjectOptions{VersionID: object.VersionID, GovernanceBypass: true}); err == nil {
			t.Error("a locked object was destroyed")
		}
		if err := openS3(t, s.Options("locked")).Delete(t.Context(), name); err != nil { // hides it
			t.Errorf("delete answered %v", err)
		}
		if _, err := openS3(t, s.Options("locked")).Stat(t.Context(), name); holdfast.KindOf(err) != holdfast.NotFound {
			t.Errorf("stat of a hidden object answered %v", err)
		}
		if _, err := openS3(t, s.Options("unlocked")).Put(t.Context(), name, blobtest.Stream(size, 1), opts); holdfast.KindOf(err) != holdfast.Precondition || holdfast.HintOf(err) == "" {
			t.Errorf("a bucket without locks answered %v", err)
		}
	}
	if _, err := folderAt(t, t.TempDir()).Put(t.Context(), "a", strings.NewReader("x"), blob.PutOptions{LockedUntil: until}); holdfast.KindOf(err) != holdfast.Precondition {
		t.Errorf("a folder answered %v", err)
	}
}
