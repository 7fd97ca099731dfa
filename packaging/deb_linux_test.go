package packaging

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gearloop/test/await"
	"gearloop/test/peers"
)

// boot runs a script in a machine: systemd and its services, in namespaces of their own, on a copy of this
// machine's files that is discarded. files are put into its directory /test. It returns the script's output.
func boot(t *testing.T, script string, files string) (said string, passed bool) {
	t.Helper()
	dir := t.TempDir()
	steps := `set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/up" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" "$1/root"
root=$1/root
rm -f "$root/usr/sbin/policy-rc.d" "$root/etc/machine-id"
touch "$root/etc/machine-id"
mkdir -p "$root/test"
cp -r "$2/." "$root/test/"
cp "$3" "$root/test/script"
cat >"$root/etc/systemd/system/gearloop-test.service" <<'UNIT'
[Unit]
Requires=basic.target
After=basic.target systemd-journald.service
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
ExecStart=/bin/sh -x /test/script
StandardOutput=file:/test/said
StandardError=file:/test/said
TimeoutStartSec=infinity
UNIT
systemd-nspawn --quiet --register=no --keep-unit --private-network --link-journal=no --machine="gearloop-test-$$" -D "$root" \
	--boot systemd.unit=gearloop-test.service </dev/null >"$1/console" 2>&1 || status=$?
cp "$root/test/said" "$4" || cp "$1/console" "$4"
exit ${status:-0}
`
	ctx, cancel := context.WithTimeout(context.Background(), 5*await.Limit)
	defer cancel()
	out := filepath.Join(t.TempDir(), "said")
	// In a process namespace of its own: all processes end with it.
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", steps, "sh", dir, files, script, out)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = await.Limit
	complaint, err := cmd.CombinedOutput()
	text, _ := os.ReadFile(out)
	if err != nil {
		return string(complaint) + string(text) + "\n" + err.Error(), false
	}
	return string(text), true
}

// mayBoot skips a test that boots a machine if the kernel or missing root rights prevent that, because
// nothing that could be installed helps there.
func mayBoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("booting a machine in name spaces needs root")
	}
	const steps = `set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/up" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" "$1/root"
exec systemd-nspawn --quiet --register=no --keep-unit --private-network --link-journal=no --machine="gearloop-probe-$$" -D "$1/root" /bin/true
`
	ctx, cancel := context.WithTimeout(context.Background(), await.Limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", steps, "sh", t.TempDir())
	cmd.WaitDelay = await.Limit
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("this machine boots no other in name spaces: %v: %s", err, out)
	}
}

// Debian's own check finds nothing wrong with the packages, whoever maintains them.
func TestLintian(t *testing.T) {
	files := t.TempDir()
	cmd := exec.Command("../scripts/deb.sh", files, peers.Binary(t))
	cmd.Env = append(os.Environ(), "DEBFULLNAME=Ann Other", "DEBEMAIL=ann@debian.org")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	packages, err := filepath.Glob(filepath.Join(files, "*.deb"))
	if err != nil || len(packages) != 2 {
		t.Fatalf("%q, %v", packages, err)
	}
	for _, p := range packages {
		if out, err := exec.Command("dpkg-deb", "-f", p, "Maintainer").CombinedOutput(); err != nil || string(out) != "Ann Other <ann@debian.org>\n" {
			t.Errorf("%s: %q, %v", p, out, err)
		}
	}
	// make deb strips the program, which tests do not.
	args := append([]string{"--allow-root", "--fail-on", "error,warning", "--suppress-tags", "unstripped-binary-or-object"}, packages...)
	if out, err := exec.Command("lintian", args...).CombinedOutput(); err != nil {
		t.Errorf("lintian: %v\n%s", err, out)
	}
}

// The packages are installed, upgraded, rolled back, removed and purged on a machine with systemd. The
// services run, confined as their units say. Configuration and jobs are kept until they are purged.
func TestPackages(t *testing.T) {
	mayBoot(t)
	files := t.TempDir()
	for version, name := range map[string]string{"1.0": "old", "1.1": "new"} {
		cmd := exec.Command("../scripts/deb.sh", filepath.Join(files, name), peers.Binary(t), version)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	said, passed := boot(t, "testdata/packages.sh", files)
	if !passed || !strings.Contains(said, "\n== done\n") {
		t.Errorf("%s", said)
	}
}
