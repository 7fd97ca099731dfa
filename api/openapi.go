package api

import _ "embed"

// OpenAPI describes everything under Prefix, in JSON as OpenAPI 3.1 has it. It is served as openapi.json
// there.
//
//go:embed openapi.json
var OpenAPI []byte
