package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast/holdfast"
)

const (
	// patience is how long a job is followed without an answer: the control plane may be restarting, and the job goes on.
	patience   = 30 * time.Second
	firstPause = 100 * time.Millisecond
	longPause  = 2 * time.Second
	// silence is after what time without a byte a stream counts as dead. The server says something every HeartbeatEvery.
	silence = 3 * HeartbeatEvery
)

// HeartbeatEvery is how often the server writes to a stream of events that has nothing to tell.
const HeartbeatEvery = 15 * time.Second

// FollowJob calls see with each new state of a job and returns its final one. It bears a restart of the server. The error is
// about following it only; how the job ended is for Job.Err to say.
func (c *Client) FollowJob(ctx context.Context, id string, see func(Job)) (Job, error) {
	var last Job
	heard, pause := time.Now(), firstPause
	for {
		err := c.events(ctx, id, func(j Job) {
			last, heard, pause = j, time.Now(), firstPause
			see(j)
		})
		switch {
		case last.Final():
			return last, nil
		case ctx.Err() != nil:
			return last, ctx.Err()
		case err != nil && holdfast.KindOf(err) != holdfast.Unavailable:
			return last, err
		case time.Since(heard) > patience:
			if err == nil {
				err = &holdfast.Error{Kind: holdfast.Unavailable, Message: "the server stopped telling about job " + id, Hint: "`holdfast job watch " + id + "` tries again"}
			}
			return last, err
		}
		select {
		case <-ctx.Done():
			return last, ctx.Err()
		case <-time.After(pause):
			pause = min(2*pause, longPause)
		}
	}
}

// events reads one stream of a job's states until it ends.
func (c *Client) events(ctx context.Context, id string, see func(Job)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	res, err := c.send(ctx, http.MethodGet, Path(JobEventsPath, id), "text/event-stream", nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	dead := time.AfterFunc(silence, cancel)
	defer dead.Stop()
	return readEvents(res.Body, func() { dead.Reset(silence) }, func(event string, data []byte) error {
		if event != "job" {
			return nil // a newer server may say more than this client knows
		}
		var j Job
		if err := json.Unmarshal(data, &j); err != nil {
			return fmt.Errorf("read the state of job %s: %w", id, err)
		}
		see(j)
		return nil
	})
}

// readEvents reads a stream of server-sent events. A stream that is cut is no error: the caller sees that the job is not final.
// alive is called with every line, heartbeats included.
func readEvents(r io.Reader, alive func(), see func(event string, data []byte) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), 1<<20)
	event, data := "message", []byte(nil)
	for lines.Scan() {
		alive()
		line := lines.Text()
		if line == "" {
			if data != nil {
				if err := see(event, data); err != nil {
					return err
				}
			}
			event, data = "message", nil
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			event = value
		case "data":
			if data != nil {
				data = append(data, '\n')
			}
			data = append(data, value...)
		}
	}
	return nil
}
