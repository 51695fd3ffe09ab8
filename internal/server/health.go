package server

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast/holdfast/internal/api"
)

// readyTimeout bounds a readiness probe: who probes gives up earlier than a request would.
const readyTimeout = 5 * time.Second

// mountHealth adds the routes for those who watch the process. The two probes need no token and give nothing away.
func (s *Server) mountHealth() {
	s.mux.HandleFunc("GET "+api.HealthPath, func(w http.ResponseWriter, r *http.Request) { plain(w, http.StatusOK, "ok\n") })
	s.mux.HandleFunc("GET "+api.ReadyPath, func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		if err := s.config.Platform.Ready(ctx); err != nil {
			s.log.WarnContext(ctx, "not ready", "err", err)
			plain(w, http.StatusServiceUnavailable, "not ready\n")
			return
		}
		plain(w, http.StatusOK, "ready\n")
	})
	s.mux.Handle("GET "+api.MetricsPath, s.requireToken(http.HandlerFunc(s.serveMetrics)))
	s.mux.HandleFunc("/api/", s.unknownRoute)
	if _, console := s.config.Mounts["/"]; !console {
		s.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
			plain(w, http.StatusOK, "Holdfast "+s.config.Version+"\n\nThe API is described at "+api.DocsPath+".\n")
		})
		// Browsers keep the link's secret, which stands after the #, to themselves: it cannot be redeemed here.
		s.mux.HandleFunc("GET "+api.SetupPagePath, func(w http.ResponseWriter, r *http.Request) {
			plain(w, http.StatusOK, "This is a set-up link. Redeem it with: holdfast login --setup 'LINK'\n")
		})
		s.mux.HandleFunc("GET "+api.JoinPagePath, func(w http.ResponseWriter, r *http.Request) {
			plain(w, http.StatusOK, "This is a link to sign in for the first time, or to set a new password. Redeem it with: holdfast user join 'LINK'\n")
		})
	}
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	io.WriteString(w, text)
}

// metrics are those of the HTTP side.
type metrics struct {
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_http_requests_total", Help: "HTTP requests answered."}, []string{"route", "status"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "holdfast_http_request_seconds", Help: "Time to answer an HTTP request.",
			Buckets: []float64{.001, .005, .02, .1, .5, 2, 10, 60}}, []string{"route"}),
	}
	r.MustRegister(m.requests, m.took)
	return m
}

func (m *metrics) request(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	m.took.WithLabelValues(route).Observe(took.Seconds())
}
