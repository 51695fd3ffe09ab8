package backup

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/holdfast/holdfast"
)

// pack returns a writer that packs what is written to it. Closing it ends the packed bytes and leaves w open.
func pack(w io.Writer, how holdfast.Compression) (io.WriteCloser, error) {
	method, level := how.Split()
	switch method {
	case holdfast.NoCompression:
		return struct {
			io.Writer
			io.Closer
		}{w, io.NopCloser(nil)}, nil
	case holdfast.Gzip:
		if level == 0 {
			level = 3 // twice the speed of the usual 6 for a tenth more bytes
		}
		return gzip.NewWriterLevel(w, level)
	case holdfast.Zstd:
		if level == 0 {
			level = 3
		}
		return zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(4<<20))
	}
	return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("%s cannot be used here", method)}
}

var (
	gzipMagic = []byte{0x1f, 0x8b}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
	lz4Magic  = []byte{0x04, 0x22, 0x4d, 0x18}
)

// unpack recognizes packed bytes by their magic and gives what is in them. Damage is Corrupt. The caller closes it; r stays open.
func unpack(r io.Reader) (io.ReadCloser, holdfast.Compression, error) {
	b := bufio.NewReaderSize(r, jsonBuffer)
	magic, err := b.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, "", err
	}
	switch {
	case bytes.HasPrefix(magic, gzipMagic):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, "", damaged(err)
		}
		return unpacked{z, z.Close}, holdfast.Gzip, nil
	case bytes.HasPrefix(magic, zstdMagic):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, "", damaged(err)
		}
		return unpacked{z, func() error { z.Close(); return nil }}, holdfast.Zstd, nil
	case bytes.HasPrefix(magic, lz4Magic):
		return nil, "", &holdfast.Error{Kind: holdfast.Precondition, Message: "the file is packed with lz4", Hint: "unpack it with: lz4 -d FILE"}
	}
	return io.NopCloser(b), holdfast.NoCompression, nil
}

type unpacked struct {
	r     io.Reader
	close func() error
}

func (u unpacked) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = damaged(err)
	}
	return n, err
}

func (u unpacked) Close() error { return u.close() }

// damaged is the error of a decoder; errors of the reader below it keep their kind.
func damaged(err error) error {
	var known *holdfast.Error
	if errors.As(err, &known) {
		return err
	}
	message := "the packed file is damaged"
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		message = "the packed file ends early"
	}
	return &holdfast.Error{Kind: holdfast.Corrupt, Message: message, Cause: err}
}
