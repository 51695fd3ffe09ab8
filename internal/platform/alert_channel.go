package platform

import (
	"context"
	"slices"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/store"
)

// ChannelView is a channel as its users see it: without its secrets.
type ChannelView struct {
	holdfast.Channel
	DeliveredAt time.Time // when something last arrived there
	FailedAt    time.Time // since when nothing does; zero: the last attempt succeeded
	Error       string
	Waiting     int // notices that are still to be delivered
}

// channelProject finds the project that channels belong to and says whether who may manage them; an empty name is the installation.
func (p *Platform) channelProject(ctx context.Context, who holdfast.Principal, project string) (holdfast.ProjectID, error) {
	if project == "" {
		return "", checkInstallation(who)
	}
	found, _, err := p.findProject(ctx, who, project, holdfast.MayAdmin)
	return found.ID, err
}

func (p *Platform) channels(ctx context.Context, project holdfast.ProjectID) ([]store.Channel, error) {
	var all []store.Channel
	err := p.store.View(ctx, func(tx *store.Tx) (err error) { all, err = tx.Channels(); return err })
	return slices.DeleteFunc(all, func(c store.Channel) bool { return c.ProjectID != project }), err
}

// Channels lists the alert channels of a project, or of the installation where project is empty.
func (p *Platform) Channels(ctx context.Context, who holdfast.Principal, project string) ([]ChannelView, error) {
	id, err := p.channelProject(ctx, who, project)
	if err != nil {
		return nil, err
	}
	all, err := p.channels(ctx, id)
	var out []ChannelView
	for _, c := range all {
		out = append(out, ChannelView{c.Channel, c.DeliveredAt, c.FailedAt, c.Error, c.Waiting})
	}
	return out, err
}

// SetChannel adds an alert channel or replaces the one of that name. Where the secret has no address, the one before is kept with all that
// belongs to it. A webhook that is new or has a new address gets a key unless one is given; it is returned this once.
func (p *Platform) SetChannel(ctx context.Context, who holdfast.Principal, project string, c holdfast.Channel, secret holdfast.ChannelSecret) (key string, err error) {
	id, err := p.channelProject(ctx, who, project)
	if err != nil {
		return "", err
	}
	before, err := p.channel(ctx, id, c.Name)
	found := err == nil
	if err != nil && holdfast.KindOf(err) != holdfast.NotFound {
		return "", err
	}
	if err := checkChannel(who, before.Channel, c, secret.URL != ""); err != nil {
		return "", err
	}
	if secret.URL == "" && found && before.Kind == c.Kind {
		secret = before.Secret // a password goes to no other server than the one that it was given for
	}
	c.ProjectID, c.ID, c.CreatedAt, c.Shown = id, holdfast.ChannelID(newID("chn")), p.now().UTC(), holdfast.ShownAddress(c.Kind, secret.URL)
	if found {
		c.ID, c.CreatedAt = before.ID, before.CreatedAt
	}
	if c.Severity == "" {
		c.Severity = holdfast.Warning
	}
	if c.Kind == holdfast.Heartbeat && c.Every == 0 {
		c.Every = holdfast.DefaultHeartbeat
	}
	if c.Kind == holdfast.Webhook && secret.Key == "" {
		secret.Key = newSecret("hf_webhook_")
		key = secret.Key
	}
	if p.notify == nil {
		return "", errNobody
	}
	if err := p.notify.Check(c, secret); err != nil {
		return "", err
	}
	return key, p.store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.PutChannel(store.Channel{Channel: c, Secret: secret}); err != nil {
			return err
		}
		return p.record(tx, who, "alert.channel.set", project+"/"+c.Name, map[string]any{"channel": c})
	})
}

func (p *Platform) channel(ctx context.Context, project holdfast.ProjectID, name string) (store.Channel, error) {
	all, err := p.channels(ctx, project)
	for _, c := range all {
		if c.Name == name {
			return c, nil
		}
	}
	if err == nil {
		err = &holdfast.Error{Kind: holdfast.NotFound, Message: "there is no alert channel " + name, Hint: "`holdfast alert channels list` shows what there is"}
	}
	return store.Channel{}, err
}

// DeleteChannel forgets an alert channel and what it was still to be told.
func (p *Platform) DeleteChannel(ctx context.Context, who holdfast.Principal, project, name string) error {
	id, err := p.channelProject(ctx, who, project)
	if err != nil {
		return err
	}
	c, err := p.channel(ctx, id, name)
	if err != nil {
		return err
	}
	return p.store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.DeleteChannel(c.ID); err != nil {
			return err
		}
		return p.record(tx, who, "alert.channel.delete", project+"/"+name, nil)
	})
}

// TestChannel sends a test notice and returns when the receiver has taken it, or why it has not.
func (p *Platform) TestChannel(ctx context.Context, who holdfast.Principal, project, name string) error {
	id, err := p.channelProject(ctx, who, project)
	if err != nil {
		return err
	}
	c, err := p.channel(ctx, id, name)
	if err != nil {
		return err
	}
	if p.notify == nil {
		return errNobody
	}
	n := holdfast.Notice{ID: newID("ntc"), Event: holdfast.NoticeTest, At: p.now().UTC()}
	sent := p.notify.Send(ctx, c.Channel, c.Secret, n)
	if err := p.noteChannel(ctx, c, sent); err != nil {
		return err
	}
	if sent != nil {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: "the test did not arrive at " + name + ": " + sent.Error(), Hint: holdfast.HintOf(sent)}
	}
	return nil
}
