package api

import "fmt"

// Problem is an error as RFC 9457 has it, sent as application/problem+json.
type Problem struct {
	Type   string `json:"type"` // "about:blank": the status says it all
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"` // one sentence: what was wrong with which value, and what to do
}

// Error returns the detail, or the title where there is none.
func (p *Problem) Error() string {
	if p.Detail != "" {
		return p.Detail
	}
	return fmt.Sprintf("%s (status %d)", p.Title, p.Status)
}
