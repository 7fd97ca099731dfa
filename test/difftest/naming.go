package difftest

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// naming replaces what differs between runs by fixed names.
type naming struct {
	handles  map[string]string // as on the wire → H1
	raw      map[string]string // H1 → as on the wire
	addrs    map[string]string // ip:port → <name>
	fds      map[string]string // descriptor → <name>
	rowFDs   map[string]int    // row of "workers" → its descriptor
	order    []string          // names in the order in which they were opened
	masked   map[string]bool   // packets whose arguments are undetermined
	handleRE *regexp.Regexp
	// unordered: lists have no order, except for the functions in a row of "workers".
	unordered bool
	// lenient: a handle that has not appeared is an unknown one.
	lenient bool
}

func newNaming() *naming {
	host, _ := os.Hostname()
	return &naming{
		handles: map[string]string{}, raw: map[string]string{},
		addrs: map[string]string{}, fds: map[string]string{}, rowFDs: map[string]int{}, masked: map[string]bool{},
		handleRE: regexp.MustCompile(`H:` + regexp.QuoteMeta(host) + `:[1-9]\d*`),
	}
}

// playerName is the name of the player's own connection.
const playerName = "<player>"

func (n *naming) observer(o *observer) {
	n.fds[o.fd], n.addrs[o.addr] = playerName, playerName
}

func (n *naming) opened(c *connection) {
	n.addrs[c.sock.LocalAddr().String()] = "<" + c.name + ">"
	n.fds[c.fd] = "<" + c.name + ">"
	n.order = append(n.order, "<"+c.name+">")
}

// handleNamed resolves $H1.
func (n *naming) handleNamed(name string) (string, error) {
	if h, ok := n.raw[name]; ok {
		return h, nil
	}
	if n.lenient {
		return "H:nobody:1", nil
	}
	return "", fmt.Errorf("no handle %s has appeared", name)
}

func (n *naming) withHandles(s string) string {
	return n.handleRE.ReplaceAllStringFunc(s, func(h string) string {
		if _, known := n.handles[h]; !known {
			name := "H" + strconv.Itoa(len(n.handles)+1)
			n.handles[h], n.raw[name] = name, h
		}
		return n.handles[h]
	})
}

var (
	addrRE    = regexp.MustCompile(`\d+\.\d+\.\d+\.\d+:\d+`)
	workersRE = regexp.MustCompile(`^(\d+) \d+\.\d+\.\d+\.\d+ `)
	versionRE = regexp.MustCompile(`^v\d+\.\d+\.\d+\n$`)
	// packagedRE is the C server's version with Debian's suffix.
	packagedRE = regexp.MustCompile(`^(OK \d+\.\d+\.\d+)\+ds\n$`)
	// pidRE is the answer to "getpid".
	pidRE = regexp.MustCompile(`^OK [1-9]\d*\n$`)
	// perlSourceRE is the location in one of Perl's own messages.
	perlSourceRE = regexp.MustCompile(` at /usr/\S+ line \d+`)
)

func (n *naming) render(c *connection, e event) string {
	switch e.kind {
	case closedEvent:
		return "closed"
	case brokenEvent:
		return "broken " + show(e.data)
	case lineEvent:
		return "line " + show(n.line(e.data))
	}
	if name := packetName(e.number); n.masked[name] {
		return name + " ..."
	}
	return strings.TrimSpace(packetName(e.number) + " " + n.arguments(e))
}

func (n *naming) line(s string) string {
	s = addrRE.ReplaceAllStringFunc(n.withHandles(s), func(a string) string {
		return cmp.Or(n.addrs[a], a)
	})
	s = versionRE.ReplaceAllString(s, "v<version>\n")
	s = packagedRE.ReplaceAllString(s, "$1\n")
	s = pidRE.ReplaceAllString(s, "OK <pid>\n")
	if m := workersRE.FindStringSubmatch(s); m != nil && n.fds[m[1]] != "" {
		s = n.fds[m[1]] + s[len(m[1]):]
		n.rowFDs["line "+show(s)], _ = strconv.Atoi(m[1])
	}
	return s
}

func (n *naming) arguments(e event) string {
	count, special := argumentCounts[e.number]
	if !special {
		count = 1
	}
	if count == 0 {
		if e.data == "" {
			return ""
		}
		count = 1
	}
	var shown []string
	for _, a := range strings.SplitN(n.withHandles(e.data), "\x00", count) {
		shown = append(shown, show(perlSourceRE.ReplaceAllString(a, " at PERL")))
	}
	return strings.Join(shown, " ")
}

// showWhole is the length up to which bytes are shown completely.
const showWhole = 200

var bareRE = regexp.MustCompile(`^[A-Za-z0-9_.:/-]+$`)

