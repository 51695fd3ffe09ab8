package platform

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/store"
)

const (
	firstRetry  = 10 * time.Second
	longestWait = 30 * time.Minute
	// giveUpAfter is how long a notice is tried: what is older helps nobody, and the alert itself is still there.
	giveUpAfter = 3 * 24 * time.Hour
)

// tellChannels sends what is on its way and beats the hearts until ctx ends.
func (p *Platform) tellChannels(ctx context.Context) {
	if p.notify == nil {
		return
	}
	for {
		wait, err := p.sendNotices(ctx)
		if err != nil && ctx.Err() == nil {
			p.log.Warn("send notices of alerts", "err", err)
		}
		next, err := p.beat(ctx)
		if err != nil && ctx.Err() == nil {
			p.log.Warn("send heartbeats", "err", err)
		}
		timer := time.NewTimer(min(wait, next))
		select {
		case <-timer.C:
		case <-p.alerts.send:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// sendNotices sends what is due, to each channel in the order in which it was written, and says when the next is.
func (p *Platform) sendNotices(ctx context.Context) (wait time.Duration, err error) {
	var all []store.Notice
	var channels []store.Channel
	err = p.store.View(ctx, func(tx *store.Tx) (err error) {
		if all, err = tx.Notices(); err != nil || len(all) == 0 {
			return err
		}
		channels, err = tx.Channels()
		return err
	})
	if err != nil {
		return alertTick, err
	}
	queues := map[holdfast.ChannelID][]store.Notice{}
	for _, n := range all {
		queues[n.ChannelID] = append(queues[n.ChannelID], n)
	}
	wait = alertTick
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, c := range channels {
		wg.Go(func() { // one receiver that is slow keeps nobody else waiting
			again := p.sendQueue(ctx, c, queues[c.ID])
			mu.Lock()
			defer mu.Unlock()
			wait = min(wait, again)
		})
	}
	wg.Wait()
	return wait, nil
}

// sendQueue sends a channel's notices until one does not arrive: a "resolved" must not come before its "firing".
func (p *Platform) sendQueue(ctx context.Context, c store.Channel, queue []store.Notice) time.Duration {
	for _, n := range queue {
		now := p.now()
		if wait := n.NextAt.Sub(now); wait > 0 {
			return max(wait, time.Second)
		}
		sent := p.notify.Send(ctx, c.Channel, c.Secret, n.Notice)
		if sent != nil && ctx.Err() != nil {
			return alertTick
		}
		retry := firstRetry << min(n.Attempts, 16)
		retry = min(retry, longestWait)
		giveUp := sent != nil && now.Sub(n.CreatedAt) > giveUpAfter
		ctx := context.WithoutCancel(ctx) // what arrived is not sent again because this program stops meanwhile
		err := p.store.Update(ctx, func(tx *store.Tx) error {
			if sent == nil || giveUp {
				return tx.DeleteNotice(n.Seq)
			}
			return tx.RetryNotice(n.Seq, n.Attempts+1, now.Add(retry))
		})
		if err == nil {
			err = p.noteChannel(ctx, c, sent)
		}
		switch {
		case err != nil:
			p.log.Warn("write down what became of a notice", "channel", c.Name, "err", err)
			return firstRetry // it is sent again: better twice than never
		case giveUp:
			p.log.Warn("a notice is given up", "channel", c.Name, "notice", n.Title(), "err", sent)
		case sent != nil:
			p.log.Info("a notice did not arrive; trying again", "channel", c.Name, "attempt", n.Attempts+1, "err", sent)
			return retry
		}
	}
	return alertTick
}

// noteChannel records whether something arrived, and since when nothing does.
func (p *Platform) noteChannel(ctx context.Context, c store.Channel, sent error) error {
	return p.store.Update(ctx, func(tx *store.Tx) error {
		if sent == nil {
			return tx.NoteChannel(c.ID, p.now(), "")
		}
		return tx.NoteChannel(c.ID, p.now(), sent.Error())
	})
}

// beat asks the addresses of heartbeats that are due, unless something fires that they hear of, or nobody looked for long.
func (p *Platform) beat(ctx context.Context) (next time.Duration, err error) {
	var channels []store.Channel
	var firing []holdfast.Alert
	err = p.store.View(ctx, func(tx *store.Tx) (err error) {
		if channels, err = tx.Channels(); err != nil {
			return err
		}
		firing, err = tx.FiringAlerts()
		return err
	})
	if err != nil {
		return alertTick, err
	}
	p.alerts.beating.Lock()
	defer p.alerts.beating.Unlock()
	now := p.now()
	p.alerts.mu.Lock()
	looked := now.Sub(p.alerts.checked) < 4*alertTick
	p.alerts.mu.Unlock()
	next = alertTick
	var wg sync.WaitGroup
	for _, c := range channels {
		if c.Kind != holdfast.Heartbeat {
			continue
		}
		if wait := p.alerts.beats[c.ID].Add(c.Every).Sub(now); wait > 0 {
			next = min(next, max(wait, time.Second))
			continue
		}
		if !looked || !allWell(c.Channel, firing, now) {
			continue
		}
		p.alerts.beats[c.ID] = now
		next = min(next, c.Every)
		wg.Go(func() { // one that is slow keeps no other waiting
			if err := p.noteChannel(ctx, c, p.notify.Beat(ctx, c.Channel, c.Secret)); err != nil && ctx.Err() == nil {
				p.log.Warn("write down what became of a heartbeat", "channel", c.Name, "err", err)
			}
		})
	}
	wg.Wait()
	return next, nil
}

// allWell says whether nothing fires that a channel would hear of. What is muted does not count.
func allWell(c holdfast.Channel, firing []holdfast.Alert, now time.Time) bool {
	for _, a := range firing {
		if hears(c, a) && !now.Before(a.MutedUntil) {
			return false
		}
	}
	return true
}
