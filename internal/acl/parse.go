package acl

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gearloop/internal/glob"
)

// mistake is an error in a file's content.
type mistake struct {
	File string
	Line int
	What string
}

func (m *mistake) Error() string { return fmt.Sprintf("%s:%d: %s", m.File, m.Line, m.What) }

// parse parses a file's text; file is its name for errors. lookUp returns the number of a user. The error is
// a *mistake, the first one.
func parse(file string, text []byte, lookUp func(user string) (int, error)) (*rules, error) {
	p := parser{lookUp: lookUp, rules: &rules{}}
	for len(text) > 0 || p.line == 0 {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte("\n"))
		p.line++
		if err := p.parse(strings.TrimSuffix(string(line), "\r")); err != nil {
			return nil, &mistake{file, p.line, err.Error()}
		}
	}
	if line, err := p.end(); err != nil {
		return nil, &mistake{file, line, err.Error()}
	}
	return p.rules, nil
}

// parser parses a file line by line.
type parser struct {
	lookUp func(user string) (int, error)
	rules  *rules
	line   int
	last   *section // nil before the first heading
}

// parse parses a line.
func (p *parser) parse(line string) error {
	if i := strings.IndexFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }); i >= 0 {
		return fmt.Errorf("a control character (%#02x)", line[i])
	}
	if !utf8.ValidString(line) {
		return errors.New("bytes that are not UTF-8: write \\xHH for each byte of a name that is not")
	}
	line = strings.Trim(withoutComment(line), " \t")
	switch {
	case line == "":
		return nil
	case line[0] == '[':
		return p.heading(line)
	}
	key, value, ok := strings.Cut(line, "=")
	key = strings.TrimRight(key, " \t")
	switch {
	case !ok:
		return fmt.Errorf("%q is neither a [section] nor KEY = VALUE", line)
	case p.last == nil:
		return fmt.Errorf("%q stands before the first [section]", key)
	}
	values, err := split(value)
	if err != nil {
		return err
	}
	if len(values) == 0 && slices.Contains(keys, key) {
		return fmt.Errorf("%s has no value", key)
	}
	return p.add(key, values)
}

// keys are the keys of a section.
var keys = append([]string{"certificate", "user", "network"}, rightKeys[:]...)

// keysOfGear maps the keys of the Python server gear's access file to ours.
var keysOfGear = map[string]string{
	"subject":  "it is called certificate here, and takes patterns with * and ?",
	"invoke":   "it is called submit here, and takes patterns with * and ?",
	"register": "it is called work here, and takes patterns with * and ?",
	"grant":    "rights are granted in this file only",
}

// withoutComment removes a comment, which begins with # at the beginning of a line or after a blank.
func withoutComment(line string) string {
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			return line[:i]
		}
	}
	return line
}

// split returns the values of a line, separated by commas or blanks. After a \ neither separates.
func split(line string) (values []string, err error) {
	begin, comma := -1, true // of the value; a comma came last
	for i := 0; i <= len(line); i++ {
		switch {
		case i == len(line) || line[i] == ' ' || line[i] == '\t' || line[i] == ',':
			if begin >= 0 {
				values = append(values, line[begin:i])
				begin, comma = -1, false
			}
			if i < len(line) && line[i] == ',' {
				if comma {
					return nil, errors.New("a comma without a value before it")
				}
				comma = true
			}
		default:
			if begin < 0 {
				begin = i
			}
			if line[i] == '\\' && i+1 < len(line) {
				i++
			}
		}
	}
	if comma && len(values) > 0 {
		return nil, errors.New("a comma without a value after it")
	}
	return values, nil
}

// heading begins a section.
func (p *parser) heading(line string) error {
	name, ok := strings.CutSuffix(line[1:], "]")
	name = strings.Trim(name, " \t")
	switch {
	case !ok:
		return fmt.Errorf("%s: a ] is missing at the end", line)
	case name == "" || strings.ContainsAny(name, "[]"):
		return fmt.Errorf("%s: a section needs a name, without brackets in it", line)
	}
	for _, s := range p.rules.sections {
		if s.name == name {
			return fmt.Errorf("the section [%s] is there already, in line %d: write its lines there, or choose another name", name, s.line)
		}
	}
	if err := p.last.check(); err != nil {
		p.line = p.last.line
		return err
	}
	p.last = &section{name: name, line: p.line}
	p.rules.sections = append(p.rules.sections, p.last)
	return nil
}

