package server

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/platform"
)

// serveMetrics answers with the metrics of the process and with those of every project and branch. Because these are named, it takes a right
// of its own: that of an admin of the installation, or of a token of kind metrics.
func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	m, err := s.config.Platform.Measures(ctx, principal(ctx))
	if err != nil {
		writeProblem(w, s.problemOf(ctx, err))
		return
	}
	measured := prometheus.NewRegistry()
	measured.MustRegister(measures{m})
	promhttp.HandlerFor(prometheus.Gatherers{s.config.Metrics, measured}, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}

// measures are the numbers of one scrape.
type measures struct{ platform.Measures }

func ofBranch(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, []string{"project", "branch"}, nil)
}

// measure is what is told of every branch.
type measure struct {
	desc  *prometheus.Desc
	value func(platform.BranchStatus) (value float64, known bool)
}

func branchMeasures() []measure {
	always := func(value func(platform.BranchStatus) float64) func(platform.BranchStatus) (float64, bool) {
		return func(b platform.BranchStatus) (float64, bool) { return value(b), true }
	}
	return []measure{
		{ofBranch("holdfast_last_successful_backup_timestamp_seconds", "When the newest good backup began; 0: there is none."), always(func(b platform.BranchStatus) float64 { return unixSeconds(b.LastBackup) })},
		{ofBranch("holdfast_last_verified_timestamp_seconds", "When a backup was last proved to restore; 0: never."), always(func(b platform.BranchStatus) float64 { return unixSeconds(b.LastVerified) })},
		{ofBranch("holdfast_wal_archive_lag_seconds", "How long what was written has been waiting to reach every location of the history; 0: nothing waits."), func(b platform.BranchStatus) (float64, bool) {
			return b.WALLag.Seconds(), b.HasHistory
		}},
		{ofBranch("holdfast_branch_size_bytes", "The data directory as last measured; 0: not yet."), always(func(b platform.BranchStatus) float64 { return float64(b.Size) })},
		{ofBranch("holdfast_branch_sessions", "Client sessions now."), always(func(b platform.BranchStatus) float64 { return float64(b.Sessions) })},
		{ofBranch("holdfast_branch_awake", "Whether the server runs."), always(func(b platform.BranchStatus) float64 {
			if b.Activity == holdfast.Awake {
				return 1
			}
			return 0
		})},
	}
}

// unixSeconds is a time as Prometheus has it; 0 for the zero time.
func unixSeconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMicro()) / 1e6
}

// Describe implements prometheus.Collector. It names nothing in advance: what there is changes with the branches.
func (m measures) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m measures) Collect(out chan<- prometheus.Metric) {
	for _, one := range branchMeasures() {
		for _, b := range m.Branches {
			if value, known := one.value(b); known {
				out <- prometheus.MustNewConstMetric(one.desc, prometheus.GaugeValue, value, b.Branch.Project, b.Branch.Branch)
			}
		}
	}
	wakes := ofBranch("holdfast_wake_seconds", "How long waking took.")
	for ref, h := range m.Wakes {
		buckets := map[float64]uint64{}
		for i, bound := range platform.WakeBuckets() {
			buckets[bound] = h.Buckets[i]
		}
		out <- prometheus.MustNewConstHistogram(wakes, h.Count, h.Sum, buckets, ref.Project, ref.Branch)
	}
	jobs := prometheus.NewDesc("holdfast_jobs", "Jobs that have not ended, and those that ended within a day.", []string{"kind", "state"}, nil)
	for j, n := range m.Jobs {
		out <- prometheus.MustNewConstMetric(jobs, prometheus.GaugeValue, float64(n), j.Kind, string(j.State))
	}
	firing := prometheus.NewDesc("holdfast_alerts_firing", "Alerts that are firing. Each condition has a series of the installation, also when it holds nowhere.",
		[]string{"condition", "severity", "project", "branch"}, nil)
	for _, c := range holdfast.Conditions() {
		if a := (platform.AlertCount{Condition: c, Severity: c.Severity()}); m.Firing[a] == 0 {
			out <- prometheus.MustNewConstMetric(firing, prometheus.GaugeValue, 0, string(c), string(c.Severity()), "", "")
		}
	}
	for a, n := range m.Firing {
		out <- prometheus.MustNewConstMetric(firing, prometheus.GaugeValue, float64(n), string(a.Condition), string(a.Severity), a.Project, a.Branch)
	}
}
