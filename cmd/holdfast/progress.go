package main

import (
	"context"
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/holdfast/holdfast/internal/api"
)

// plainEvery is how often a job's progress is written as a line where nobody looks at a bar.
const plainEvery = 10 * time.Second

// follow shows a job's progress until it has ended and returns its final state with the error that it ended with.
func (c *cli) follow(ctx context.Context, client *api.Client, job api.Job) (api.Job, error) {
	see, done := c.plainProgress()
	if isTerminal(c.errOut) {
		see, done = c.barProgress()
	}
	last, err := client.FollowJob(ctx, job.ID, see)
	done()
	if err != nil {
		if ctx.Err() != nil {
			fmt.Fprintf(c.errOut, "job %s goes on; `holdfast job watch %s` shows it, `holdfast job cancel %s` ends it\n", job.ID, job.ID, job.ID)
		}
		return last, err
	}
	return last, last.Err()
}

// finishJob waits for a job, unless that is not wanted, and shows how it ended.
func (c *cli) finishJob(ctx context.Context, client *api.Client, job api.Job, wait bool, success string) error {
	if wait {
		var err error
		if job, err = c.follow(ctx, client, job); err != nil {
			return err
		}
	} else {
		success = fmt.Sprintf("job %s began; `holdfast job watch %s` shows it", job.ID, job.ID)
	}
	if c.json {
		return c.show(job, nil)
	}
	return c.say("%s", success)
}

// stepTitle is what a job is doing, or its state before it has begun with a step.
func stepTitle(j api.Job) string {
	step := j.Step
	if step == "" {
		return printable(j.State)
	}
	if j.StepCount == 0 {
		return printable(step)
	}
	return fmt.Sprintf("[%d/%d] %s", min(j.StepIndex+1, j.StepCount), j.StepCount, printable(step))
}

func (c *cli) barProgress() (see func(api.Job), done func()) {
	var bar *progressbar.ProgressBar
	title := ""
	done = func() {
		if bar != nil {
			bar.Finish()
			bar.Clear()
		}
	}
	return func(j api.Job) {
		if j.Final() {
			return
		}
		if next := stepTitle(j); bar == nil || next != title || (bar.GetMax64() > 0) != (j.Total > 0) {
			done()
			title, bar = next, c.newBar(next, j)
		}
		if j.Total > 0 {
			bar.ChangeMax64(j.Total)
			bar.Set64(min(j.Done, j.Total))
		}
	}, done
}

func (c *cli) newBar(title string, j api.Job) *progressbar.ProgressBar {
	total := j.Total
	if total <= 0 {
		total = -1 // a spinner
	}
	return progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(c.errOut),
		progressbar.OptionSetDescription(title),
		progressbar.OptionShowBytes(j.Unit == "bytes"),
		progressbar.OptionUseIECUnits(true),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionSetWidth(24),
		progressbar.OptionSpinnerType(14),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetRenderBlankState(true),
		progressbar.OptionClearOnFinish(),
	)
}

func (c *cli) plainProgress() (see func(api.Job), done func()) {
	title, written := "", time.Time{}
	return func(j api.Job) {
		next := stepTitle(j)
		if j.Final() || j.Step == "" || next == title && (j.Total <= 0 || time.Since(written) < plainEvery) {
			return
		}
		line := next
		if j.Total > 0 && j.Done > 0 {
			line += fmt.Sprintf(" %d%%", 100*j.Done/j.Total)
		}
		fmt.Fprintln(c.errOut, line)
		title, written = next, time.Now()
	}, func() {}
}
