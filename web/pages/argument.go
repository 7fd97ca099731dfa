package pages

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// argumentShown is how many bytes of an argument a job's page shows.
	argumentShown = 4 << 10
	// jsonShown is the largest argument that is shown as JSON, which takes all of it, in bytes.
	jsonShown = 64 << 10
)

// argument is the beginning of a job's argument for display.
type argument struct {
	Text      string
	Size      int
	Shown     int // bytes
	Truncated bool
	As        string // text, json or hex
	Note      string
	Raw       string
	Tabs      []link
}

// beginning returns the beginning of a job's argument as text, json or hex, "" being what suits it; nil if
// the argument can't be read.
func (p *Pages) beginning(handle, as string) *argument {
	most := argumentShown
	if as == "json" {
		most = jsonShown
	}
	b, whole, err := p.cfg.Source.Argument(handle, most)
	if err != nil {
		return nil
	}
	self := "./" + string(oneOf(handle))
	a := &argument{Size: whole, Raw: self + "/argument"}
	a.show(b, as)
	for _, as := range [...]string{"text", "json", "hex"} {
		a.Tabs = append(a.Tabs, link{as, self + "?" + query("as", as), as == a.As})
	}
	return a
}

// show fills in how the beginning of an argument is shown.
func (a *argument) show(b []byte, as string) {
	if as == "json" {
		// Indent moves tokens and changes none: a number stays what it is, digit by digit.
		var out bytes.Buffer
		err := json.Indent(&out, b, "", "  ")
		if len(b) == a.Size && err == nil {
			a.As, a.Shown, a.Text = "json", len(b), legible(out.Bytes())
			return
		}
		a.Note = "It is larger than what is shown as JSON, " + size(jsonShown) + "."
		if len(b) == a.Size {
			a.Note = "It is not JSON: " + err.Error() + "."
		}
		as = ""
	}
	b = b[:min(len(b), argumentShown)]
	a.Truncated = a.Size > len(b)
	text := b
	for n := 0; a.Truncated && n < utf8.UTFMax && !utf8.Valid(text) && len(text) > 0; n++ {
		text = text[:len(text)-1] // remove a truncated character
	}
	if as != "text" && as != "hex" {
		as = "text"
		if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
			as, a.Note = "hex", "It is not text."
		}
	}
	if a.As = as; as == "hex" {
		a.Shown, a.Text = len(b), hex.Dump(b)
		return
	}
	if utf8.Valid(text) {
		b = text
	}
	a.Shown, a.Text = len(b), legible(b)
}

// legible returns bytes for display: line breaks stay, what could change how the rest is read (control
// characters, marks of text direction) is written as \uNNNN, and bytes that are no text as \xNN.
func legible(text []byte) string {
	var b strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case r == '\n' || r == '\t' || r == '\r' || r == ' ' || unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		text = text[n:]
	}
	return b.String()
}
