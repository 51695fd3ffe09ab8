package notify

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"github.com/holdfast/holdfast"
)

// hosted are services of which shoutrrr knows the one public address: whatever the user writes, nothing else is asked.
var hosted = []string{"discord", "slack", "telegram", "pushover", "pushbullet", "ifttt", "join"}

// guarded are services on hosts that the user names, and that let us make the connections.
var guarded = []string{"ntfy", "pagerduty", "mattermost"}

// replaced are services that a kind of channel of our own does better.
var replaced = map[string]string{"smtp": "email", "generic": "webhook", "logger": "webhook"}

// chatService is the name of the service, or why the channel may not use it. shoutrrr makes its connections by itself: of a service
// on a host that the user names, and whose connections we cannot guard, the channel must be allowed to reach anything.
func chatService(c holdfast.Channel, secret holdfast.ChannelSecret) (string, error) {
	u, err := url.Parse(secret.URL)
	if err != nil {
		return "", &holdfast.Error{Kind: holdfast.Invalid, Message: "the address of a chat service makes no sense", Hint: "it is written as shoutrrr has it: slack://..., telegram://..."}
	}
	name, _, _ := strings.Cut(strings.ToLower(u.Scheme), "+")
	if kind := replaced[name]; kind != "" {
		return "", &holdfast.Error{Kind: holdfast.Invalid, Message: name + " is not for chat channels", Hint: "make a channel of kind " + kind}
	}
	if _, err := new(router.ServiceRouter).NewService(name); err != nil {
		return "", &holdfast.Error{Kind: holdfast.Invalid, Message: "there is no chat service " + name, Hint: "docs/alerts.md lists them"}
	}
	if !c.AllowPrivate && !slices.Contains(hosted, name) && !slices.Contains(guarded, name) {
		return "", &holdfast.Error{Kind: holdfast.NotAllowed, Message: "the service " + name + " connects to whatever its address names",
			Hint: "an admin of the installation may allow that for the channel: --allow-private"}
	}
	return name, nil
}

func (s *Sender) chat(ctx context.Context, c holdfast.Channel, secret holdfast.ChannelSecret, n holdfast.Notice) error {
	name, err := chatService(c, secret)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { // it takes no context, but its own time-outs end it
		service, err := new(router.ServiceRouter).Locate(secret.URL)
		if err == nil {
			err = s.deliver(c, name, service, n)
		}
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Sender) deliver(c holdfast.Channel, name string, service types.Service, n holdfast.Notice) error {
	service.SetLogger(log.New(io.Discard, "", 0)) // it would write addresses, which are secrets
	if slices.Contains(guarded, name) && !s.guardService(c, service) {
		return errors.New("the connections of " + name + " cannot be guarded")
	}
	params := types.Params{"title": n.Title()}
	return service.Send(n.Title()+"\n"+n.Text(), &params)
}

// guardService makes a service connect as the guard says; false where it offers no way.
func (s *Sender) guardService(c holdfast.Channel, service types.Service) bool {
	switch service := service.(type) {
	case interface{ SetHTTPClient(*http.Client) }:
		service.SetHTTPClient(s.client(c))
		return true
	case interface{ GetHTTPClient() *http.Client }:
		client := service.GetHTTPClient()
		if client == nil {
			return false
		}
		*client = *s.client(c)
		return true
	}
	return false
}
