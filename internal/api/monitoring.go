package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/holdfast/holdfast"
)

// Monitoring is what a branch's server did within a time.
type Monitoring struct {
	From       time.Time        `json:"from"`
	To         time.Time        `json:"to"`
	Step       int64            `json:"step_seconds"`
	Steps      []MonitoringStep `json:"steps" nullable:"false" doc:"Those in which the branch was awake and was measured."`
	Statements []SlowStatement  `json:"slow_statements" nullable:"false" doc:"Those that took most time, by whole hours. Empty where the branch does not count its statements, as development."`
}

// MonitoringStep sums up the measurements of a step. Counters count what happened since the measurement before.
type MonitoringStep struct {
	At             time.Time `json:"at" doc:"Its beginning."`
	Measurements   int       `json:"measurements" doc:"Minutes in which the branch was awake."`
	Connections    float64   `json:"connections" doc:"On average."`
	MaxConnections int       `json:"max_connections"`
	MaxActive      int       `json:"max_active" doc:"Sessions that ran a statement."`
	MaxInTx        int       `json:"max_idle_in_transaction"`
	MaxWaiting     int       `json:"max_waiting" doc:"Sessions that waited for a lock."`
	Size           int64     `json:"size_bytes" doc:"Of the database."`
	CacheHit       *float64  `json:"cache_hit_ratio,omitempty" minimum:"0" maximum:"1" doc:"Blocks found in PostgreSQL's cache; left out where none was read."`
	Commits        int64     `json:"commits"`
	Rollbacks      int64     `json:"rollbacks"`
	Deadlocks      int64     `json:"deadlocks"`
	TempBytes      int64     `json:"temp_bytes" doc:"Written because memory did not suffice."`
}

// SlowStatement is a kind of statement and what it took.
type SlowStatement struct {
	SQL       string  `json:"sql" doc:"Without its constants."`
	Calls     int64   `json:"calls"`
	TotalMS   float64 `json:"total_ms"`
	AverageMS float64 `json:"average_ms"`
}

// MonitoringRequest is which time to look at. The zero request is the last hour.
type MonitoringRequest struct {
	From, To time.Time
	Step     time.Duration
}

// Monitoring says what a branch did within a time. It wakes nothing.
func (c *Client) Monitoring(ctx context.Context, ref holdfast.BranchRef, ask MonitoringRequest) (Monitoring, error) {
	q := url.Values{}
	if !ask.From.IsZero() {
		q.Set("from", ask.From.UTC().Format(time.RFC3339Nano))
	}
	if !ask.To.IsZero() {
		q.Set("to", ask.To.UTC().Format(time.RFC3339Nano))
	}
	if ask.Step != 0 {
		q.Set("step", strconv.FormatInt(Seconds(ask.Step), 10))
	}
	path := refPath(MonitoringPath, ref)
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	return call[Monitoring](ctx, c, http.MethodGet, path, nil)
}
