package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/holdfast/holdfast"
)

// certificate is one that lies in two files. It is read again when they change, so that a renewed one is used without a restart.
type certificate struct {
	certFile, keyFile string

	mu      sync.Mutex
	loaded  *tls.Certificate
	changed time.Time // of the newer file, when it was loaded
}

// loadCertificate reads the files, or makes them with generate when neither names nor files are given yet.
func (d *dataDir) loadCertificate(certFile, keyFile string, generate func() (cert, key []byte, err error)) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile}
	if certFile == "" {
		c.certFile, c.keyFile = d.file(certFileName), d.file(certKeyFileName)
		if err := d.makeCertificate(c, generate); err != nil {
			return nil, err
		}
	}
	if _, err := c.get(nil); err != nil {
		return nil, &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("the certificate %s with the key %s cannot be used", c.certFile, c.keyFile),
			Hint: "both are PEM files and belong together; without --certificate one is made", Cause: err}
	}
	return c, nil
}

// makeCertificate writes the key first: a certificate that is there has its key.
func (d *dataDir) makeCertificate(c *certificate, generate func() (cert, key []byte, err error)) error {
	if _, err := os.Stat(c.certFile); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	cert, key, err := generate()
	if err != nil {
		return fmt.Errorf("make a certificate: %w", err)
	}
	if err := writeFile(c.keyFile, key, 0o600); err != nil {
		return dataDirError(d.path, err)
	}
	if err := writeFile(c.certFile, cert, 0o644); err != nil {
		return dataDirError(d.path, err)
	}
	return nil
}

// get returns the certificate as it lies in the files now. Files that are half replaced do not match; then the one from before is
// used until they do.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed, err := newest(c.certFile, c.keyFile)
	if err == nil && c.loaded != nil && changed.Equal(c.changed) {
		return c.loaded, nil
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.LoadX509KeyPair(c.certFile, c.keyFile)
	}
	if err == nil {
		c.loaded, c.changed = &pair, changed
	}
	if c.loaded != nil {
		return c.loaded, nil
	}
	return nil, err
}

// ends is when the certificate that is used now ends.
func (c *certificate) ends() (time.Time, error) {
	pair, err := c.get(nil)
	if err != nil {
		return time.Time{}, err
	}
	leaf := pair.Leaf
	if leaf == nil {
		if leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return time.Time{}, fmt.Errorf("read the certificate %s: %w", c.certFile, err)
		}
	}
	return leaf.NotAfter, nil
}

func newest(paths ...string) (time.Time, error) {
	var t time.Time
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return t, err
		}
		if info.ModTime().After(t) {
			t = info.ModTime()
		}
	}
	return t, nil
}
