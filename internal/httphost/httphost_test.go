package httphost

import "testing"

func TestOurs(t *testing.T) {
	names := New([]string{"Broker.example.", "b2"})
	for host, want := range map[string]bool{
		"": true, "localhost": true, "LOCALHOST:4780": true, "localhost.": true, "x.localhost:1": true,
		"127.0.0.1": true, "127.0.0.1:4780": true, "10.1.2.3:80": true, "[::1]": true, "[::1]:4780": true,
		"broker.example": true, "BROKER.example:4780": true, "b2": true,
		"evil.example": false, "evil.example:4780": false, "broker.example.evil.example": false,
		"localhost.evil.example": false, "notlocalhost": false, "::1": false, "[::1": false, "[evil]": false,
		"[::1%evil.example]:4780": false, "[::1%evil.example:4780": false, "[::1]]": false, "[[::1]": false,
		"127.0.0.1.evil.example": false, ":4780": false, "localhost:port": false, "[127.0.0.1]": false,
		"a';id;'.localhost:1": false, "$(id).localhost": false, "a`id`.localhost": false, "b_2.localhost": true,
		"0x7f.1": false, "127.1": false,
	} {
		if got := names.Ours(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
	if New([]string{Any}).Ours("a';id;'.example") {
		t.Error("a name with quotes is accepted")
	}
	if !New([]string{Any}).Ours("evil.example") {
		t.Error("any name is refused")
	}
}
