package blob_test

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/holdfast/holdfast/internal/blob"
	"github.com/holdfast/holdfast/internal/blob/blobtest"
)

// s3Server is a real S3 server.
type s3Server struct{ *blobtest.S3Server }

func startS3(t testing.TB) s3Server { return s3Server{blobtest.StartS3(t, blobtest.S3ServerOptions{})} }

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
func (s s3Server) buckets(change func(*blob.S3Options)) func(t *testing.T) blob.Location {
	var count atomic.Int64
	return func(t *testing.T) blob.Location {
		bucket := "bucket-" + strconv.FormatInt(count.Add(1), 10)
		s.MakeBucket(t, bucket)
		o := s.Options(bucket)
		if change != nil {
			change(&o)
		}
		t.Cleanup(func() {
			for upload := range s.Client.ListIncompleteUploads(context.Background(), bucket, "", true) {
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
