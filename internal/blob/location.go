// Package blob keeps named objects at a location: a local folder or an S3-compatible bucket. Encryption, retries, a
// bandwidth limit and reading back are wrappers around any location.
//
// A caller may rely on three things: an object appears whole or not at all, memory stays bounded whatever its size, and
// every error has a kind that says what to do about it. What the bytes mean is none of this room's business. It never
// deletes or renames an object that it was not told to.
package blob

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/holdfast/holdfast"
)

// Location keeps named objects. Every implementation and every wrapper passes the suite in blobtest.
//
// All methods may be called at the same time. A name is checked with CheckName before anything else; a wrong one is Invalid.
// A location that is out of reach is Unavailable, one that refuses who we are is Unauthenticated or NotAllowed, damaged bytes are
// Corrupt, and a full disk is Precondition. Only Unavailable, Busy and Timeout are worth trying again.
type Location interface {
	// Put keeps everything that r gives under name, whole or not at all: when it returns an error (also r's own), an object of that name
	// is what it was before. What it returns is durable. An object that exists is replaced, or with IfAbsent kept, and the answer is Conflict.
	Put(ctx context.Context, name string, r io.Reader, opts PutOptions) (Info, error)

	// Get gives the bytes from offset on: at most length of them, or up to the end when length is negative. An offset at the end gives
	// no bytes and one beyond it is Invalid; an object that does not exist is NotFound. The caller closes the reader; a read after ctx has ended fails.
	Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error)

	// Stat describes the object, without its hash. One that does not exist is NotFound.
	Stat(ctx context.Context, name string) (Info, error)

	// List gives every object whose name begins with prefix, in the order of the names' bytes. It asks the location while it is ranged
	// over; the first error is the last thing it gives. Objects put or deleted meanwhile may or may not appear.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]

	// Delete removes the object. One that does not exist is no error.
	Delete(ctx context.Context, name string) error
}

// PutOptions are what Put can be told. The zero value replaces whatever is there with as many bytes as come.
type PutOptions struct {
	IfAbsent bool  // keep an object that exists and answer Conflict
	Size     int64 // when positive, exactly how many bytes come: any other number fails and keeps nothing
	Expect   int64 // when Size is not known, roughly how many bytes to expect; a location may choose its part size by it

	// LockedUntil asks the location to refuse, until then, whoever wants to destroy what is put, us included. Zero: no lock. A location that
	// knows no locks, which is every folder and every bucket that was made without object lock, is Precondition.
	LockedUntil time.Time
}

// Info describes an object.
type Info struct {
	Name   string
	Size   int64     // bytes that Get gives; -1 where only opening the object could tell (a listing of an encrypted location)
	Stored int64     // bytes that it takes at the location; -1 in Put's answer where the location does not say
	SHA256 string    // of the bytes that Put was given, in hex; empty from Stat and List
	Time   time.Time // when it was put, by the location's clock; zero in Put's answer
	Looked bool      // in Put's answer to IfAbsent: the location cannot refuse, so it was only looked before, and another Put at the same moment may have won as well
}

// maxName is the longest name: S3 allows 1024 bytes for the key, of which the location's prefix takes some.
const maxName = 800

// CheckName says whether name can name an object: parts of letters, digits, dot, underscore and hyphen, joined by slashes. A part
// does not begin with a dot, so that a location can keep its own files beside the objects, and is at most 200 bytes long.
//
// No name may be a folder of another one (a and a/b): a file system cannot keep both. Put answers such a name with Conflict where it matters.
func CheckName(name string) error {
	if name == "" || len(name) > maxName {
		return invalidName(name, "a name has 1 to 800 bytes")
	}
	for part := range strings.SplitSeq(name, "/") {
		if why := checkPart(part); why != "" {
			return invalidName(name, why)
		}
	}
	return nil
}

// CheckPrefix says whether prefix can be the beginning of a name. The empty prefix begins every name.
func CheckPrefix(prefix string) error {
	folder, rest := splitPrefix(prefix)
	if folder != "" {
		if err := CheckName(folder); err != nil {
			return err
		}
	}
	if rest != "" {
		return CheckName(rest)
	}
	return nil
}

// splitPrefix splits at the last slash: the folder to look in, and what names in it begin with.
func splitPrefix(prefix string) (folder, rest string) {
	i := strings.LastIndexByte(prefix, '/')
	if i < 0 {
		return "", prefix
	}
	if i == 0 {
		return "/", prefix[1:] // refused by CheckName
	}
	return prefix[:i], prefix[i+1:]
}

func checkPart(part string) string {
	switch {
	case part == "":
		return "a part between slashes is empty"
	case len(part) > 200:
		return "a part has at most 200 bytes"
	case part[0] == '.':
		return "a part begins with a dot"
	}
	for _, c := range []byte(part) {
		if !isNameByte(c) {
			return "only letters, digits, dot, underscore, hyphen and slash are allowed"
		}
	}
	return ""
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
}

func invalidName(name, why string) error {
	return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("%q cannot name an object: %s", name, why)}
}

func notFound(name string, cause error) error {
	return &holdfast.Error{Kind: holdfast.NotFound, Message: fmt.Sprintf("object %s does not exist", name), Cause: cause}
}

func exists(name string, cause error) error {
	return &holdfast.Error{Kind: holdfast.Conflict, Message: fmt.Sprintf("object %s exists already", name), Cause: cause}
}

func noLock(name string, cause error) error {
	return &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("cannot lock object %s: this location has no object lock", name), Hint: "use a bucket that was made with object lock, or turn the lock off", Cause: cause}
}

func beyondEnd(name string, offset, size int64) error {
	return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("object %s has %d bytes; there is nothing at %d", name, size, offset)}
}

func checkRange(name string, offset int64) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if offset < 0 {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("cannot read object %s from %d", name, offset)}
	}
	return nil
}
