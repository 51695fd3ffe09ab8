package server

import (
	"encoding/json"
	"fmt"

	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

// viewReport passes a report on. Its names in JSON are those of the API, so it is translated by them.
func viewReport(r *platform.RehearsalReport) *api.Report {
	var out api.Report
	translate(r, &out)
	verdict, _ := r.Gate()
	out.Verdict = string(verdict)
	return &out
}

func viewPublishEvent(e platform.PublishEvent) api.PublishEvent {
	var out api.PublishEvent
	translate(e, &out)
	out.Statement++
	return out
}

// translate copies what has the same names in JSON on both sides.
func translate(from, to any) {
	raw, err := json.Marshal(from)
	if err == nil {
		err = json.Unmarshal(raw, to)
	}
	if err != nil {
		panic(fmt.Sprintf("server: %T is not a %T: %v", from, to, err)) // both are types of our own, and a test translates them
	}
}
