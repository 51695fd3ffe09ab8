package blob_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/holdfast/holdfast/internal/blob"
	"github.com/holdfast/holdfast/internal/blob/blobtest"
)

const (
	testAccessKey = "test"
	testSecretKey = "testsecret123"
)

// s3Server is a real S3 server as a child process: versitygw on a folder.
type s3Server struct {
	data     string // a folder per bucket
	address  string
	tls      []string // arguments that make it speak TLS
	versions bool     // keeps versions, which object lock needs
	command  *exec.Cmd
	client   *minio.Core
}

// findS3Server finds versitygw in .tools beside go.mod or in PATH.
func findS3Server(t testing.TB) string {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	path := filepath.Join(filepath.Dir(file), "..", "..", ".tools", "versitygw")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	path, err := exec.LookPath("versitygw")
	if err != nil {
		t.Skip("versitygw is neither in .tools nor in PATH; `make test` installs it")
	}
	return path
}

func startS3(t testing.TB) *s3Server {
	t.Helper()
	s := &s3Server{data: t.TempDir(), address: freeAddress(t)}
	s.start(t)
	return s
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (s *s3Server) start(t testing.TB) {
	t.Helper()
	for _, dir := range []string{"data", "meta", "versions"} {
		if err := os.MkdirAll(filepath.Join(s.data, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var output bytes.Buffer
	arguments := append([]string{"--quiet", "--port", s.address}, s.tls...)
	arguments = append(arguments, "posix", "--sidecar", filepath.Join(s.data, "meta"))
	if s.versions {
		arguments = append(arguments, "--versioning-dir", filepath.Join(s.data, "versions"))
	}
	arguments = append(arguments, filepath.Join(s.data, "data"))
	s.command = exec.Command(findS3Server(t), arguments...)
	s.command.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+testAccessKey, "ROOT_SECRET_KEY="+testSecretKey)
	s.command.Stdout, s.command.Stderr = &output, &output
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	client, err := minio.NewCore(s.address, &minio.Options{Creds: credentials.NewStaticV4(testAccessKey, testSecretKey, ""), MaxRetries: 1, Secure: s.tls != nil,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}})
	if err != nil {
		t.Fatal(err)
	}
	s.client = client
	eventually(t, "versitygw answers", func() bool {
		_, err := client.ListBuckets(t.Context())
		return err == nil
	})
}

func (s *s3Server) stop() {
	_ = s.command.Process.Kill()
	_ = s.command.Wait()
}

// eventually waits for another process, which has no other signal to give.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func (s *s3Server) options(bucket string) blob.S3Options {
	return blob.S3Options{Endpoint: "http://" + s.address, Region: "us-east-1", Bucket: bucket, Prefix: "some/prefix", AccessKey: testAccessKey, SecretKey: testSecretKey, PathStyle: true}
}

func (s *s3Server) makeBucket(t testing.TB, bucket string) {
	t.Helper()
	if err := s.client.MakeBucket(t.Context(), bucket, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
}

func openS3(t testing.TB, o blob.S3Options) *blob.S3 {
	t.Helper()
	l, err := blob.OpenS3(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// buckets returns an opener of locations, each in a bucket of its own, that checks at the end that no upload was left unfinished.
func (s *s3Server) buckets(change func(*blob.S3Options)) func(t *testing.T) blob.Location {
	var count atomic.Int64
	return func(t *testing.T) blob.Location {
		bucket := "bucket-" + strconv.FormatInt(count.Add(1), 10)
		s.makeBucket(t, bucket)
		o := s.options(bucket)
		if change != nil {
			change(&o)
		}
		t.Cleanup(func() {
			for upload := range s.client.ListIncompleteUploads(context.Background(), bucket, "", true) {
				t.Errorf("left an unfinished upload: %s %v", upload.Key, upload.Err)
			}
		})
		return openS3(t, o)
	}
}

func TestS3(t *testing.T) {
	blobtest.Run(t, startS3(t).buckets(nil), blobtest.Options{})
}

func TestS3WithoutPrefixAndWithSmallParts(t *testing.T) {
	blobtest.Run(t, startS3(t).buckets(func(o *blob.S3Options) {
		o.Prefix, o.PartSize, o.Uploads = "", 5<<20, 4
	}), blobtest.Options{Large: 5<<20*5 + 0, Listed: 10})
}

func TestS3OptionsNeverPrintTheKeys(t *testing.T) {
	o := blob.S3Options{Endpoint: "https://s3.example.com", Bucket: "b", AccessKey: "AKIA", SecretKey: "very-secret"}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, o); got != "https://s3.example.com/b/" {
			t.Errorf("%s prints %s", format, got)
		}
	}
}
