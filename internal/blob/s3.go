package blob

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/holdfast/holdfast"
)

// S3Options say which bucket, and how to reach it.
type S3Options struct {
	Endpoint     string // https://host or http://host:port
	Region       string // empty: asked from the server
	Bucket       string
	Prefix       string // put before every name; empty or a name itself
	AccessKey    string
	SecretKey    string
	SessionToken string        // only with temporary keys
	PathStyle    bool          // the bucket is in the path, as most servers outside Amazon want it; otherwise decided by the endpoint
	RootCAs      []byte        // PEM certificates to trust instead of the system's
	PartSize     int64         // 5 MiB to 5 GiB; 0: 8 MiB. A Put holds up to Uploads+1 parts in memory
	Uploads      int           // parts that one Put uploads at the same time; 0: 2
	Stalled      time.Duration // how long a transfer may stand still; 0: one minute
	// Dial connects to the server; nil: any address. Who lets others choose the endpoint guards what it may lead to.
	Dial  func(ctx context.Context, network, address string) (net.Conn, error)
	Parts Backoff // how often a single part is tried again; the zero value is Backoff's
}

// String names the place without the keys, for logs and messages.
func (o S3Options) String() string {
	return fmt.Sprintf("%s/%s/%s", strings.TrimSuffix(o.Endpoint, "/"), o.Bucket, o.Prefix)
}

// GoString is String: no format prints the keys.
func (o S3Options) GoString() string { return o.String() }

// The limits of the protocol.
const (
	s3MinPart  = 5 << 20
	s3MaxPart  = 5 << 30
	s3MaxParts = 10000
)

// S3 is a location in a bucket of an S3-compatible server. An object's key is the prefix and the name.
//
// Objects that fit in one part are put by one request, larger ones by a multipart upload that is aborted when it fails; see CollectUploads
// for what a crash leaves. Every request carries the hash of its body, so that a server refuses bytes that changed on the way.
// IfAbsent uses conditional writes; where a server does not know them, it looks first, and then two Puts at the same moment may both succeed.
// TestConnection tells.
type S3 struct {
	client  *minio.Core
	idle    *http.Transport
	options S3Options
	prefix  string      // empty or ending in a slash
	looks   atomic.Bool // the server was found not to know conditional writes
}

var _ Location = (*S3)(nil)

// OpenS3 checks the options and returns the location. It sends nothing: a server that is down is Unavailable at the first call.
func OpenS3(o S3Options) (*S3, error) {
	endpoint, err := checkS3(&o)
	if err != nil {
		return nil, err
	}
	transport, err := s3Transport(o)
	if err != nil {
		return nil, err
	}
	lookup := minio.BucketLookupAuto
	if o.PathStyle {
		lookup = minio.BucketLookupPath
	}
	client, err := minio.NewCore(endpoint.Host, &minio.Options{
		Creds:        credentials.NewStaticV4(o.AccessKey, o.SecretKey, o.SessionToken),
		Secure:       endpoint.Scheme == "https",
		Region:       o.Region,
		BucketLookup: lookup,
		Transport:    transport,
		MaxRetries:   1, // trying again is decided here, where it is known whether a request may be repeated
	})
	if err != nil {
		return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("%s is not an S3 endpoint", o.Endpoint), Cause: err}
	}
	s := &S3{client: client, idle: transport, options: o}
	if o.Prefix != "" {
		s.prefix = o.Prefix + "/"
	}
	return s, nil
}

func checkS3(o *S3Options) (*url.URL, error) {
	endpoint, err := url.Parse(o.Endpoint)
	if err != nil || endpoint.Scheme != "https" && endpoint.Scheme != "http" || endpoint.Host == "" || strings.Trim(endpoint.Path, "/") != "" || endpoint.User != nil {
		return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: "the endpoint must look like https://host or http://host:port"}
	}
	if o.Bucket == "" || o.AccessKey == "" || o.SecretKey == "" {
		return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: "an S3 location needs a bucket, an access key and a secret key"}
	}
	o.Prefix = strings.Trim(o.Prefix, "/")
	if o.Prefix != "" {
		if err := CheckName(o.Prefix); err != nil || len(o.Prefix) > 200 {
			return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("%q cannot be the prefix of a location", o.Prefix), Cause: err}
		}
	}
	if o.PartSize == 0 {
		o.PartSize = 8 << 20
	}
	if o.PartSize < s3MinPart || o.PartSize > s3MaxPart {
		return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: "a part has 5 MiB to 5 GiB"}
	}
	if o.Uploads <= 0 {
		o.Uploads = 2
	}
	if o.Stalled <= 0 {
		o.Stalled = time.Minute
	}
	return endpoint, nil
}

func s3Transport(o S3Options) (*http.Transport, error) {
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(o.RootCAs) > 0 {
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(o.RootCAs) {
			return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: "the trusted certificates are not in PEM format"}
		}
	}
	dial := o.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dial,
		TLSClientConfig:       trust,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 2 * o.Stalled, // completing a large multipart upload takes a server a while
		ExpectContinueTimeout: 10 * time.Second,
		IdleConnTimeout:       time.Minute,
		MaxIdleConnsPerHost:   16,
		DisableCompression:    true, // an object is what was put, also where it says that it is gzip
	}, nil
}

