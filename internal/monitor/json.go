package monitor

import (
	"encoding/json"
	"io"
)

// textFields are the fields that the text protocol provides; other fields would be zeros that nobody counted.
var textFields = map[string]bool{
	"name": true, "name_base64": true, "total": true, "waiting": true, "running": true, "workers": true, // functions
	"id": true, "address": true, "client_id": true, "client_id_base64": true, "functions": true, // workers
	"handle": true, "function": true, "function_base64": true, "unique": true, "unique_base64": true, "state": true,
	"listeners": true, "worker": true, // jobs
}

// JSON writes a row as one line, with the fields that the source knows.
func JSON[T any](w io.Writer, s Source, row *T) error {
	b, err := json.Marshal(row)
	if err == nil && !s.Has(Rates) {
		var fields map[string]json.RawMessage
		if err = json.Unmarshal(b, &fields); err != nil {
			return err
		}
		for name, value := range fields {
			if !textFields[name] || string(value) == `""` || string(value) == "null" {
				delete(fields, name)
			}
		}
		b, err = json.Marshal(fields)
	}
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}
