package systest

import (
	"os/exec"
	"strconv"
	"testing"

	"gearloop/codec"
	"gearloop/test/peers"
	"gearloop/test/wire"
)

// A program that speaks HTTP, as a browser does for a web page, cannot end the server, change it or submit to
// it. The answer says which port it has reached.
func TestWebPage(t *testing.T) {
	t.Parallel()
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Fatal(err)
	}
	for _, dialect := range []string{"perl", "c"} {
		t.Run(dialect, func(t *testing.T) {
			s := peers.Start(t, peers.Gearloop, "--dialect", dialect)
			admin := wire.Dial(t, s.Addr)
			requests := 0
			for _, body := range []string{
				"\nshutdown\n", "\nmaxqueue f 0\n", "\nshutdown graceful\n",
				string(codec.AppendRequest(nil, codec.SubmitJobBg, "f", "", "")),
			} {
				for _, args := range [][]string{{"--http0.9"}, {"-X", "shutdown"}, {"--http2-prior-knowledge"}, {"--http1.0", "--proxy", "http://" + s.Addr}} {
					cmd := exec.Command(curl, append(args, "-s", "-S", "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", "@-", "http://"+s.Addr+"/")...)
					stdin, err := cmd.StdinPipe()
					if err != nil {
						t.Fatal(err)
					}
					go func() {
						stdin.Write([]byte(body))
						stdin.Close()
					}()
					code, err := cmd.Output()
					// HTTP/2 clients consider an answer in HTTP/1.1 a fault.
					if string(code) != "400" && args[0] != "--http2-prior-knowledge" {
						t.Errorf("%v with body %q: status %s, %v", args, body, code, err)
					}
					requests++
				}
			}
			if n := count(admin, "fault: HTTP request"); n != strconv.Itoa(requests) {
				t.Errorf("%s requests counted, want %d", n, requests)
			}
			if status := admin.Table("status"); len(status) != 0 {
				t.Errorf("status is %q", status)
			}
		})
	}
}
