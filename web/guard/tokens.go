package guard

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
)

// Tokens assigns roles. Each line of the file is "NAME ROLE sha256:HEX" for the holder of the token with that
// SHA-256, or "NAME ROLE cert" for the holder of a certificate with that common
// name, which may have spaces in it. Empty lines and lines that begin with # are ignored.
type Tokens struct {
	byHash map[[sha256.Size]byte]Who
	byCert map[string]Who
	byName map[string]Who
}

// maxTokens bounds the entries of a file.
const maxTokens = 10_000

// LoadTokens reads a file. Its errors name file and line.
func LoadTokens(file string) (*Tokens, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	t, err := parseTokens(text)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", file, err)
	}
	return t, nil
}

func parseTokens(text []byte) (*Tokens, error) {
	t := &Tokens{byHash: map[[sha256.Size]byte]Who{}, byCert: map[string]Who{}, byName: map[string]Who{}}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if err := t.add(strings.Fields(line)); err != nil {
			return nil, fmt.Errorf("%d: %w", number, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf(" %w", err)
	}
	if len(t.byName) == 0 {
		return nil, fmt.Errorf(" no token: want lines of the form NAME ROLE sha256:HEX")
	}
	return t, nil
}

func (t *Tokens) add(fields []string) error {
	if n := len(fields); n > 3 && fields[n-1] == "cert" { // common names have spaces
		fields = []string{strings.Join(fields[:n-2], " "), fields[n-2], fields[n-1]}
	}
	if len(fields) != 3 {
		return fmt.Errorf("%d words, want 3: NAME ROLE sha256:HEX, or NAME ROLE cert", len(fields))
	}
	role, err := ParseRole(fields[1])
	if err != nil {
		return err
	}
	who := Who{Name: fields[0], Role: role}
	if _, known := t.byName[who.Name]; known {
		return fmt.Errorf("the name %q is there twice", who.Name)
	}
	if len(t.byName) == maxTokens {
		return fmt.Errorf("more than %d tokens", maxTokens)
	}
	t.byName[who.Name] = who
	if fields[2] == "cert" {
		who.Via = "certificate"
		t.byCert[who.Name] = who
		return nil
	}
	digits, ok := strings.CutPrefix(fields[2], "sha256:")
	raw, err := hex.DecodeString(digits)
	if !ok || err != nil || len(raw) != sha256.Size {
		return fmt.Errorf("%.20q… is not sha256: and 64 hexadecimal digits (printf %%s TOKEN | sha256sum)", fields[2])
	}
	hash := [sha256.Size]byte(raw)
	if other, known := t.byHash[hash]; known {
		return fmt.Errorf("%s and %s have the same token", other.Name, who.Name)
	}
	who.Via = "token"
	t.byHash[hash] = who
	return nil
}

// token returns the holder of a token. The table is keyed by hash, so timing reveals nothing about other
// tokens.
func (t *Tokens) token(token string) (Who, bool) {
	if t == nil || token == "" {
		return Who{}, false
	}
	who, ok := t.byHash[sha256.Sum256([]byte(token))]
	return who, ok
}

// certificate returns the holder of a certificate with this common name.
func (t *Tokens) certificate(name string) (Who, bool) {
	if t == nil {
		return Who{}, false
	}
	who, ok := t.byCert[name]
	return who, ok
}

// named returns the current holder of a name.
func (t *Tokens) named(name string) (Who, bool) {
	if t == nil {
		return Who{}, false
	}
	who, ok := t.byName[name]
	return who, ok
}
