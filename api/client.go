package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// Prefix is where the API stands under the address of the web listener.
const Prefix = "/api/v1/"

// maxAnswer bounds what is read of one answer, in bytes.
const maxAnswer = 64 << 20

// Client asks a broker.
type Client struct {
	base  string // ends in Prefix
	token string
	http  *http.Client
}

// NewClient returns a client for unix:PATH or an http:// or https:// address. token may be empty, config nil.
func NewClient(address, token string, config *tls.Config) (*Client, error) {
	transport := &http.Transport{TLSClientConfig: config, MaxIdleConnsPerHost: 2}
	c := &Client{token: token, http: &http.Client{Transport: transport}}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if path == "" {
			return nil, fmt.Errorf("%q: no path after unix:", address)
		}
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}
		c.base = "http://localhost" + Prefix
		return c, nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q is neither unix:PATH nor http://HOST:PORT nor https://HOST:PORT", address)
	}
	c.base = strings.TrimSuffix(u.Scheme+"://"+u.Host+u.Path, "/") + Prefix
	return c, nil
}

// Close ends connections that are kept.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Path joins the parts of a path, each of which may hold any byte. A function whose name does not pass every
// browser, client and proxy as a part of a path is named in the query: functions/-?name=%2F.
func Path(parts ...string) string {
	escaped, query := make([]string, len(parts)), ""
	for i, p := range parts {
		escaped[i] = escape(p)
		if i == 1 && parts[0] == "functions" && !passes(p) {
			escaped[i], query = Named, "?name="+url.QueryEscape(p)
		}
	}
	return strings.Join(escaped, "/") + query
}

// Named stands in a path for the function that the query parameter name names. Without the parameter it is a
// function's name itself.
const Named = "-"

// passes reports whether a function's name arrives as it is when it is a part of a path, percent-encoded.
// Browsers and curl remove . and .. even if they are escaped; proxies decode or refuse %2F, %5C, %25 and
// control characters; a name with = at its beginning was once written otherwise in the dashboard's paths.
func passes(name string) bool {
	return name != "." && name != ".." && !strings.HasPrefix(name, "=") &&
		!strings.ContainsFunc(name, func(r rune) bool { return strings.ContainsRune(`/\%`, r) || r < ' ' || r == 0x7f })
}

// escape percent-encodes a part of a path. Unlike url.PathEscape it leaves no "." and ".." that a proxy could
// take for directories.
func escape(part string) string {
	if part == "." || part == ".." {
		return strings.ReplaceAll(part, ".", "%2E")
	}
	return url.PathEscape(part)
}

// Get reads a resource into out. path is made by Path, behind Prefix.
func (c *Client) Get(ctx context.Context, path string, query url.Values, out any) error {
	return c.do(ctx, http.MethodGet, path, query, nil, out)
}

// Post asks for an action; in and out may be nil.
func (c *Client) Post(ctx context.Context, path string, in, out any) error {
	return c.do(ctx, http.MethodPost, path, nil, in, out)
}

// Delete removes something; out may be nil.
func (c *Client) Delete(ctx context.Context, path string, out any) error {
	return c.do(ctx, http.MethodDelete, path, nil, nil, out)
}

// DeleteFor is Delete with a body, such as a Reason.
func (c *Client) DeleteFor(ctx context.Context, path string, in, out any) error {
	return c.do(ctx, http.MethodDelete, path, nil, in, out)
}

func (c *Client) do(ctx context.Context, method, path string, query url.Values, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	resp, err := c.send(ctx, method, path, query, body, "application/json")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return err
	case len(text) > maxAnswer:
		return fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s %s: the answer is not what this version expects: %w", method, path, err)
	}
	return nil
}

// Metrics reads the metrics as Prometheus does, or with a pattern those of the functions that match. The
// caller closes them.
func (c *Client) Metrics(ctx context.Context, functions string) (io.ReadCloser, error) {
	root := *c
	root.base = strings.TrimSuffix(c.base, Prefix) + "/"
	path, query := "metrics", url.Values(nil)
	if functions != "" {
		path, query = "metrics/functions", url.Values{"match": {functions}}
	}
	return root.Stream(ctx, path, query, "text/plain")
}

// Probe asks for /healthz or /readyz, by its name, and returns the text that answers it and whether all is
// well.
func (c *Client) Probe(ctx context.Context, name string, query url.Values) (text string, well bool, err error) {
	address := strings.TrimSuffix(c.base, Prefix) + "/" + name
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", false, err
	}
	resp, err := c.roundTrip(req)
	if err != nil {
		return "", false, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	switch {
	case err != nil:
		return "", false, err
	case resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusServiceUnavailable:
		return "", false, problemOf(resp, b)
	}
	return string(b), resp.StatusCode == http.StatusOK, nil
}

// Stream reads a resource as it comes, such as events or a whole argument. The caller closes it.
func (c *Client) Stream(ctx context.Context, path string, query url.Values, accept string) (io.ReadCloser, error) {
	resp, err := c.send(ctx, http.MethodGet, path, query, nil, accept)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// send sends a request and returns its answer, which is no error.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, body io.Reader, accept string) (*http.Response, error) {
	address := c.base + path
	if len(query) > 0 {
		mark := "?"
		if strings.Contains(path, mark) {
			mark = "&"
		}
		address += mark + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept+", application/problem+json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.roundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	return nil, problemOf(resp, text)
}

// roundTrip sends a request. Its error does not name the address, which is the caller's to say.
func (c *Client) roundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.http.Do(req)
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return resp, err
}

// problemOf returns the problem that an answer is about, with a body that may be something else.
func problemOf(resp *http.Response, body []byte) *Problem {
	p := &Problem{}
	if json.Unmarshal(body, p) != nil || p.Status == 0 {
		p = &Problem{Title: resp.Status, Status: resp.StatusCode}
	}
	return p
}
