package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/holdfast/holdfast"
)

// maxAnswer bounds what the client reads of one answer that is not a stream.
const maxAnswer = 64 << 20

// Client speaks to one server as one token. Its methods may be called from several goroutines. Every error is or wraps a
// *holdfast.Error: the server's own, or Unavailable when the server cannot be reached.
type Client struct {
	base  *url.URL
	token string
	agent string
	http  *http.Client
}

// NewClient returns a client of the server at base, such as http://127.0.0.1:7600. agent goes into the server's request log.
func NewClient(base, token, agent string) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("%q is not the address of a server", base), Hint: "write it as http://127.0.0.1:7600"}
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: "a server's address has no user, query or fragment", Hint: "the token goes into HOLDFAST_TOKEN"}
	}
	u.Path = strings.TrimRight(u.Path, "/")
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		MaxIdleConnsPerHost:   2,
		IdleConnTimeout:       30 * time.Second,
		ForceAttemptHTTP2:     true,
		ResponseHeaderTimeout: 0, // the caller's context bounds a request: waking a branch may take its time
	}
	return &Client{base: u, token: token, agent: agent, http: &http.Client{
		Transport: transport,
		// A redirect could carry the request's body, with a secret in it, to somewhere else. The API has none.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// URL is the server's address.
func (c *Client) URL() string { return c.base.String() }

// Close drops idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

func list[T any](ctx context.Context, c *Client, path string) ([]T, error) {
	l, err := call[List[T]](ctx, c, http.MethodGet, path, nil)
	return l.Items, err
}

func call[T any](ctx context.Context, c *Client, method, path string, in any) (T, error) {
	var out T
	err := c.do(ctx, method, path, in, &out)
	return out, err
}

// do sends a request and reads the answer into out, unless out is nil.
func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	res, err := c.send(ctx, method, path, "application/json", in)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer)) // so that the connection can be used again
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(out); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &holdfast.Error{Kind: holdfast.Unavailable, Message: "the answer of " + c.URL() + " could not be read", Hint: "check that the address is that of a Holdfast server", Cause: err}
	}
	return nil
}

// send returns the answer when it is a success; the caller closes its body.
func (c *Client) send(ctx context.Context, method, path, accept string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode the request to %s: %w", path, err)
		}
		body = bytes.NewReader(raw)
	}
	return c.transmit(ctx, method, path, accept, "application/json", body, 0)
}

// upload sends a file as it is read; size is that of all of it, 0 where it is not known.
func (c *Client) upload(ctx context.Context, path, accept, contentType string, file io.Reader, size int64) (*http.Response, error) {
	return c.transmit(ctx, http.MethodPost, path, accept, contentType, io.NopCloser(file), size)
}

func (c *Client) transmit(ctx context.Context, method, path, accept, contentType string, body io.Reader, size int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base.String()+path, body)
	if err != nil {
		return nil, fmt.Errorf("make the request to %s: %w", path, err)
	}
	req.Header.Set("Accept", accept)
	req.Header.Set("User-Agent", c.agent)
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	if size > 0 {
		req.ContentLength = size
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &holdfast.Error{Kind: holdfast.Unavailable, Message: "the server at " + c.URL() + " cannot be reached",
			Hint: "start it with `holdfast serve`, or say where it is with HOLDFAST_URL", Cause: reason(err)}
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		defer res.Body.Close()
		return nil, c.problem(res)
	}
	return res, nil
}

// reason drops the method and the URL from an error of net/http: the message names the server already.
func reason(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func (c *Client) problem(res *http.Response) error {
	media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	var p Problem
	if media == ProblemContentType || media == "application/json" {
		if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&p); err == nil && p.Code != "" {
			return p.Err()
		}
	}
	p = Problem{Status: res.StatusCode, Detail: fmt.Sprintf("%s answered %s, and not as a Holdfast server does", c.URL(), res.Status),
		Hint: "check the address, and what stands between"}
	return p.Err()
}
