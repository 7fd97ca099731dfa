package rest_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"gearloop/api"
	"gearloop/web/rest"
)

// document is the description of the API.
var document = sync.OnceValues(func() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromData(api.OpenAPI)
	if err == nil {
		err = doc.Validate(context.Background())
	}
	return doc, err
})

// answered are the operations whose answers tests have seen.
var answered sync.Map

// TestMain fails if no test has seen the answer of an operation, because that was not compared with the
// document.
func TestMain(m *testing.M) {
	code := m.Run()
	doc, err := document()
	if code == 0 && err == nil && wholePackage() {
		for path, item := range doc.Paths.Map() {
			for method, op := range item.Operations() {
				if _, ok := answered.Load(op.OperationID); !ok {
					fmt.Printf("no test has %s %s answered\n", method, path)
					code = 1
				}
			}
		}
	}
	os.Exit(code)
}

// wholePackage reports whether all tests run.
func wholePackage() bool {
	return !slices.ContainsFunc(os.Args, func(a string) bool {
		for _, name := range []string{"run", "skip", "list", "fuzz"} {
			if value, ok := strings.CutPrefix(a, "-test."+name+"="); ok && value != "" {
				return true
			}
		}
		return false
	})
}

// TestDocument: the document is valid OpenAPI 3.1 and has every route with its role, and nothing else.
func TestDocument(t *testing.T) {
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("version %s", doc.OpenAPI)
	}
	routes := map[string]string{}
	for _, r := range rest.Routes() {
		routes[r.Method+" /"+r.Path] = r.Role
	}
	operations, ids := map[string]string{}, map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			role, _ := op.Extensions["x-role"].(string)
			operations[method+" "+path] = role
			if ids[op.OperationID] || op.OperationID == "" || op.Summary == "" {
				t.Errorf("%s %s: operation %q has no name of its own, or no summary", method, path, op.OperationID)
			}
			ids[op.OperationID] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(routes)) {
		if role, ok := operations[key]; !ok {
			t.Errorf("the document does not have %s", key)
		} else if role != routes[key] {
			t.Errorf("%s needs the role %s; the document says %s", key, routes[key], role)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(operations)) {
		if _, ok := routes[key]; !ok {
			t.Errorf("the document has %s, which is no route", key)
		}
	}
	for name, schema := range doc.Components.Schemas {
		if !bytes.Contains(api.OpenAPI, []byte(`"#/components/schemas/`+name+`"`)) {
			t.Errorf("nothing refers to %s: %v", name, schema.Value.Description)
		}
	}
}

// TestDocumentIsServed: the client gets this document.
func TestDocumentIsServed(t *testing.T) {
	r := newRig(t)
	body, err := r.client.Stream(context.Background(), "openapi.json", nil, "application/json")
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if text, err := io.ReadAll(body); err != nil || !bytes.Equal(text, api.OpenAPI) {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}

// checked returns the path of a socket that forwards requests to another, and compares them and their answers
// with the document.
func checked(t *testing.T, socket string) string {
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "checked.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	c := &checker{TB: t, doc: doc, to: transport}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: c}}
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		transport.CloseIdleConnections()
	})
	return path
}

type checker struct {
	testing.TB
	doc *openapi3.T
	to  http.RoundTripper
}

func (c *checker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		c.Error(err)
		return
	}
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.RequestURI = "http", "localhost", ""
	out.Body = io.NopCloser(bytes.NewReader(body))
	if len(body) == 0 {
		out.Body = http.NoBody
	}
	resp, err := c.to.RoundTrip(out)
	if err != nil {
		panic(http.ErrAbortHandler) // the broker ends, or the test is over
	}
	defer resp.Body.Close()
	maps.Copy(w.Header(), resp.Header)
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		c.compare(r, body, resp, nil)
		w.WriteHeader(resp.StatusCode)
		buffer := make([]byte, 64<<10)
		for {
			n, err := resp.Body.Read(buffer)
			w.Write(buffer[:n])
			http.NewResponseController(w).Flush()
			if err != nil {
				return
			}
		}
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	c.compare(r, body, resp, text)
	w.WriteHeader(resp.StatusCode)
	w.Write(text)
}

