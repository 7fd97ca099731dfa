package acl

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gearloop/sched"
)

const everything = sched.AllRights

// users are the users of the tests' machine.
func users(name string) (int, error) {
	if n, ok := map[string]int{"root": 0, "nagios": 110, "www-data": 33}[name]; ok {
		return n, nil
	}
	return 0, errNoUser
}

// rulesOf parses a text, which must have no mistake.
func rulesOf(t testing.TB, text string) *rules {
	t.Helper()
	r, err := parse("acl", []byte(text), users)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// listOf returns a list with these rules in force.
func listOf(t testing.TB, text string) *List {
	t.Helper()
	l := &List{}
	l.rules.Store(rulesOf(t, text))
	return l
}

// from is a peer of an address.
func from(address string) Who { return Who{Addr: netip.MustParseAddr(address), User: NoUser} }

// local is a peer of a unix socket.
func local(user int) Who { return Who{User: user} }

// named is a peer of an address with names in its certificate.
func named(address string, names ...string) Who {
	w := from(address)
	w.Names = names
	return w
}

const sample = `
# comment
[web servers]
network = 10.1.0.0/16, 2001:db8:1::/48
submit  = resize_* mail # a comment behind

[image workers]
certificate = worker-*.images.example.com
network=any
work = resize_*
work = rotate

[monitoring]
user = nagios, 1001
look = *

[root]
user = root
submit=*
work=*
look=*
admin=*

[half an operator]
network = 127.0.0.1
admin   = mail
look    = ma?l
`

func TestRights(t *testing.T) {
	l := listOf(t, sample)
	for _, c := range []struct {
		what     string
		who      Who
		function string
		want     sched.Right
	}{
		{"a network", from("10.1.255.3"), "resize_png", sched.MaySubmit},
		{"the other family", from("2001:db8:1:7::1"), "mail", sched.MaySubmit},
		{"another function", from("10.1.255.3"), "mail2", 0},
		{"the beginning of a pattern", from("10.1.255.3"), "resize", 0},
		{"nothing for *", from("10.1.255.3"), "resize_", sched.MaySubmit},
		{"another network", from("10.2.0.1"), "mail", 0},
		{"no certificate", from("192.0.2.1"), "rotate", 0},
		{"a certificate", named("192.0.2.1", "other", "worker-7.images.example.com"), "rotate", sched.MayWork},
		{"a certificate with more behind", named("192.0.2.1", "worker-7.images.example.com.evil.org"), "rotate", 0},
		{"a certificate and a network, in two sections", named("10.1.0.1", "worker-7.images.example.com"), "resize_x", sched.MaySubmit | sched.MayWork},
		{"a certificate over no network", Who{User: 7, Names: []string{"worker-7.images.example.com"}}, "rotate", 0},
		{"a user", local(110), "any", sched.MayLook},
		{"a user by number", local(1001), "any", sched.MayLook},
		{"root", local(0), "any", everything},
		{"a user who is not named", local(33), "any", 0},
		{"no user known", local(NoUser), "any", 0},
		{"? is one byte", from("127.0.0.1"), "mall", sched.MayLook},
		{"two rights of one section", from("127.0.0.1"), "mail", sched.MayLook | sched.MayAdminister},
		{"? is not none", from("127.0.0.1"), "mal", 0},
	} {
		if got := l.Peer(c.who).Of(c.function); got != c.want {
			t.Errorf("%s: rights to %q are %b, want %b", c.what, c.function, got, c.want)
		}
	}
}

// What a peer may do with some function, and with every one.
func TestSomeAndAll(t *testing.T) {
	l := listOf(t, sample)
	for _, c := range []struct {
		who       Who
		some, all sched.Right
		sections  []string
	}{
		{from("10.1.0.1"), sched.MaySubmit, 0, []string{"web servers"}},
		{from("192.0.2.1"), 0, 0, nil},
		{local(110), sched.MayLook, sched.MayLook, []string{"monitoring"}},
		{local(0), everything, everything, []string{"root"}},
		{from("127.0.0.1"), sched.MayLook | sched.MayAdminister, 0, []string{"half an operator"}},
	} {
		p := l.Peer(c.who)
		if some, all, names := p.Some(), p.All(), p.Sections(); some != c.some || all != c.all || !slices.Equal(names, c.sections) {
			t.Errorf("%+v: some %b, all %b, sections %q; want %b, %b, %q", c.who, some, all, names, c.some, c.all, c.sections)
		}
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct{ pattern, yes, no string }{
		{"f", "f", "F ff g"},
		{"*", "f ff", ""},
		{"f*", "f ff f*", "gf"},
		{"*f", "f ff xf", "fg"},
		{"a*b*c", "abc aXbYc abbcc abcbc", "ab acb"},
		{"a?c", "abc a?c", "ac abbc"},
		{"a**c", "ac abc", "ab"},
		{"*a*a*a*", "aaa xaxaxax", "aa"},
		{`a\*b`, "a*b", "axb ab"},
		{`a\?b`, "a?b", "axb"},
		{`\x66\x2a`, "f*", "ff f"},
		{`\\`, `\`, `\\`},
		{`\#f`, "#f", "f"},
		{`c#`, "c#", "c"},
		{`\"f\'`, `"f'`, "f"},
		{"größe", "größe", "grösse"},
		{"?", "f", "ff ä"}, // a byte, not a letter
	} {
		s := rulesOf(t, "[x]\nuser=0\nsubmit="+c.pattern).sections[0]
		for _, name := range strings.Fields(c.yes) {
			if s.to(name) != sched.MaySubmit {
				t.Errorf("%s does not match %q", c.pattern, name)
			}
		}
		for _, name := range strings.Fields(c.no) {
			if s.to(name) != 0 {
				t.Errorf("%s matches %q", c.pattern, name)
			}
		}
	}
	// Names with blanks, commas and bytes that are no text.
	s := rulesOf(t, `[x]
user=0
submit = a\ b, c\,d \xff\x00 \x20`).sections[0]
	for _, name := range []string{"a b", "c,d", "\xff\x00", " "} {
		if s.to(name) == 0 {
			t.Errorf("no right to %q", name)
		}
	}
	if len(s.exact) != 4 {
		t.Errorf("%d names, want 4: %v", len(s.exact), s.exact)
	}
}

func TestMistakes(t *testing.T) {
	const ok = "[a]\nuser = root\nsubmit = *\n"
	for _, c := range []struct{ text, want string }{
		{"", "acl:1: no [section], so that nobody could connect"},
		{"# nothing\n\n", "acl:2: no [section]"},
		{"user = root", `acl:1: "user" stands before the first [section]`},
		{"[a\n", "acl:1: [a: a ] is missing at the end"},
		{"[]\n", "acl:1: []: a section needs a name"},
		{"[a]]\n", "acl:1: [a]]: a section needs a name"},
		{ok + "[a]\n", "acl:4: the section [a] is there already, in line 1"},
		{"[a]\nsubmit = *\n" + "[b]\nuser=root\n", "acl:1: [a] does not say who"},
		{"[a]\nuser = root\n", "acl:1: [a] gives no right"},
		{ok + "\n[b]\nuser = root\n\n", "acl:5: [b] gives no right"},
		{"[a]\nuser = root\nnetwork = any\nsubmit=*", "acl:1: [a] matches nobody"},
		{"[a]\nuser = root\ncertificate = x\nsubmit=*", "acl:1: [a] matches nobody"},
		{ok + "works = *\n", `acl:4: unknown key "works": it must be one of certificate, user, network, submit, work, look, admin`},
		{ok + "Work = *\n", `acl:4: unknown key "Work"`},
		{ok + "invoke = .*\n", `acl:4: unknown key "invoke": it is called submit here`},
		{ok + "register = .*\n", `acl:4: unknown key "register": it is called work here`},
		{ok + "subject = x\n", `acl:4: unknown key "subject": it is called certificate here`},
		{ok + "grant = true\n", `acl:4: unknown key "grant": rights are granted in this file only`},
		{ok + "submit\n", `acl:4: "submit" is neither a [section] nor KEY = VALUE`},
		{ok + "submit = \n", "acl:4: submit has no value"},
		{ok + "submit = # all\n", "acl:4: submit has no value"},
		{ok + "submit = a,,b\n", "acl:4: a comma without a value before it"},
		{ok + "submit = ,a\n", "acl:4: a comma without a value before it"},
		{ok + "submit = a,\n", "acl:4: a comma without a value after it"},
		{ok + "submit = \"a b\"\n", "acl:4: submit: \"\\\"a\": quotes have no meaning here"},
		{ok + `submit = a\`, `acl:4: submit: "a\\": there is nothing after the \`},
		{ok + `submit = \x2`, `acl:4: submit: "\\x2": \x needs two hexadecimal digits`},
		{ok + `submit = \xzz`, `acl:4: submit: "\\xzz": \x needs two hexadecimal digits`},
		{ok + "submit = a\x00\n", "acl:4: a control character (0x00)"},
		{ok + "submit = \xff\n", "acl:4: bytes that are not UTF-8"},
		{ok + "user = nobodyhere\n", `acl:4: user "nobodyhere": there is no such user on this machine`},
		{ok + "user = 12x\n", `acl:4: user "12x": it begins with a digit`},
		{ok + "user = 4294967295\n", `acl:4: user "4294967295"`},
		{ok + "user = ro*\n", `acl:4: user "ro*": it must be the name or the number of a user, or * for any`},
		{"[a]\nnetwork = 10.0.0.0/33\n", `acl:2: "10.0.0.0/33" is not a network`},
		{"[a]\nnetwork = 10.1.2.3/16\n", `acl:2: "10.1.2.3/16" has bits behind its /16: write 10.1.0.0/16`},
		{"[a]\nnetwork = ::ffff:10.0.0.0/104\n", `acl:2: "::ffff:10.0.0.0/104": write an IPv4 network as IPv4`},
		{"[a]\nnetwork = fe80::1%eth0\n", `acl:2: "fe80::1%eth0" is not a network`},
		{"[a]\nnetwork = localhost\n", `acl:2: "localhost" is not a network`},
	} {
		_, err := parse("acl", []byte(c.text), users)
		var m *mistake
		if !errors.As(err, &m) || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q:\n got %v\nwant %s…", c.text, err, c.want)
		}
	}
}

// A file is read again completely or not at all. A peer always has the rights of the last file that could be
// read.
func TestReload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "acl")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("[a]\nnetwork=any\nsubmit=f\r\n")
	l, err := Open(file)
	if err != nil {
		t.Fatal(err)
	}
	p := l.Peer(from("192.0.2.1"))
	check := func(when string, f, g sched.Right, version uint64) {
		t.Helper()
		if p.Of("f") != f || p.Of("g") != g || p.Version().Load() != version {
			t.Errorf("%s: f %b, g %b, version %d; want %b, %b, %d", when, p.Of("f"), p.Of("g"), p.Version().Load(), f, g, version)
		}
	}
	check("at first", sched.MaySubmit, 0, 1)
	write("[a]\nnetwork=any\nsubmit=g\nwork=f\n")
	check("before Reload", sched.MaySubmit, 0, 1)
	if err := l.Reload(); err != nil {
		t.Fatal(err)
	}
	check("after Reload", sched.MayWork, sched.MaySubmit, 2)
	write("[b]\nnetwork=any\nsubmit=*\n[c]\nbogus=1\n")
	if err := l.Reload(); err == nil || err.Error() != file+":5: unknown key \"bogus\": it must be one of certificate, user, network, submit, work, look, admin" {
		t.Errorf("a bad file: %v", err)
	}
	check("after a bad file", sched.MayWork, sched.MaySubmit, 2)
	os.Remove(file)
	if err := l.Reload(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := l.Reload(); err == nil || !strings.Contains(err.Error(), "is not a regular file") {
		t.Errorf("a directory: %v", err)
	}
	check("after all", sched.MayWork, sched.MaySubmit, 2)
}

// FuzzParse: any file gives either rules or a mistake in one of its lines.
func FuzzParse(f *testing.F) {
	f.Add([]byte(sample), "resize_png")
	f.Add([]byte("[x]\nuser=0\nsubmit = *a*a*a \\x00?\\* c\\,d"), "aaa")
	f.Add([]byte("[a]\nnetwork=10.1.2.3/16"), "f")
	f.Fuzz(func(t *testing.T, text []byte, function string) {
		r, err := parse("acl", text, users)
		if err != nil {
			var m *mistake
			if !errors.As(err, &m) || m.Line < 1 || m.Line > strings.Count(string(text), "\n")+1 || m.What == "" || strings.Contains(m.What, "\n") {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		l := &List{}
		l.rules.Store(r)
		for _, w := range []Who{from("10.1.0.1"), from("2001:db8:1::1"), local(0), named("127.0.0.1", "worker-1.images.example.com")} {
			p := l.Peer(w)
			granted, some, all := p.Of(function), p.Some(), p.All()
			if all&^granted != 0 || granted&^some != 0 {
				t.Fatalf("%q: %+v has rights %b to %q, but some %b and all %b", text, w, granted, function, some, all)
			}
		}
	})
}

// The examples of docs/acl.md have no mistakes, and mean what the page says.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/acl.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```ini\n")[1:]
	if len(blocks) == 0 {
		t.Fatal("no example")
	}
	for _, b := range blocks {
		text, _, _ := strings.Cut(b, "```")
		rulesOf(t, text)
	}
	first, _, _ := strings.Cut(blocks[0], "```")
	l := listOf(t, first)
	for _, c := range []struct {
		who      Who
		function string
		want     sched.Right
	}{
		{from("10.1.2.3"), "mail.send", sched.MaySubmit},
		{from("10.2.2.3"), "mail.send", 0},
		{named("10.2.2.3", "worker-5.images.example.com"), "resize_png", sched.MayWork},
		{named("192.0.2.3", "worker-5.images.example.com"), "resize_png", 0},
		{local(110), "x", sched.MayLook},
		{local(0), "x", everything},
	} {
		if got := l.Peer(c.who).Of(c.function); got != c.want {
			t.Errorf("%s: rights to %q are %b, want %b", &c.who, c.function, got, c.want)
		}
	}
	for _, key := range keys {
		if !strings.Contains(string(page), "\n| `"+key+"` |") {
			t.Errorf("the page has no row for %s", key)
		}
	}
	for key := range keysOfGear {
		if !strings.Contains(string(page), "\n| `"+key+"=") {
			t.Errorf("the page has no row for gear's %s", key)
		}
	}
}
