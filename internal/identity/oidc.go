package identity

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// maxProviderAnswer bounds what is read of one answer of a provider.
const maxProviderAnswer = 1 << 20

// Provider is an OpenID Connect provider that was asked for its addresses and keys.
type Provider struct {
	oidc   *oidc.Provider
	config oauth2.Config
	client *http.Client
}

// Claims are what a provider says of who signed in with it.
type Claims struct {
	Issuer, Subject string
	Email           string
	EmailVerified   bool
}

// Discover asks the issuer for its description. client is what reaches the provider, now and whenever its keys or tokens are asked for.
func Discover(ctx context.Context, client *http.Client, issuer, clientID, secret string) (*Provider, error) {
	client = bounded(client)
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, client), issuer)
	if err != nil {
		return nil, fmt.Errorf("ask %s for its description: %w", issuer, err)
	}
	return &Provider{oidc: provider, client: client, config: oauth2.Config{ClientID: clientID, ClientSecret: secret, Endpoint: provider.Endpoint(), Scopes: []string{oidc.ScopeOpenID, "email"}}}, nil
}

// NewVerifier makes the secret of PKCE (RFC 7636) that ties a code to who asked for it.
func NewVerifier() string { return oauth2.GenerateVerifier() }

// AuthURL is where a browser goes to sign in. It comes back to redirect with state; the token will hold nonce.
func (p *Provider) AuthURL(redirect, state, nonce, verifier string) string {
	c := p.config
	c.RedirectURL = redirect
	return c.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier))
}

// Redeem exchanges the code that a browser came back with, and checks the token that it gives: signature, issuer, audience, time and nonce.
func (p *Provider) Redeem(ctx context.Context, redirect, code, verifier, nonce string) (Claims, error) {
	ctx = oidc.ClientContext(ctx, p.client)
	c := p.config
	c.RedirectURL = redirect
	token, err := c.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		return Claims{}, fmt.Errorf("exchange the code: %w", withoutAnswer(err))
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return Claims{}, errors.New("the provider gave no ID token")
	}
	id, err := p.oidc.Verifier(&oidc.Config{ClientID: c.ClientID}).Verify(ctx, raw)
	if err != nil {
		return Claims{}, fmt.Errorf("check the ID token: %w", err)
	}
	if nonce == "" || subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(nonce)) != 1 {
		return Claims{}, errors.New("the ID token was not made for this sign-in")
	}
	var said struct {
		Email    string `json:"email"`
		Verified bool   `json:"email_verified"`
	}
	if err := id.Claims(&said); err != nil {
		return Claims{}, fmt.Errorf("read the ID token: %w", err)
	}
	return Claims{Issuer: id.Issuer, Subject: id.Subject, Email: said.Email, EmailVerified: said.Verified}, nil
}

// withoutAnswer leaves out what a provider answered with: it may hold what was sent, and errors are logged.
func withoutAnswer(err error) error {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.Response != nil {
		return fmt.Errorf("the provider answered with %d (%s)", refused.Response.StatusCode, cutWord(refused.ErrorCode))
	}
	return err
}

// cutWord is a short word of somebody else, or none.
func cutWord(text string) string {
	for _, r := range text {
		if (r < 'a' || r > 'z') && r != '_' {
			return ""
		}
	}
	return text[:min(len(text), 40)]
}

// bounded is a client that reads no more of an answer than a provider has to say, and does not follow it elsewhere.
func bounded(client *http.Client) *http.Client {
	next := client.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	return &http.Client{Timeout: client.Timeout, Transport: shortAnswers{next}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

type shortAnswers struct{ next http.RoundTripper }

func (s shortAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := s.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(res.Body, maxProviderAnswer), res.Body}
	return res, nil
}
