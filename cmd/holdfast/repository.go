package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/blob"
	"github.com/holdfast/holdfast/internal/egress"
	"github.com/holdfast/holdfast/internal/history"
	"github.com/holdfast/holdfast/internal/store"
)

// localRepository is where history is kept that has no place of its own: beside the data, which helps against everything but the loss of
// the disk.
func (h *house) localRepository() holdfast.Location {
	return holdfast.Location{Name: "local", Kind: holdfast.FolderLocation, Folder: h.dir.file(repositoryDir)}
}

// openLocation opens a place where history is kept. keys hold a recipient and its identity each, the newest first.
func (h *house) openLocation(_ context.Context, l store.Location, keys [][]byte) (history.Location, error) {
	inner, err := h.openPlace(l)
	if err != nil {
		return history.Location{}, err
	}
	if l.Encrypt {
		parsed, err := repositoryKeys(keys)
		if err != nil {
			return history.Location{}, fmt.Errorf("read the project's keys: %w", err)
		}
		inner = history.Encrypted(inner, parsed)
	}
	// Retries stay outermost: only there can what is sent be read again.
	return history.Location{Name: l.Name, Location: blob.NewRetried(inner, blob.Backoff{}, h.dir.file(spoolDir))}, nil
}

func (h *house) openPlace(l store.Location) (blob.Location, error) {
	if l.Location == h.localRepository() {
		return blob.CreateFolder(l.Folder)
	}
	dial, err := h.config.guardedDial()
	if err != nil {
		return nil, err
	}
	return openRemote(l, dial)
}

// dialContext connects as net.Dialer's method does.
type dialContext func(ctx context.Context, network, address string) (net.Conn, error)

// guardedDial connects to public addresses, and into the networks that the settings allow.
func (c *serveConfig) guardedDial() (dialContext, error) {
	guard, err := c.guard()
	return guard.DialContext, err
}

// guard bounds connections to addresses that users choose.
func (c *serveConfig) guard() (egress.Guard, error) {
	allowed, err := networks("allow-network", c.AllowNetworks)
	return egress.Guard{Allow: allowed}, err
}

// openRemote opens a place that somebody else made. dial guards what the endpoint may lead to; nil: anything.
func openRemote(l store.Location, dial dialContext) (blob.Location, error) {
	if l.Kind == holdfast.FolderLocation {
		return blob.OpenFolder(l.Folder) // a folder that is not there is a disk that is not mounted
	}
	scheme := "https://"
	if l.Insecure {
		scheme = "http://"
	}
	return blob.OpenS3(blob.S3Options{Endpoint: scheme + l.Endpoint, Region: l.Region, Bucket: l.Bucket, Prefix: l.Prefix, AccessKey: l.AccessKey, SecretKey: l.Secret, PathStyle: l.PathStyle, Dial: dial})
}

// repositoryKeys puts together keys that are kept as a recipient and an identity in two lines.
func repositoryKeys(keys [][]byte) (blob.Keys, error) {
	if len(keys) == 0 {
		return blob.Keys{}, &holdfast.Error{Kind: holdfast.Precondition, Message: "the project has no key to encrypt with"}
	}
	newest, _, _ := strings.Cut(string(keys[0]), "\n")
	var identities strings.Builder
	for _, key := range keys {
		_, identity, _ := strings.Cut(string(key), "\n")
		identities.WriteString(identity + "\n")
	}
	return blob.ParseKeys(newest, identities.String())
}

// newRepositoryKey makes a key in the form that repositoryKeys reads.
func newRepositoryKey() ([]byte, error) {
	recipient, identity, err := blob.NewKey()
	return []byte(recipient + "\n" + identity), err
}

// testLocation tries out everything that a place has to be able to do.
func (h *house) testLocation(ctx context.Context, l store.Location) ([]string, error) {
	place, err := h.openPlace(l)
	if err != nil {
		return nil, err
	}
	report := blob.TestConnection(ctx, place)
	if l.LockDays > 0 && report.Err() == nil {
		blob.TestLock(ctx, place, &report)
	}
	var lines []string
	for _, step := range report.Steps {
		line := "ok      " + step.Name
		if step.Err != nil {
			line = "failed  " + step.Name + ": " + step.Err.Error()
		}
		if step.Note != "" {
			line += " (" + step.Note + ")"
		}
		lines = append(lines, line)
	}
	return lines, report.Err()
}

// abandonedAfter is longer than any upload takes: what began before was interrupted.
const abandonedAfter = 48 * time.Hour

// collectUploads removes what interrupted uploads left, which nobody sees and everybody pays for.
func (h *house) collectUploads(ctx context.Context, l store.Location) (int, error) {
	place, err := h.openPlace(l)
	if err != nil {
		return 0, err
	}
	if bucket, ok := place.(*blob.S3); ok {
		return bucket.CollectUploads(ctx, abandonedAfter)
	}
	return 0, nil // a folder removes its own when it is opened
}

// mockSecret makes the salts that unknown names are answered with. They must survive a restart as real ones do, so they come from the
// key that does.
func mockSecret(key []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("salts of unknown roles"))
	return mac.Sum(nil)
}
