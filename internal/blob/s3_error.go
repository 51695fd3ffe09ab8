package blob

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/holdfast/holdfast"
)

var (
	errStalled = errors.New("the transfer stood still")
	errClosed  = errors.New("closed")
)

// responseOf returns what the S3 server answered, also from within one of our errors; it is empty when there was no answer.
func responseOf(err error) minio.ErrorResponse {
	var response minio.ErrorResponse
	errors.As(err, &response)
	return response
}

// failed gives an error of the S3 client the kind that says what to do about it; nil stays nil. ctx is the caller's, so that a watch over the
// request that ends it is not taken for the caller's wish.
func (s *S3) failed(ctx context.Context, doing, name string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	}
	response := responseOf(err)
	switch response.Code {
	case "":
		return s.noAnswer(doing, err)
	case minio.NoSuchKey, minio.NoSuchVersion:
		return notFound(name, err)
	case minio.PreconditionFailed:
		return exists(name, err)
	case minio.NoSuchBucket:
		return &holdfast.Error{Kind: holdfast.Precondition, Message: doing + ": the bucket " + s.options.Bucket + " does not exist", Hint: "make the bucket, or name another one", Cause: err}
	case minio.InvalidAccessKeyID, minio.SignatureDoesNotMatch, "InvalidToken", "ExpiredToken", "TokenRefreshRequired", "XAdminUserNotFound":
		return &holdfast.Error{Kind: holdfast.Unauthenticated, Message: doing + ": the S3 server does not accept the access key or the secret key",
			Hint: "enter the keys of this location again", Cause: err}
	case minio.RequestTimeTooSkewed:
		return &holdfast.Error{Kind: holdfast.Precondition, Message: doing + ": this machine's clock differs from the S3 server's", Hint: "set the clock; NTP keeps it right", Cause: err}
	case minio.AuthorizationHeaderMalformed, minio.InvalidRegion:
		return &holdfast.Error{Kind: holdfast.Precondition, Message: doing + ": the region is wrong", Hint: "set the region of this location as the S3 server names it", Cause: err}
	case minio.InvalidObjectState:
		return &holdfast.Error{Kind: holdfast.Precondition, Message: doing + ": the object is in cold storage", Hint: "bring it back at the S3 server first", Cause: err}
	case minio.IncompleteBody, minio.BadDigest, minio.XAmzContentSHA256Mismatch:
		// Bytes changed on the way: the next time they may not.
		return &holdfast.Error{Kind: holdfast.Unavailable, Message: doing + ": the bytes did not arrive as they were sent", Cause: err}
	}
	return s.failedStatus(doing, response, err)
}

func (s *S3) failedStatus(doing string, response minio.ErrorResponse, err error) error {
	switch {
	case response.StatusCode == http.StatusNotImplemented:
		return fmt.Errorf("%s: %w", doing, err)
	case response.StatusCode == http.StatusForbidden, response.StatusCode == http.StatusUnauthorized:
		return &holdfast.Error{Kind: holdfast.NotAllowed, Message: doing + ": the S3 server refuses it", Cause: err,
			Hint: "check the keys, and that they may put, get, list and delete objects in the bucket " + s.options.Bucket}
	case response.StatusCode == http.StatusInsufficientStorage, response.Code == "QuotaExceeded", response.Code == "XMinioStorageFull":
		return &holdfast.Error{Kind: holdfast.Precondition, Message: doing + ": the S3 server is full", Hint: "free space at the S3 server or raise its quota", Cause: err}
	case response.StatusCode == http.StatusTooManyRequests, response.StatusCode == http.StatusRequestTimeout, response.StatusCode >= 500,
		response.Code == "SlowDown", response.Code == "RequestTimeout", response.Code == minio.InternalError:
		return &holdfast.Error{Kind: holdfast.Unavailable, Message: doing + ": the S3 server cannot answer now", Cause: err}
	}
	return fmt.Errorf("%s: the S3 server answered %s: %w", doing, response.Code, err)
}

// noAnswer is for an error that is not the server's.
func (s *S3) noAnswer(doing string, err error) error {
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &authority), errors.As(err, &hostname), errors.As(err, &invalid):
		return &holdfast.Error{Kind: holdfast.Precondition, Message: doing + ": the certificate of the S3 server is not trusted",
			Hint: "check the endpoint's name, or give the certificate of its authority", Cause: err}
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return &holdfast.Error{Kind: holdfast.Precondition, Message: doing + ": the S3 server does not speak TLS", Hint: "write http:// in the endpoint, or the port that speaks TLS", Cause: err}
	}
	return &holdfast.Error{Kind: holdfast.Unavailable, Message: fmt.Sprintf("%s: no answer from %s", doing, s.options.Endpoint), Cause: err}
}

// stallWatch is a body whose Read fails when nothing comes for a while: a connection can be dead without an end. Time that the caller takes
// between reads does not count.
type stallWatch struct {
	from   io.ReadCloser
	limit  time.Duration
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

// watchStall returns the context for a request and the watch over it, which runs until the answer comes.
func watchStall(ctx context.Context, limit time.Duration) (context.Context, *stallWatch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &stallWatch{limit: limit, cancel: cancel}
	w.timer = time.AfterFunc(limit, func() { cancel(errStalled) })
	w.timer.Stop()
	return ctx, w
}

func (w *stallWatch) Read(p []byte) (int, error) {
	w.timer.Reset(w.limit)
	n, err := w.from.Read(p)
	w.timer.Stop()
	return n, err
}

func (w *stallWatch) Close() error {
	w.timer.Stop()
	var err error
	if w.from != nil {
		err = w.from.Close()
	}
	w.cancel(errClosed)
	return err
}
