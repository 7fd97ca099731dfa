package api

import (
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Count is a number that may pass 2^53: a JSON number up to there, a string beyond.
type Count uint64

const maxExact = 1 << 53

// MarshalJSON implements json.Marshaler.
func (c Count) MarshalJSON() ([]byte, error) {
	text := strconv.AppendUint(nil, uint64(c), 10)
	if c > maxExact {
		return append(append([]byte{'"'}, text...), '"'), nil
	}
	return text, nil
}

// UnmarshalJSON implements json.Unmarshaler; it takes both forms.
func (c *Count) UnmarshalJSON(b []byte) error {
	text := string(b)
	if len(b) > 1 && b[0] == '"' {
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return fmt.Errorf("%s is not a count", b)
	}
	*c = Count(n)
	return nil
}

// Split gives a string of any bytes its place in JSON: text if it is valid UTF-8, raw, which travels
// as base64, if it is not.
func Split(s string) (text string, raw []byte) {
	if utf8.ValidString(s) {
		return s, nil
	}
	return "", []byte(s)
}

// Join is the reverse of Split.
func Join(text string, raw []byte) string {
	if raw != nil {
		return string(raw)
	}
	return text
}
