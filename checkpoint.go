package holdfast

import (
	"fmt"
	"time"
	"unicode/utf8"
)

// CheckpointID identifies a checkpoint for good.
type CheckpointID string

// CheckpointReason is why a checkpoint was made.
type CheckpointReason string

// The reasons. Manual is a person's; the others are made by the product before it does something, or each day.
const (
	ManualCheckpoint        CheckpointReason = "manual"
	DailyCheckpoint         CheckpointReason = "daily"
	BeforePublishCheckpoint CheckpointReason = "before_publish"
	BeforeRestoreCheckpoint CheckpointReason = "before_restore"
	BeforeSyncCheckpoint    CheckpointReason = "before_sync"
	BeforeRemovalCheckpoint CheckpointReason = "before_removal"
	BeforeAgentCheckpoint   CheckpointReason = "before_agent" // at most one a minute while an agent writes
)

// Checkpoint is a named moment of a branch: a manifest, not a copy, so making one takes milliseconds whatever the size. It can be
// restored as long as the branch's history reaches back to it; a pinned one is kept until it is unpinned, and one with a KeptUntil until then,
// both with the history that they need.
type Checkpoint struct {
	ID                CheckpointID
	BranchID          BranchID
	Lineage           string // which of the lineages of the branch's data; see docs/formats/repository.md
	Timeline          uint32 // PostgreSQL's
	LSN               LSN
	At                time.Time
	Label             string
	Reason            CheckpointReason
	SchemaFingerprint string // empty: not known
	Code              string // the commit of the code that belonged to this moment; empty: not known
	Pinned            bool
	KeptUntil         time.Time // zero: as long as the branch's history reaches back to it
	Lost              string    // why it cannot be restored, as things are; empty: it can. Found out when it is read, never kept
}

// KeptBeyond says whether the checkpoint stays at a moment though the branch's window does not reach back to it.
func (c Checkpoint) KeptBeyond(now time.Time) bool { return c.Pinned || c.KeptUntil.After(now) }

// MaxCheckpointLabel is the longest label, in bytes: PostgreSQL keeps the names of restore points in 64 bytes.
const MaxCheckpointLabel = 63

// CheckCheckpointLabel says whether label can be a checkpoint's. It may be empty.
func CheckCheckpointLabel(label string) error {
	if len(label) > MaxCheckpointLabel || !utf8.ValidString(label) {
		return &Error{Kind: Invalid, Message: fmt.Sprintf("a checkpoint's label has at most %d bytes of UTF-8", MaxCheckpointLabel)}
	}
	for _, r := range label {
		if r < ' ' || r == 0x7F {
			return &Error{Kind: Invalid, Message: "a checkpoint's label has no control characters"}
		}
	}
	return nil
}
