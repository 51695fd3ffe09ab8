package blobtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/holdfast/holdfast/internal/blob"
)

// The only account of the S3 server.
const (
	AccessKey = "test"
	SecretKey = "testsecret123"
)

// S3Server is a real S3 server as a child process: versitygw on a folder, which outlives its Stop.
type S3Server struct {
	Address string
	Client  *minio.Core
	Dir     string // its files: an object lies below data, under the names of its bucket and of its own
	t       testing.TB
	opts    S3ServerOptions
	command *exec.Cmd
}

// S3ServerOptions says how the server runs.
type S3ServerOptions struct {
	Certificate, Key string // files; it speaks TLS with them, else plain HTTP
	Versions         bool   // it keeps versions, which object lock needs
}

// StartS3 starts a server, which ends with the test. Where there is none the test is skipped.
func StartS3(t testing.TB, opts S3ServerOptions) *S3Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &S3Server{Address: l.Addr().String(), t: t, Dir: t.TempDir(), opts: opts}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// findS3 finds versitygw in .tools beside go.mod or in PATH.
func findS3(t testing.TB) string {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	path := filepath.Join(filepath.Dir(file), "..", "..", "..", ".tools", "versitygw")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	path, err := exec.LookPath("versitygw")
	if err != nil {
		t.Skip("versitygw is neither in .tools nor in PATH; `make test` installs it")
	}
	return path
}

// Start starts the server, again after a Stop, and waits until it answers.
func (s *S3Server) Start() {
	s.t.Helper()
	for _, dir := range []string{"data", "meta", "versions"} {
		if err := os.MkdirAll(filepath.Join(s.Dir, dir), 0o700); err != nil {
			s.t.Fatal(err)
		}
	}
	arguments := []string{"--quiet", "--port", s.Address}
	secure := s.opts.Certificate != ""
	if secure {
		arguments = append(arguments, "--cert", s.opts.Certificate, "--key", s.opts.Key)
	}
	arguments = append(arguments, "posix", "--sidecar", filepath.Join(s.Dir, "meta"))
	if s.opts.Versions {
		arguments = append(arguments, "--versioning-dir", filepath.Join(s.Dir, "versions"))
	}
	s.command = exec.Command(findS3(s.t), append(arguments, filepath.Join(s.Dir, "data"))...)
	s.command.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+AccessKey, "ROOT_SECRET_KEY="+SecretKey)
	var output bytes.Buffer
	s.command.Stdout, s.command.Stderr = &output, &output
	if err := s.command.Start(); err != nil {
		s.t.Fatal(err)
	}
	client, err := minio.NewCore(s.Address, &minio.Options{Creds: credentials.NewStaticV4(AccessKey, SecretKey, ""), MaxRetries: 1, Secure: secure,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.Client = client
	deadline, tick := time.After(time.Minute), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for {
		ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
		_, err := client.ListBuckets(ctx)
		cancel()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			s.Stop()
			s.t.Fatalf("versitygw does not answer: %v\n%s", err, output.String())
		}
	}
}

// Stop kills the server; what it holds stays.
func (s *S3Server) Stop() {
	_ = s.command.Process.Kill() // it may have ended
	_ = s.command.Wait()
}

// MakeBucket makes a bucket.
func (s *S3Server) MakeBucket(t testing.TB, name string) {
	t.Helper()
	if err := s.Client.MakeBucket(t.Context(), name, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
}

// Options are those with which a bucket of the server is opened.
func (s *S3Server) Options(bucket string) blob.S3Options {
	scheme := "http://"
	if s.opts.Certificate != "" {
		scheme = "https://"
	}
	return blob.S3Options{Endpoint: scheme + s.Address, Region: "us-east-1", Bucket: bucket, Prefix: "some/prefix", AccessKey: AccessKey, SecretKey: SecretKey, PathStyle: true}
}
