package api

import (
	"encoding/json"
	"math"
	"testing"
)

// TestCount: exact on both sides of 2^53, in both forms.
func TestCount(t *testing.T) {
	for _, c := range []struct {
		n    Count
		json string
	}{
		{0, "0"}, {1, "1"}, {1 << 53, "9007199254740992"}, {1<<53 + 1, `"9007199254740993"`},
		{math.MaxUint64, `"18446744073709551615"`},
	} {
		b, err := json.Marshal(c.n)
		if err != nil || string(b) != c.json {
			t.Errorf("%d is written %s, %v", c.n, b, err)
		}
		var got Count
		if err := json.Unmarshal([]byte(c.json), &got); err != nil || got != c.n {
			t.Errorf("%s is read as %d, %v", c.json, got, err)
		}
	}
	for _, bad := range []string{`-1`, `1.5`, `"x"`, `true`, `""`, `"`, `[]`} {
		var got Count
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s is read as %d", bad, got)
		}
	}
}

// TestSplit: every string comes back, and one that is valid UTF-8 as it is.
func TestSplit(t *testing.T) {
	for _, s := range []string{"", "mail.send", "größe", "\x00", "a\xffb", "\xed\xa0\x80", "<script>", "\u2028"} {
		f := Function{}
		f.Name, f.NameBase64 = Split(s)
		b, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		var got Function
		if err := json.Unmarshal(b, &got); err != nil || Join(got.Name, got.NameBase64) != s {
			t.Errorf("%q comes back as %q, %v", s, Join(got.Name, got.NameBase64), err)
		}
	}
}
