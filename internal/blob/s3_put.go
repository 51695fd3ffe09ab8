package blob

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast/holdfast"
)

// Put implements Location. A stream whose size is neither given nor expected can have 10000 parts: 80 GB with parts of 8 MiB.
func (s *S3) Put(ctx context.Context, name string, r io.Reader, opts PutOptions) (Info, error) {
	if err := CheckName(name); err != nil {
		return Info{}, err
	}
	if opts.IfAbsent {
		// Saves an upload in vain. An answer other than yes settles nothing: some keys may write but not look.
		if _, err := s.Stat(ctx, name); err == nil {
			return Info{}, exists(name, nil)
		}
	}
	src := newSource(ctx, r, opts)
	partSize := s.partSize(opts)
	first, ended, err := readPart(src, nil, partSize)
	switch {
	case err != nil:
		err = fmt.Errorf("put %s: %w", name, err)
	case ended:
		err = s.putWhole(ctx, name, first, opts)
	default:
		err = s.putParts(ctx, name, src, first, partSize, opts)
	}
	if err != nil {
		return Info{}, err
	}
	info := src.info(name)
	info.Stored, info.Looked = info.Size, opts.IfAbsent && s.looks.Load()
	return info, nil
}

// partSize is the smallest size in whole MiB with which the object fits in the parts allowed, and at least the one set.
func (s *S3) partSize(opts PutOptions) int64 {
	size := opts.Size
	if size <= 0 {
		size = opts.Expect + opts.Expect/4 // an estimate may be too low
	}
	least := (size/s3MaxParts + 1<<20) &^ (1<<20 - 1)
	return min(max(s.options.PartSize, least), s3MaxPart)
}

// readPart reads up to size bytes into buf, which it makes as large as there is something to hold. ended says that the source has no more.
func readPart(src io.Reader, buf []byte, size int64) (part []byte, ended bool, err error) {
	buf = buf[:0]
	for int64(len(buf)) < size {
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), min(size, max(64<<10, 2*int64(cap(buf)))))
			copy(grown, buf)
			buf = grown
		}
		n, err := src.Read(buf[len(buf):min(int64(cap(buf)), size)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			return buf, true, nil
		}
		if err != nil {
			return nil, false, err
		}
	}
	return buf, false, nil
}

