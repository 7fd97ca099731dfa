package acl

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"

	"gearloop/sched"
)

// maxFile is the largest size of a file, in bytes.
const maxFile = 4 << 20

// List is the file in effect. Any goroutine may use it.
type List struct {
	file    string
	reading sync.Mutex
	rules   atomic.Pointer[rules]
	version atomic.Uint64 // how often rules was set
}

// Open reads a file. Its error is one line that names the file and, for a mistake, the line.
func Open(file string) (*List, error) {
	l := &List{file: file}
	return l, l.Reload()
}

// File returns the name of the file.
func (l *List) File() string { return l.file }

// Sections returns the number of sections.
func (l *List) Sections() int { return len(l.rules.Load().sections) }

// Certificates returns the names of the sections with the key certificate.
func (l *List) Certificates() (names []string) {
	for _, s := range l.rules.Load().sections {
		if s.certificates != nil {
			names = append(names, s.name)
		}
	}
	return names
}

// Reload reads the file again. All peers' rights change at once; after an error they are unchanged.
func (l *List) Reload() error {
	l.reading.Lock()
	defer l.reading.Unlock()
	text, err := readFile(l.file)
	if err != nil {
		return err
	}
	r, err := parse(l.file, text, lookUpUser)
	if err != nil {
		return err
	}
	l.rules.Store(r)
	l.version.Add(1)
	return nil
}

// readFile returns the content of a regular file; a pipe might block.
func readFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s is larger than %d MiB", path, maxFile>>20)
	}
	return text, err
}

// lookUpUser returns the number of a user.
func lookUpUser(name string) (int, error) {
	u, err := user.Lookup(name)
	if errors.As(err, new(user.UnknownUserError)) {
		return 0, errNoUser
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(u.Uid)
}

// errNoUser is the error of parse's lookUp for an unknown name.
var errNoUser = errors.New("there is no such user")

// Peer returns the rights of a connection, always according to the file in effect.
func (l *List) Peer(w Who) *Peer { return &Peer{list: l, who: w} }

// Peer implements sched.Rights except Refused, for a connection. Any goroutine may use it.
type Peer struct {
	list    *List
	who     Who
	matched atomic.Pointer[matched]
}

// matched is the result of matching a peer against some rules.
type matched struct {
	rules     *rules
	sections  []*section
	some, all sched.Right
}

// now returns the peer's rights by the rules in effect.
func (p *Peer) now() *matched {
	r, m := p.list.rules.Load(), p.matched.Load()
	if m != nil && m.rules == r {
		return m
	}
	m = &matched{rules: r, sections: r.sectionsOf(&p.who)}
	for _, s := range m.sections {
		m.some |= s.some
		m.all |= s.all
	}
	p.matched.Store(m)
	return m
}

// Of returns the rights to a function.
func (p *Peer) Of(function string) sched.Right {
	m := p.now()
	var granted sched.Right
	for _, s := range m.sections {
		granted |= s.to(function)
	}
	return granted
}

// Some returns the rights that the peer has to at least one function.
func (p *Peer) Some() sched.Right { return p.now().some }

// All returns the rights that the peer has to every function.
func (p *Peer) All() sched.Right { return p.now().all }

// Version is raised by each Reload.
func (p *Peer) Version() *atomic.Uint64 { return &p.list.version }

// Sections returns the names of the sections that the peer matches, for messages.
func (p *Peer) Sections() (names []string) {
	for _, s := range p.now().sections {
		names = append(names, s.name)
	}
	return names
}
