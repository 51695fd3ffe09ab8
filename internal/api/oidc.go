package api

import (
	"context"
	"net/http"
)

// OIDC is an OpenID Connect provider that people may sign in with.
type OIDC struct {
	Name        string `json:"name" doc:"What the button says." example:"Example Inc."`
	Issuer      string `json:"issuer" example:"https://login.example.com"`
	ClientID    string `json:"client_id"`
	RedirectURL string `json:"redirect_url" doc:"What the provider has to know as an address to send browsers back to."`
}

// OIDCChange names a provider.
type OIDCChange struct {
	Name         string `json:"name" minLength:"1" maxLength:"60" example:"Example Inc." doc:"What the button says."`
	Issuer       string `json:"issuer" minLength:"1" maxLength:"500" example:"https://127.0.0.1:1" doc:"As the provider calls itself, with https://."`
	ClientID     string `json:"client_id" minLength:"1" maxLength:"500" example:"holdfast"`
	ClientSecret string `json:"client_secret,omitempty" maxLength:"500" example:"secret" doc:"Left out: the one that is there, if the issuer stays."`
}

// LoginCode is the second factor of somebody who comes from the provider.
type LoginCode struct {
	Code string `json:"code" minLength:"6" maxLength:"40" example:"123456" doc:"Of the authenticator, or a recovery code."`
}

// LoginMethods says how one can sign in besides a password.
type LoginMethods struct {
	OIDC string `json:"oidc" doc:"The name of the provider; empty where there is none."`
}

// OIDC shows the provider that people may sign in with.
func (c *Client) OIDC(ctx context.Context) (OIDC, error) {
	return call[OIDC](ctx, c, http.MethodGet, OIDCPath, nil)
}

// SetOIDC names the provider that people may sign in with.
func (c *Client) SetOIDC(ctx context.Context, ask OIDCChange) (OIDC, error) {
	return call[OIDC](ctx, c, http.MethodPut, OIDCPath, ask)
}

// RemoveOIDC lets people sign in with passwords only.
func (c *Client) RemoveOIDC(ctx context.Context) error {
	return c.do(ctx, http.MethodDelete, OIDCPath, nil, nil)
}