func sha256Hex(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// putWhole puts an object by one request.
func (s *S3) putWhole(ctx context.Context, name string, data []byte, asked PutOptions) error {
	put := func(conditional bool) error {
		opts := objectOptions(asked)
		opts.DisableContentSha256 = true // the hash of the whole body instead of one per chunk
		if conditional {
			opts.SetMatchETagExcept("*")
		}
		sendCtx, cancel := s.sendContext(ctx, len(data))
		defer cancel()
		_, err := s.client.PutObject(sendCtx, s.options.Bucket, s.prefix+name, bytes.NewReader(data), int64(len(data)), md5OfLocked(data, asked), sha256Hex(data), opts)
		return s.failedLock(asked, name, s.failed(ctx, "cannot put object "+name, name, err))
	}
	if !asked.IfAbsent {
		return put(false)
	}
	// After a lost answer another try would find our own object and call it somebody else's; only who has the source can tell.
	return s.conditionally(ctx, name, func(err error) bool { return holdfast.KindOf(err) == holdfast.Busy }, put)
}

// contentType of every object: nobody but us reads them by their type.
const contentType = "application/octet-stream"

// objectOptions are what the object itself is told, by one request or at the beginning of a multipart upload.
func objectOptions(asked PutOptions) minio.PutObjectOptions {
	opts := minio.PutObjectOptions{ContentType: contentType}
	if !asked.LockedUntil.IsZero() {
		opts.Mode, opts.RetainUntilDate = minio.Compliance, asked.LockedUntil.UTC()
	}
	return opts
}

// md5OfLocked is the header without which S3 takes no object with a lock.
func md5OfLocked(data []byte, asked PutOptions) string {
	if asked.LockedUntil.IsZero() {
		return ""
	}
	sum := md5.Sum(data)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// failedLock tells an object lock that the bucket does not know from other errors.
func (s *S3) failedLock(asked PutOptions, name string, err error) error {
	switch response := responseOf(err); {
	case asked.LockedUntil.IsZero():
	case response.Code == minio.InvalidArgument, response.Code == "InvalidRequest", response.Code == "InvalidBucketObjectLockConfiguration", response.Code == minio.NotImplemented:
		return noLock(name, err)
	}
	return err
}

// conditionally calls put with a condition, again while the server cannot decide between several, and without one where the server does not
// know conditions; Put has looked before.
func (s *S3) conditionally(ctx context.Context, name string, worth func(error) bool, put func(conditional bool) error) error {
	err := s.options.Parts.do(ctx, worth, func(int) error {
		err := put(true)
		if response := responseOf(err); response.Code == "ConditionalRequestConflict" || response.StatusCode == http.StatusConflict && response.Code == "OperationAborted" {
			return &holdfast.Error{Kind: holdfast.Busy, Message: fmt.Sprintf("object %s is being put by somebody else", name), Cause: err}
		}
		return err
	})
	if response := responseOf(err); response.StatusCode == http.StatusNotImplemented || response.Code == minio.NotImplemented {
		s.looks.Store(true)
		if _, statErr := s.Stat(ctx, name); holdfast.KindOf(statErr) != holdfast.NotFound {
			if statErr == nil {
				return exists(name, err)
			}
			return statErr
		}
		return put(false)
	}
	return err
}

// sendContext bounds a request that sends size bytes: a server that takes nothing for Stalled, or less than 32 KiB a second, is out of reach.
func (s *S3) sendContext(ctx context.Context, size int) (context.Context, context.CancelFunc) {
	limit := 2*s.options.Stalled + time.Duration(size/(32<<10))*time.Second
	return context.WithTimeoutCause(ctx, limit, errStalled)
}

// putParts puts an object by a multipart upload, and aborts that when it fails.
func (s *S3) putParts(ctx context.Context, name string, src *source, first []byte, partSize int64, asked PutOptions) error {
	var uploadID string
	err := s.options.Parts.do(ctx, transient, func(int) (err error) {
		uploadID, err = s.client.NewMultipartUpload(ctx, s.options.Bucket, s.prefix+name, objectOptions(asked))
		return s.failedLock(asked, name, s.failed(ctx, "cannot begin the upload of "+name, name, err))
	})
	if err != nil {
		return err
	}
	parts, err := s.sendParts(ctx, name, uploadID, src, first, partSize)
	if err == nil {
		err = s.complete(ctx, name, uploadID, parts, asked.IfAbsent)
	}
	if err != nil {
		// The caller's context may be what ended the upload.
		abortCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		_ = s.client.AbortMultipartUpload(abortCtx, s.options.Bucket, s.prefix+name, uploadID)
	}
	return err
}

// sendParts reads the source part by part while earlier parts are on their way.
func (s *S3) sendParts(ctx context.Context, name, uploadID string, src *source, first []byte, partSize int64) ([]minio.CompletePart, error) {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(s.options.Uploads)
	sendCtx, stop := withGrace(groupCtx, 5*time.Second)
	defer stop()
	free := make(chan []byte, s.options.Uploads+1)
	var parts []*minio.CompletePart
	part, ended := first, false
	for len(part) > 0 {
		if len(parts) == s3MaxParts {
			_ = group.Wait()
			return nil, &holdfast.Error{Kind: holdfast.TooMany, Message: fmt.Sprintf("object %s is larger than %d parts of %d MiB", name, s3MaxParts, partSize>>20),
				Hint: "set a larger part size for the location"}
		}
		sent := &minio.CompletePart{PartNumber: len(parts) + 1}
		parts = append(parts, sent)
		data := part
		group.Go(func() error {
			err := s.sendPart(groupCtx, sendCtx, name, uploadID, sent, data)
			free <- data
			return err
		})
		if ended || groupCtx.Err() != nil {
			break
		}
		var spare []byte
		select {
		case spare = <-free:
		default:
		}
		var err error
		if part, ended, err = readPart(src, spare, partSize); err != nil {
			_ = group.Wait()
			return nil, fmt.Errorf("put %s: %w", name, err)
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if !ended { // the context ended after the last part that was read had been sent
		return nil, fmt.Errorf("put %s: %w", name, ctx.Err())
	}
	all := make([]minio.CompletePart, len(parts))
	for i, part := range parts {
		all[i] = *part
	}
	return all, nil
}

// withGrace returns a context that ends a while after ctx does. A part that is cut off on its way may reach a server after the abort of its upload,
// and some servers (versitygw is one) then bring the upload back, for good.
func withGrace(ctx context.Context, grace time.Duration) (context.Context, func()) {
	graceful, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-graceful.Done():
		}
	})
	return graceful, func() {
		stop()
		cancel()
	}
}

// sendPart uploads one part. No try begins after ctx has ended; the one under way ends with sendCtx.
func (s *S3) sendPart(ctx, sendCtx context.Context, name, uploadID string, part *minio.CompletePart, data []byte) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("put %s: %w", name, err)
	}
	sum := sha256Hex(data)
	return s.options.Parts.do(ctx, transient, func(int) error {
		tryCtx, cancel := s.sendContext(sendCtx, len(data))
		defer cancel()
		sent, err := s.client.PutObjectPart(tryCtx, s.options.Bucket, s.prefix+name, uploadID, part.PartNumber, bytes.NewReader(data), int64(len(data)),
			minio.PutObjectPartOptions{Sha256Hex: sum, DisableContentSha256: true})
		part.ETag = sent.ETag
		return s.failed(ctx, fmt.Sprintf("cannot upload part %d of %s", part.PartNumber, name), name, err)
	})
}

// complete makes the parts an object. When the answer to a first try is lost, a second one says that the upload or the condition is gone: then
// the object's ETag tells whether it is ours.
func (s *S3) complete(ctx context.Context, name, uploadID string, parts []minio.CompletePart, ifAbsent bool) error {
	uncertain := false
	once := func(conditional bool) error {
		var opts minio.PutObjectOptions
		if conditional {
			opts.SetMatchETagExcept("*")
		}
		_, err := s.client.CompleteMultipartUpload(ctx, s.options.Bucket, s.prefix+name, uploadID, parts, opts)
		if uncertain && err != nil && s.isMadeOf(ctx, name, parts) {
			return nil
		}
		uncertain = uncertain || err != nil && responseOf(err).StatusCode == 0
		return s.failed(ctx, "cannot complete the upload of "+name, name, err)
	}
	if ifAbsent {
		return s.conditionally(ctx, name, transient, once)
	}
	return s.options.Parts.do(ctx, transient, func(int) error { return once(false) })
}

// isMadeOf says whether the object has the ETag that a multipart upload of these parts gives: the MD5 of the parts' MD5s and their number.
func (s *S3) isMadeOf(ctx context.Context, name string, parts []minio.CompletePart) bool {
	sum := md5.New()
	for _, part := range parts {
		raw, err := hex.DecodeString(part.ETag)
		if err != nil {
			return false
		}
		sum.Write(raw)
	}
	object, err := s.client.StatObject(ctx, s.options.Bucket, s.prefix+name, minio.StatObjectOptions{})
	return err == nil && strings.EqualFold(object.ETag, hex.EncodeToString(sum.Sum(nil))+"-"+strconv.Itoa(len(parts)))
}
