package sched

import (
	"encoding/json"
	"fmt"
	"time"
)

// settingsDocument is the stored form of settings. Fields are only ever added.
type settingsDocument struct {
	Format    int              `json:"format"` // settingsFormat; a larger one is rejected
	Functions []storedSettings `json:"functions"`
}

const settingsFormat = 1

// storedSettings are the settings of a function, whose name may be any bytes.
type storedSettings struct {
	Function []byte   `json:"function"`
	Paused   *Setting `json:"paused,omitempty"`
	Closed   *Setting `json:"closed,omitempty"`
}

// SaveSettings returns the operators' settings, to be restored after a restart.
func (s *Sched) SaveSettings() ([]byte, error) {
	document := settingsDocument{Format: settingsFormat}
	for _, f := range s.Settings() {
		document.Functions = append(document.Functions, storedSettings{[]byte(f.Function), f.Paused, f.Closed})
	}
	return json.Marshal(document)
}

// RestoreSettings sets what SaveSettings returned, but for what has come to its end meanwhile. What is set
// already is newer and stays.
func (s *Sched) RestoreSettings(document []byte, now time.Time, fx *Effects) error {
	var d settingsDocument
	if err := json.Unmarshal(document, &d); err != nil {
		return fmt.Errorf("the stored settings of functions are malformed: %w", err)
	}
	if d.Format > settingsFormat {
		return fmt.Errorf("the stored settings of functions have format %d, and this program reads formats up to %d",
			d.Format, settingsFormat)
	}
	newer := map[string]FunctionSettings{}
	for _, f := range s.Settings() {
		newer[f.Function] = f
	}
	for _, f := range d.Functions {
		set := newer[string(f.Function)]
		if f.Paused != nil && set.Paused == nil && !f.Paused.over(now) {
			if err := s.PauseFunction(string(f.Function), *f.Paused, now, fx); err != nil {
				return err
			}
		}
		if f.Closed != nil && set.Closed == nil && !f.Closed.over(now) {
			if err := s.CloseFunction(string(f.Function), *f.Closed, now, fx); err != nil {
				return err
			}
		}
	}
	return nil
}