// end checks what can only be checked at the end, and returns the line of the mistake.
func (p *parser) end() (line int, err error) {
	if p.last == nil {
		return p.line, errors.New("no [section], so that nobody could connect")
	}
	return p.last.line, p.last.check()
}

// check returns an error if the section can have no effect.
func (s *section) check() error {
	switch {
	case s == nil:
	case s.certificates == nil && s.users == nil && s.networks == nil:
		return fmt.Errorf("[%s] does not say who: it needs certificate, user or network", s.name)
	case s.users != nil && s.networks != nil:
		return fmt.Errorf("[%s] matches nobody: a connection has either a user (unix socket) or a network; make two sections", s.name)
	case s.users != nil && s.certificates != nil:
		return fmt.Errorf("[%s] matches nobody: unix sockets have no certificates; make two sections", s.name)
	case s.some == 0:
		return fmt.Errorf("[%s] gives no right: it needs submit, work, look or admin", s.name)
	}
	return nil
}

// add adds a line to the section.
func (p *parser) add(key string, values []string) error {
	s := p.last
	if i := slices.Index(rightKeys[:], key); i >= 0 {
		return eachPattern(key, values, func(p glob.Pattern) { s.allow(rights[i], p) })
	}
	switch key {
	case "certificate":
		return eachPattern(key, values, func(p glob.Pattern) { s.certificates = append(s.certificates, p) })
	case "user":
		for _, v := range values {
			u, err := p.user(v)
			if err != nil {
				return fmt.Errorf("user %q: %w", v, err)
			}
			s.users = append(s.users, u)
		}
		return nil
	case "network":
		for _, v := range values {
			n, err := network(v)
			if err != nil {
				return err
			}
			s.networks = append(s.networks, n...)
		}
		return nil
	}
	if hint := keysOfGear[key]; hint != "" {
		return fmt.Errorf("unknown key %q: %s", key, hint)
	}
	return fmt.Errorf("unknown key %q: it must be one of %s", key, strings.Join(keys, ", "))
}

// eachPattern calls add with each pattern in the values of a key.
func eachPattern(key string, values []string, add func(glob.Pattern)) error {
	for _, v := range values {
		p, err := parsePattern(v)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		add(p)
	}
	return nil
}

// user returns the number of a user.
func (p *parser) user(name string) (int, error) {
	if name == "*" {
		return anyUser, nil
	}
	if name[0] >= '0' && name[0] <= '9' {
		n, err := strconv.ParseUint(name, 10, 32)
		if err != nil || n == 1<<32-1 {
			return 0, errors.New("it begins with a digit, but is no number of a user")
		}
		return int(n), nil
	}
	if strings.ContainsAny(name, `*?\"'`) {
		return 0, errors.New("it must be the name or the number of a user, or * for any")
	}
	n, err := p.lookUp(name)
	if errors.Is(err, errNoUser) {
		return 0, fmt.Errorf("%w on this machine: write a name from /etc/passwd, or a number", err)
	}
	return n, err
}

// network returns the networks that a value stands for.
func network(text string) ([]netip.Prefix, error) {
	if text == "any" {
		return []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}, nil
	}
	n, err := ParseNetwork(text)
	return []netip.Prefix{n}, err
}

// ParseNetwork parses a network such as 192.0.2.0/24 or 2001:db8::/32, or an address, which is a network of
// its own.
func ParseNetwork(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	n, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return n, fmt.Errorf("%q is not a network: it must be as 192.0.2.0/24 or 2001:db8::/32, or an address without a zone", text)
	case n.Addr().Is4In6():
		return n, fmt.Errorf("%q: write an IPv4 network as IPv4, without ::ffff:", text)
	case n != n.Masked():
		return n, fmt.Errorf("%q has bits behind its /%d: write %s for the network or %s for the address alone", text, n.Bits(), n.Masked(), n.Addr())
	}
	return n, nil
}
