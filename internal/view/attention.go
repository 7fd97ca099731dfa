package view

import (
	"fmt"

	"gearloop/api"
)

// mostConcerns bounds what is told of what is wrong.
const mostConcerns = 50

// Attention returns what is wrong, worst first.
func (s *Source) Attention() []api.Concern {
	rows, _ := s.functions.get(s.cfg.Now(), s.functionRows)
	all := []api.Concern{}
	for i := range rows {
		f := &rows[i]
		if f.waiting == 0 || f.workers > 0 || len(all) == mostConcerns {
			continue
		}
		c := api.Concern{Kind: "no_workers", Text: fmt.Sprintf("%s: %d jobs wait and no worker is connected", f.name, f.waiting)}
		c.Function, c.FunctionBase64 = api.Split(f.name)
		all = append(all, c)
	}
	return all
}
