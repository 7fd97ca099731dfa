package packaging

import (
	"debug/elf"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/peers"
	"gearloop/test/texts"
	"gearloop/test/wire"
)

// image is the content of Containerfile.
type image struct {
	copies            [][]string // options, source and target
	env               []string
	user              string
	entry, cmd, check []string
}

// readContainerfile parses the file. It fails the test for instructions that it does not know.
func readContainerfile(t *testing.T) (i image) {
	t.Helper()
	words := func(text string) (all []string) {
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			t.Fatalf("%s is not in the form that needs no shell: %v", text, err)
		}
		return all
	}
	for line := range strings.Lines(texts.File(t, "../Containerfile")) {
		line = strings.TrimSpace(line)
		name, rest, _ := strings.Cut(line, " ")
		switch name {
		case "", "#":
		case "FROM":
			if rest != "scratch" {
				t.Errorf("the image is made from %s", rest)
			}
		case "COPY":
			i.copies = append(i.copies, strings.Fields(rest))
		case "ENV":
			i.env = append(i.env, rest)
		case "USER":
			i.user = rest
		case "ENTRYPOINT":
			i.entry = words(rest)
		case "CMD":
			i.cmd = words(rest)
		case "HEALTHCHECK":
			_, command, _ := strings.Cut(rest, " CMD ")
			i.check = words(command)
		case "VOLUME", "EXPOSE", "STOPSIGNAL":
		default:
			t.Fatalf("the test does not know %s", line)
		}
	}
	return i
}

// files copies the files of the image below root, with their owners and modes.
func (i *image) files(t *testing.T, context, root string) {
	t.Helper()
	for _, words := range i.copies {
		source, target := words[len(words)-2], words[len(words)-1]
		to := filepath.Join(root, target)
		run(t, "mkdir", "-p", filepath.Dir(to))
		run(t, "cp", "-r", filepath.Join(context, source), to)
		for _, option := range words[:len(words)-2] {
			name, value, _ := strings.Cut(option, "=")
			switch name {
			case "--chown":
				run(t, "chown", "-R", value, to)
			case "--chmod":
				run(t, "chmod", value, to)
			default:
				t.Fatalf("the test does not know %s", option)
			}
		}
	}
	run(t, "mkdir", "-p", filepath.Join(root, "proc"))
}

// command returns a command that runs words in the image as an engine does, with /proc and no other files of
// the machine.
func (i *image) command(root string, env, words []string) *exec.Cmd {
	script := `mount -t proc proc "$1/proc"; root=$1 user=$2; shift 2; exec env -i "$@"`
	args := []string{"--mount", "sh", "-ec", script, "sh", root, i.user}
	args = append(args, slices.Concat(i.env, env)...)
	// env finds the program through the image's PATH, so its name is enough.
	args = append(args, "/usr/sbin/chroot", "--userspec="+i.user, root)
	cmd := exec.Command("unshare", append(args, words...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// The image is tested without an engine: its files suffice for a server that runs as its user, stores jobs,
// passes the image's health check while it runs, and ends when it is told to.
func TestImage(t *testing.T) {
	i := readContainerfile(t)
	if i.user != "65532:65532" {
		t.Errorf("the user is %s", i.user)
	}
	context, root := t.TempDir(), t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"jobs", "run"} {
		if err := os.Mkdir(filepath.Join(context, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "cp", peers.Binary(t), filepath.Join(context, "gearloop"))
	i.files(t, context, root)

	program, err := elf.Open(filepath.Join(root, "usr/bin/gearloop"))
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	if libraries, err := program.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("the program needs %s, %v", libraries, err)
	}

	// Not on the image's port, which other programs of this machine may use.
	env := []string{"GEARLOOP_LISTEN=127.0.0.1:0"}
	server := i.command(root, env, slices.Concat(i.entry, i.cmd))
	var said strings.Builder
	server.Stderr = &said
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer server.Wait()
	defer server.Process.Kill()
	var address string
	if _, err := fmt.Fscanf(out, "listening on %s\n", &address); err != nil {
		server.Process.Kill()
		server.Wait()
		t.Fatalf("%v\n%s", err, &said)
	}
	healthy := func() bool { return i.command(root, env, i.check).Run() == nil }
	await.Until(t, "the image's check finds the server healthy", healthy)
	wire.Dial(t, address).Submit(codec.SubmitJobBg, "f", "", "x")
	if entries, err := os.ReadDir(filepath.Join(root, "var/lib/gearloop")); err != nil || len(entries) == 0 {
		t.Errorf("no job is stored: %v, %v", entries, err)
	}
	begin := time.Now()
	server.Process.Signal(syscall.SIGTERM)
	if err := server.Wait(); err != nil {
		t.Errorf("it ends with %v\n%s", err, &said)
	}
	if took := time.Since(begin); took > await.Scaled(9*time.Second) {
		t.Errorf("ending took %v; an engine would have killed it", took)
	}
	if healthy() {
		t.Error("the check finds a server healthy that has ended")
	}
}

// AppArmor's parser accepts the profile.
func TestProfileIsValid(t *testing.T) {
	run(t, "/sbin/apparmor_parser", "--skip-kernel-load", "--skip-cache", "gearloop.apparmor")
}
