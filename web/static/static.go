// Package static contains the files that the dashboard's pages refer to: our own style and script, and
// vendored ones in vendor (scripts/vendor-js.sh). They are served compressed, under a name that contains
// their hash, so that browsers cache them until they change.
package static

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:embed app.css app.js icon.svg vendor
var files embed.FS

// asset is a file as served.
type asset struct {
	kind       string
	plain      []byte
	compressed []byte
	name       string // including its hash
}

var assets = sync.OnceValue(func() map[string]*asset {
	all := map[string]*asset{}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		kind := map[string]string{
			".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
		}[path.Ext(name)]
		if err != nil || kind == "" {
			return err
		}
		a := &asset{kind: kind}
		if a.plain, err = files.ReadFile(name); err != nil {
			return err
		}
		var b bytes.Buffer
		w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
		if err != nil {
			return err
		}
		w.Write(a.plain)
		w.Close()
		a.compressed = b.Bytes()
		sum := sha256.Sum256(a.plain)
		a.name = hex.EncodeToString(sum[:6]) + "-" + path.Base(name)
		all[path.Base(name)], all[a.name] = a, a
		return nil
	})
	if err != nil {
		panic(err) // the files are part of the program
	}
	return all
})

// Name returns the name under which a file is served, "" if it does not exist.
func Name(file string) string {
	if a := assets()[file]; a != nil {
		return a.name
	}
	return ""
}

// Serve serves the file named by the last part of the path.
func Serve(w http.ResponseWriter, r *http.Request) {
	a := assets()[path.Base(r.URL.Path)]
	if a == nil || !strings.HasSuffix(r.URL.Path, "/"+a.name) {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("X-Content-Type-Options", "nosniff")
	body := a.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = a.compressed
	}
	h.Set("Vary", "Accept-Encoding")
	w.Write(body)
}
