package server

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

type monitoringInput struct {
	BranchPath
	From time.Time `query:"from" doc:"An hour before the end when left out; measurements are kept for 14 days."`
	To   time.Time `query:"to" doc:"Now when left out."`
	Step int64     `query:"step" minimum:"0" maximum:"1209600" doc:"Seconds; 0: chosen by the length."`
}

func (s *Server) monitoringRoutes() {
	p := s.config.Platform
	add(s, route{method: http.MethodGet, path: api.MonitoringPath, id: "get-monitoring", rule: toSee, tag: "branches", summary: "What a branch's server did within a time",
		about: "Connections, cache, size, deadlocks and slow statements, measured once a minute while the branch is awake and kept while it sleeps. Asking wakes nothing."},
		func(ctx context.Context, who holdfast.Principal, in *monitoringInput) (api.Monitoring, error) {
			m, err := p.Monitoring(ctx, who, in.ref(), in.From, in.To, time.Duration(in.Step)*time.Second)
			return api.Monitoring{From: m.From, To: m.To, Step: api.Seconds(m.Step), Steps: mapped(m.Steps, viewMonitoringStep), Statements: mapped(m.Statements, viewSlowStatement)}, err
		})
}

func viewMonitoringStep(s holdfast.MonitoringStep) api.MonitoringStep {
	out := api.MonitoringStep{At: s.At, Measurements: s.Measurements, Connections: s.Connections, MaxConnections: s.MaxConnections, MaxActive: s.MaxActive, MaxInTx: s.MaxInTx,
		MaxWaiting: s.MaxWaiting, Size: s.Size, Commits: s.Commits, Rollbacks: s.Rollbacks, Deadlocks: s.Deadlocks, TempBytes: s.TempBytes}
	if hit, ok := s.CacheHit(); ok {
		out.CacheHit = &hit
	}
	return out
}

func viewSlowStatement(s holdfast.SlowStatement) api.SlowStatement {
	total := float64(s.Time) / float64(time.Millisecond)
	return api.SlowStatement{SQL: s.SQL, Calls: s.Calls, TotalMS: total, AverageMS: total / float64(max(s.Calls, 1))}
}
