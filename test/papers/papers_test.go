// Package papers checks the documents against the tree: links resolve, and lists are complete.
package papers

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gearloop/test/texts"
)

const root = "../.."

// files returns the files of the tree with one of these suffixes, except what tests install.
func files(t *testing.T, endings ...string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		if err == nil && !d.IsDir() && slices.ContainsFunc(endings, func(e string) bool { return strings.HasSuffix(path, e) }) {
			all = append(all, path)
		}
		return err
	})
	if err != nil || len(all) == 0 {
		t.Fatalf("%d files, %v", len(all), err)
	}
	return all
}

var (
	fence   = regexp.MustCompile("(?ms)^```.*?^```$")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	notWord = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors returns the anchors of a document.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		plain := link.ReplaceAllString(m[1], "")
		all[strings.ReplaceAll(notWord.ReplaceAllString(strings.ToLower(strings.TrimSpace(plain)), ""), " ", "-")] = true
	}
	return all
}

// TestLinks: every link into the tree names a file and a heading that exist.
func TestLinks(t *testing.T) {
	for _, path := range files(t, ".md") {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(texts.File(t, path), ""), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			to := path
			if file != "" {
				to = filepath.Join(filepath.Dir(path), file)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: the link %s leads nowhere", path, m[1])
			} else if anchor != "" && !anchors(texts.File(t, to))[anchor] {
				t.Errorf("%s: the link %s leads to no heading", path, m[1])
			}
		}
	}
}

// TestIndex: the index lists every document.
func TestIndex(t *testing.T) {
	index := texts.File(t, filepath.Join(root, "docs/README.md"))
	pages, err := filepath.Glob(filepath.Join(root, "docs/*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		if name := filepath.Base(page); name != "README.md" && !strings.Contains(index, "]("+name+")") {
			t.Errorf("docs/README.md does not name %s", name)
		}
	}
	if n := strings.Count(texts.File(t, filepath.Join(root, "README.md")), "\n"); n > 150 {
		t.Errorf("README.md has %d lines: 150 are a screen or three", n)
	}
}

// testVariable matches variables that tests read; their prefixes differ from those of options.
var testVariable = regexp.MustCompile(`\bGEARLOOP_(?:TEST|CRASH|DIFFTEST|CLIENTTEST|SYSTEST|BROWSER)[A-Z_]*\b`)

// notForPeople are variables with which test programs start themselves.
var notForPeople = map[string]bool{"GEARLOOP_TEST_FLOOR": true}

// TestVariables: CONTRIBUTING.md lists exactly the variables that tests read.
func TestVariables(t *testing.T) {
	told := map[string]bool{}
	for _, v := range testVariable.FindAllString(texts.File(t, filepath.Join(root, "CONTRIBUTING.md")), -1) {
		told[v] = true
	}
	there := map[string]bool{}
	for _, path := range files(t, ".go") {
		if strings.HasSuffix(path, "papers_test.go") {
			continue
		}
		for _, v := range testVariable.FindAllString(texts.File(t, path), -1) {
			there[v] = !notForPeople[v]
		}
	}
	for v := range told {
		if !there[v] {
			t.Errorf("CONTRIBUTING.md tells of %s, which nothing reads", v)
		}
	}
	for v := range there {
		if there[v] && !told[v] {
			t.Errorf("CONTRIBUTING.md does not tell of %s", v)
		}
	}
}

// TestMinus: a typographic minus cannot be pasted into a command.
func TestMinus(t *testing.T) {
	for _, path := range files(t, ".md") {
		for i, line := range strings.Split(texts.File(t, path), "\n") {
			if regexp.MustCompile("`[^`]*\u2212[^`]*`|\u2212[0-9]").MatchString(line) {
				t.Errorf("%s:%d: a typographic minus: %s", path, i+1, line)
			}
		}
	}
}

// TestPackages: the table in docs/design.md lists exactly the packages of the tree.
func TestPackages(t *testing.T) {
	there := map[string]bool{}
	for _, path := range files(t, ".go") {
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		switch dir = filepath.ToSlash(dir); {
		case strings.HasPrefix(dir, "bench/"):
			dir = "bench/…"
		case strings.HasPrefix(dir, "test/clienttest/"): // programs that it runs
			continue
		}
		there[dir] = true
	}
	told := map[string]bool{}
	for line := range strings.Lines(texts.File(t, filepath.Join(root, "docs/design.md"))) {
		if cells := strings.Split(line, "|"); len(cells) == 5 {
			for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
				told[m[1]] = true
			}
		}
	}
	for dir := range there {
		if !told[dir] {
			t.Errorf("docs/design.md does not name the package %s", dir)
		}
	}
	for dir := range told {
		if !there[dir] {
			t.Errorf("docs/design.md names the package %s, which is not there", dir)
		}
	}
}

// TestFileLists: where a package comment lists the package's files, it names all of them and no others.
func TestFileLists(t *testing.T) {
	name := regexp.MustCompile(`[a-z0-9_*]+\.go\b`)
	lists := 0
	for _, doc := range files(t, "/doc.go") {
		_, list, found := strings.Cut(texts.File(t, doc), " Files")
		if !found {
			continue
		}
		lists++
		named := map[string]bool{}
		for _, n := range name.FindAllString(list, -1) {
			named[n] = false
		}
		sources, err := filepath.Glob(filepath.Join(filepath.Dir(doc), "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range sources {
			file, known := filepath.Base(path), false
			for n := range named {
				if ok, _ := filepath.Match(n, file); ok {
					named[n], known = true, true
				}
			}
			if !known && file != "doc.go" && !strings.HasSuffix(file, "_test.go") {
				t.Errorf("%s does not name %s", doc, file)
			}
		}
		for n, exists := range named {
			if !exists {
				t.Errorf("%s names %s, which does not exist", doc, n)
			}
		}
	}
	if lists < 8 {
		t.Fatalf("only %d lists of files found", lists)
	}
}
