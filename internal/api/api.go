// Package api is the contract of the REST API: paths, request and response types, error bodies, and a Go client that speaks it.
// The server implements exactly what stands here, and every client, the command line and the web console alike, relies on nothing else.
//
// Names in JSON are in snake_case, times are RFC 3339, durations are whole seconds, and numbers of bytes are integers. A field
// that has no value is left out. It never decides anything: permission and state are the server's business.
package api

// List is every answer that holds several things. It is an object, so that fields can be added to it.
type List[T any] struct {
	Items []T `json:"items" nullable:"false"`
}