// show formats bytes as in a scenario: a bare word, a string, a pattern, or for long ones the beginning,
// length and hash.
func show(s string) string {
	switch {
	case bareRE.MatchString(s):
		if len(s) <= showWhole {
			return s
		}
	case len(s) <= showWhole:
		return quote(s)
	case s == pattern(len(s)):
		return "@" + size(len(s))
	}
	return fmt.Sprintf("%s...(%d bytes, sha256 %.8x)", quote(s[:32]), len(s), sha256.Sum256([]byte(s)))
}

func size(n int) string {
	switch {
	case n%(1<<20) == 0:
		return fmt.Sprintf("%dMiB", n>>20)
	case n%(1<<10) == 0:
		return fmt.Sprintf("%dKiB", n>>10)
	}
	return strconv.Itoa(n)
}

func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// sortListings sorts the rows of listings where the reference has no order, and removes the player's rows.
// The answers to a connection's text commands come in the order of the commands.
func (n *naming) sortListings(c *connection, lines []string) []string {
	var out []string
	for i := 0; i < len(lines); {
		if !strings.HasPrefix(lines[i], "line ") || len(c.listings) == 0 {
			out = append(out, lines[i])
			i++
			continue
		}
		command := c.listings[0]
		c.listings = c.listings[1:]
		length := 1
		if end := listingLength(command, lines[i:]); end > 0 {
			length = end
		}
		out = append(out, n.tidy(command, lines[i:i+length])...)
		i += length
	}
	return out
}

const listingEnd = `line ".\n"`

var listingCommands = []string{"workers", "status", "prioritystatus", "jobs", "show", "clients", "gladiator"}

// listingLength returns the number of lines that answer a command, if it answers with a list.
func listingLength(command string, lines []string) int {
	if !slices.Contains(listingCommands, commandWord(command)) || strings.HasPrefix(lines[0], `line "ERR `) {
		return 0
	}
	return slices.Index(lines, listingEnd) + 1
}

var wordRE = regexp.MustCompile(`^\w+`)

func commandWord(line string) string { return strings.ToLower(wordRE.FindString(line)) }

func (n *naming) tidy(command string, lines []string) []string {
	if len(lines) < 1 || lines[len(lines)-1] != listingEnd {
		return lines
	}
	rows := slices.Clone(lines[:len(lines)-1])
	switch commandWord(command) {
	case "workers":
		rows = n.orderWorkers(rows)
	case "jobs", "show":
		slices.Sort(rows)
	case "status", "prioritystatus":
		if n.unordered {
			slices.Sort(rows)
		}
	case "clients":
		rows = sortSections(rows)
	case "gladiator":
		for i, r := range rows {
			rows[i] = gladiatorRE.ReplaceAllString(r, `line "<count> `)
		}
	}
	return append(rows, listingEnd)
}

var gladiatorRE = regexp.MustCompile(`^line "[ \d]{6}\d `)

// orderWorkers removes the player's own row of "workers". The rows must come by descriptor; because the
// system assigns descriptors, they are then sorted by when the connections were opened.
func (n *naming) orderWorkers(rows []string) []string {
	var out []string
	last := 0
	for _, r := range rows {
		if fd, known := n.rowFDs[r]; known && fd <= last && !n.unordered {
			out = append(out, "descriptors are not in their order")
		} else if known {
			last = fd
		}
		if !strings.HasPrefix(r, `line "`+playerName) {
			if !n.unordered {
				r = sortFunctions(r)
			}
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b string) int { return cmp.Compare(n.opening(a), n.opening(b)) })
	return out
}

// opening returns the position of a row's connection in the order of opening.
func (n *naming) opening(row string) int {
	name, _, _ := strings.Cut(strings.TrimPrefix(row, `line "`), " ")
	return slices.Index(n.order, name)
}

// sortFunctions sorts the functions in a row of "workers".
func sortFunctions(row string) string {
	head, functions, ok := strings.Cut(row, " : ")
	if !ok {
		return row
	}
	body := strings.TrimSuffix(functions, `\n"`)
	words := strings.Split(body, " ")
	slices.Sort(words)
	return head + " : " + strings.Join(words, " ") + functions[len(body):]
}

// sortSections sorts the sections of "clients" and the rows in each, and removes the player's.
func sortSections(rows []string) []string {
	var sections [][]string
	for _, r := range rows {
		if strings.HasPrefix(r, `line "\t`) && len(sections) > 0 {
			last := len(sections) - 1
			sections[last] = append(sections[last], r)
			continue
		}
		sections = append(sections, []string{r})
	}
	slices.SortFunc(sections, func(a, b []string) int { return cmp.Compare(a[0], b[0]) })
	var out []string
	for _, s := range sections {
		if strings.Contains(s[0], playerName) {
			continue
		}
		slices.Sort(s[1:])
		out = append(out, s...)
	}
	return out
}

// sortNames sorts w2 before w10.
func sortNames(names []string) {
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	})
}