// Close closes connections that are idle. Calling it is not required.
func (s *S3) Close() error {
	s.idle.CloseIdleConnections()
	return nil
}

// Get implements Location.
func (s *S3) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	if err := checkRange(name, offset); err != nil {
		return nil, err
	}
	if length == 0 {
		return s.getNothing(ctx, name, offset)
	}
	var opts minio.GetObjectOptions
	ranged := offset > 0 || length > 0
	if ranged {
		var end int64 // 0 with an offset: to the end
		if length > 0 {
			end = offset + length - 1
		}
		if err := opts.SetRange(offset, end); err != nil {
			return nil, fmt.Errorf("get %s: %w", name, err)
		}
	}
	watchedCtx, watch := watchStall(ctx, s.options.Stalled)
	from, _, header, err := s.client.GetObject(watchedCtx, s.options.Bucket, s.prefix+name, opts)
	if err != nil {
		watch.Close()
		if response := minio.ToErrorResponse(err); response.Code == minio.InvalidRange || response.StatusCode == http.StatusRequestedRangeNotSatisfiable {
			return s.getNothing(ctx, name, offset)
		}
		return nil, s.failed(ctx, "cannot get object "+name, name, err)
	}
	watch.from = from
	if ranged && header.Get("Content-Range") == "" && header.Get("Content-Length") != "0" {
		watch.Close()
		return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: "the S3 server ignores ranges, which restoring needs", Hint: "use another S3 server"}
	}
	return &body{ctx: ctx, from: watch, kind: func(err error) error { return s.failed(ctx, "cannot read object "+name, name, err) }}, nil
}

// getNothing answers for a range without bytes: it is empty, beyond the end, or of an object that does not exist.
func (s *S3) getNothing(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	info, err := s.Stat(ctx, name)
	if err != nil {
		return nil, err
	}
	if offset > info.Size {
		return nil, beyondEnd(name, offset, info.Size)
	}
	return emptyBody(), nil
}

// Stat implements Location.
func (s *S3) Stat(ctx context.Context, name string) (Info, error) {
	if err := CheckName(name); err != nil {
		return Info{}, err
	}
	object, err := s.client.StatObject(ctx, s.options.Bucket, s.prefix+name, minio.StatObjectOptions{})
	if err != nil {
		return Info{}, s.failed(ctx, "cannot look at object "+name, name, err)
	}
	return Info{Name: name, Size: object.Size, Stored: object.Size, Time: object.LastModified}, nil
}

// List implements Location. It skips keys that are not names: other programs may keep theirs under the same prefix.
func (s *S3) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		if err := CheckPrefix(prefix); err != nil {
			yield(Info{}, err)
			return
		}
		for object := range s.client.ListObjectsIter(ctx, s.options.Bucket, minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true}) {
			if object.Err != nil {
				yield(Info{}, s.failed(ctx, "cannot list objects", "", object.Err))
				return
			}
			name := strings.TrimPrefix(object.Key, s.prefix)
			if CheckName(name) != nil {
				continue
			}
			if !yield(Info{Name: name, Size: object.Size, Stored: object.Size, Time: object.LastModified}, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil { // the library ends its iteration without a word
			yield(Info{}, fmt.Errorf("list: %w", err))
		}
	}
}

// Delete implements Location.
func (s *S3) Delete(ctx context.Context, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	err := s.client.RemoveObject(ctx, s.options.Bucket, s.prefix+name, minio.RemoveObjectOptions{})
	if responseOf(err).Code == minio.NoSuchKey {
		return nil
	}
	return s.failed(ctx, "cannot delete object "+name, name, err)
}

// CollectUploads aborts multipart uploads under the prefix that began longer ago than age: a crash in the middle of a Put leaves one, unseen
// but paid for. The age must be longer than any Put takes. It returns how many there were.
func (s *S3) CollectUploads(ctx context.Context, age time.Duration) (int, error) {
	aborted := 0
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the library's goroutine
	for upload := range s.client.ListIncompleteUploads(ctx, s.options.Bucket, s.prefix, true) {
		if upload.Err != nil {
			return aborted, s.failed(ctx, "cannot list unfinished uploads", "", upload.Err)
		}
		if time.Since(upload.Initiated) < age || CheckName(strings.TrimPrefix(upload.Key, s.prefix)) != nil {
			continue
		}
		if err := s.client.AbortMultipartUpload(ctx, s.options.Bucket, upload.Key, upload.UploadID); err != nil && minio.ToErrorResponse(err).Code != minio.NoSuchUpload {
			return aborted, s.failed(ctx, "cannot abort an unfinished upload", "", err)
		}
		aborted++
	}
	if err := ctx.Err(); err != nil {
		return aborted, fmt.Errorf("collect unfinished uploads: %w", err)
	}
	return aborted, nil
}