// compare compares a request and its answer with the document. A rejected request need not conform.
func (c *checker) compare(r *http.Request, body []byte, resp *http.Response, answer []byte) {
	ctx, what := context.Background(), r.Method+" "+r.RequestURI
	route, params := c.route(r)
	if route == nil {
		if resp.StatusCode < 400 {
			c.Errorf("%s is answered with %d, and not in the document", what, resp.StatusCode)
		}
		return
	}
	again := r.Clone(ctx)
	again.Body, again.Host = io.NopCloser(bytes.NewReader(body)), ""
	in := &openapi3filter.RequestValidationInput{
		Request: again, PathParams: params, Route: route,
		Options: &openapi3filter.Options{
			MultiError: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, RejectWhenRequestBodyNotSpecified: true,
			ExcludeReadOnlyValidations: true,
		},
	}
	if err := openapi3filter.ValidateRequest(ctx, in); err != nil && resp.StatusCode < 400 {
		c.Errorf("%s %.200s is answered with %d, and the document does not allow it: %v", what, body, resp.StatusCode, err)
	}
	if answer == nil {
		in.Options.ExcludeResponseBody = true
	}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(answer)),
		Options: in.Options,
	}
	if err := openapi3filter.ValidateResponse(ctx, out); err != nil {
		c.Errorf("%s is answered with %d, %.500s, which the document does not allow: %v", what, resp.StatusCode, answer, err)
	}
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	if (resp.StatusCode >= 400) != (kind == "application/problem+json") {
		c.Errorf("%s is answered with %d as %s", what, resp.StatusCode, kind)
	}
	if resp.StatusCode < 300 && c.to != nil {
		answered.Store(route.Operation.OperationID, true)
	}
}

// route returns the operation of a request and the parameters in its path.
func (c *checker) route(r *http.Request) (*routers.Route, map[string]string) {
	segments := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/api/v1/"), "/")
paths:
	for path, item := range c.doc.Paths.Map() {
		want := strings.Split(strings.TrimPrefix(path, "/"), "/")
		if len(want) != len(segments) {
			continue
		}
		params := map[string]string{}
		for i, s := range segments {
			text, err := url.PathUnescape(s)
			if err != nil {
				return nil, nil
			}
			if name, ok := strings.CutPrefix(want[i], "{"); ok {
				params[strings.TrimSuffix(name, "}")] = text
			} else if text != want[i] {
				continue paths
			}
		}
		if op := item.GetOperation(r.Method); op != nil {
			return &routers.Route{Spec: c.doc, Server: c.doc.Servers[0], Path: path, PathItem: item, Method: r.Method, Operation: op}, params
		}
	}
	return nil, nil
}

// TestCheckerChecks: violations of the document are found.
func TestCheckerChecks(t *testing.T) {
	for what, c := range map[string]struct {
		request, body, answer string
		status                int
		faulty                bool
	}{
		"a memory":              {"GET memory", "", `{"limit_bytes":0,"parts":{"jobs":1},"heap_bytes":1,"resident_bytes":1}`, 200, false},
		"a field is missing":    {"GET memory", "", `{"limit_bytes":0,"parts":{},"heap_bytes":1}`, 200, true},
		"a field of two types":  {"GET memory", "", `{"limit_bytes":"0","parts":{},"heap_bytes":1,"resident_bytes":1}`, 200, true},
		"no such route":         {"GET memories", "", `{}`, 200, true},
		"a time that is none":   {"POST functions/f/pause", `{"until":"soon"}`, `{"changed":true,"count":1}`, 200, true},
		"a field nobody knows":  {"POST functions/f/pause", `{"untli":"2030-01-01T00:00:00Z"}`, `{"changed":true,"count":1}`, 200, true},
		"refused":               {"POST functions/f/pause", `{"untli":1}`, `{"type":"about:blank","title":"Bad Request","status":400}`, 400, false},
		"refused without words": {"POST functions/f/pause", `{"untli":1}`, `{}`, 400, true},
		"a page of nothing":     {"GET jobs?limit=5", "", `{"items":[],"looked_at":0,"as_of":"2030-01-01T00:00:00.000000001Z"}`, 200, false},
		"a limit that is none":  {"GET jobs?limit=many", "", `{"items":[],"looked_at":0,"as_of":"2030-01-01T00:00:00Z"}`, 200, true},
		"a count":               {"POST functions/f/open", "", `{"changed":true,"count":-1}`, 200, true},
	} {
		doc, err := document()
		if err != nil {
			t.Fatal(err)
		}
		seen := &counting{TB: t}
		method, path, _ := strings.Cut(c.request, " ")
		r := httptest.NewRequest(method, "/api/v1/"+path, strings.NewReader(c.body))
		r.Header.Set("Content-Type", "application/json")
		kind := "application/json"
		if c.status >= 400 {
			kind = "application/problem+json"
		}
		resp := &http.Response{StatusCode: c.status, Header: http.Header{"Content-Type": {kind}}}
		(&checker{TB: seen, doc: doc}).compare(r, []byte(c.body), resp, []byte(c.answer))
		if (seen.errors > 0) != c.faulty {
			t.Errorf("%s: %d faults", what, seen.errors)
		}
	}
}

// counting counts the violations.
type counting struct {
	testing.TB
	errors int
}

func (c *counting) Errorf(format string, args ...any) {
	c.errors++
	c.Logf(format, args...)
}
