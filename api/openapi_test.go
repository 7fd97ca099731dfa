package api

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// described are the types of the package, by the names that they have in the document.
var described = map[string]reflect.Type{
	"Server": of[Server](), "Listener": of[Listener](), "Totals": of[Totals](), "Concern": of[Concern](), "Instant": of[Instant](),
	"Function": of[Function](), "Lately": of[Lately](), "Quantiles": of[Quantiles](),
	"Setting": of[Setting](), "Job": of[Job](), "PeerRef": of[PeerRef](), "Argument": of[Argument](),
	"Cause": of[Cause](), "Explanation": of[Explanation](), "Connection": of[Connection](), "Loop": of[Loop](), "Memory": of[Memory](),
	"Store": of[Store](), "Option": of[Option](), "AuditEntry": of[AuditEntry](), "History": of[History](), "Problem": of[Problem](),
	"Pause": of[Pause](), "Reason": of[Reason](), "Submit": of[Submit](), "Submitted": of[Submitted](),
	"Done": of[Done](), "Purge": of[Purge](), "Purged": of[Purged](), "SetPriority": of[SetPriority](),
	"Operation": of[Operation](), "JobFilter": of[JobFilter](), "OperationPage": of[Page[Operation]](),
	"FunctionPage": of[Page[Function]](), "JobPage": of[Page[Job]](), "ConnectionPage": of[Page[Connection]](), "LoopPage": of[Page[Loop]](),
	"Network": of[Network](), "Descriptors": of[Descriptors](), "Certificate": of[Certificate](),
	"Cluster": of[Cluster](), "ClusterBroker": of[ClusterBroker](), "ClusterStandby": of[ClusterStandby](), "ClusterSelf": of[ClusterSelf](),
	"OptionPage": of[Page[Option]](), "AuditEntryPage": of[Page[AuditEntry]](), "Count": of[Count](),
}

func of[T any]() reflect.Type { return reflect.TypeFor[T]() }

// TestDocumentHasTheTypes: each type has in the document the fields that it has here, of the same kinds, and
// those are required that are always there.
func TestDocumentHasTheTypes(t *testing.T) {
	var document struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]map[string]any
				Required   []string
			}
		}
	}
	if err := json.Unmarshal(OpenAPI, &document); err != nil {
		t.Fatal(err)
	}
	schemas := document.Components.Schemas
	for name := range schemas {
		if described[name] == nil {
			t.Errorf("the document has %s, which is no type here", name)
		}
	}
	for name, typ := range described {
		schema, ok := schemas[name]
		if !ok {
			t.Errorf("the document has no %s", name)
			continue
		}
		if typ.Kind() != reflect.Struct {
			continue
		}
		fields, always := map[string]reflect.Type{}, []string{}
		for i := range typ.NumField() {
			f := typ.Field(i)
			key, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			fields[key] = f.Type
			if options == "" {
				always = append(always, key)
			}
		}
		if got, want := slices.Sorted(maps.Keys(schema.Properties)), slices.Sorted(maps.Keys(fields)); !slices.Equal(got, want) {
			t.Errorf("%s has in the document\n%v, here\n%v", name, got, want)
			continue
		}
		if slices.Sort(always); !isBoth[name] && !slices.Equal(sortedOf(schema.Required), always) {
			t.Errorf("%s requires in the document\n%v, here always there are\n%v", name, sortedOf(schema.Required), always)
		}
		for key, property := range schema.Properties {
			if got, want := kindOf(property), kindOfType(fields[key]); got != "" && got != want {
				t.Errorf("%s.%s is %s in the document, and %s here", name, key, got, want)
			}
		}
	}
}

// isBoth are types that travel in both directions: a client leaves out what is the server's to say.
var isBoth = map[string]bool{"Operation": true}

func sortedOf(all []string) []string {
	all = append([]string{}, all...)
	slices.Sort(all)
	return all
}

// kindOf returns what a property is, "" for one of a few values.
func kindOf(property map[string]any) string {
	if ref, ok := property["$ref"].(string); ok {
		return ref[strings.LastIndexByte(ref, '/')+1:]
	}
	kind, _ := property["type"].(string)
	switch {
	case property["contentEncoding"] == "base64":
		return "bytes"
	case property["format"] == "date-time":
		return "time"
	case kind == "array":
		return "[]" + kindOf(property["items"].(map[string]any))
	case kind == "object":
		return "{}" + kindOf(property["additionalProperties"].(map[string]any))
	}
	return kind
}

func kindOfType(t reflect.Type) string {
	for name, of := range described {
		if of == t || t.Kind() == reflect.Pointer && t.Elem() == of {
			return name
		}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return kindOfType(t.Elem())
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
		return "[]" + kindOfType(t.Elem())
	case reflect.Map:
		return "{}" + kindOfType(t.Elem())
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Float64:
		return "number"
	case reflect.Struct:
		return "time"
	}
	return "integer"
}
