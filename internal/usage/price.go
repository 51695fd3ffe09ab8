package usage

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast/holdfast"
)

// Line is what one metric costs.
type Line struct {
	Metric   holdfast.UsageMetric
	Quantity float64 // in the unit of the price
	Unit     string
	Price    float64
	Cost     float64
}

// Cost is what usage costs: a line for each metric that has a price, in the order of holdfast.UsageMetrics, and their sum.
func Cost(u holdfast.Usage, prices holdfast.UsagePrices) (lines []Line, total float64) {
	for _, m := range holdfast.UsageMetrics() {
		price, priced := prices.Prices[m]
		if !priced {
			continue
		}
		unit, amount, _ := m.PriceUnit()
		l := Line{Metric: m, Quantity: u.Value(m) / amount, Unit: unit, Price: price}
		l.Cost = l.Quantity * price
		lines = append(lines, l)
		total += l.Cost
	}
	return lines, total
}

// Value is the usage in the unit of a metric, which may be holdfast.CostMetric.
func Value(u holdfast.Usage, m holdfast.UsageMetric, prices holdfast.UsagePrices) float64 {
	if m == holdfast.CostMetric {
		_, total := Cost(u, prices)
		return total
	}
	return u.Value(m)
}

// forecastFrom is how far back the pace of usage is measured.
const forecastFrom = 7 * 24 * time.Hour

// Pace is the stretch of time before now whose usage tells how it goes on: the last seven days, or as long as there is something counted.
func Pace(now, first time.Time) Span {
	from := now.Add(-forecastFrom)
	if from.Before(first) {
		from = first
	}
	return Span{From: from, To: now}
}

// Forecast is what a billing period will have used at its end when it goes on at a pace: what was used in over.
func Forecast(soFar, recent holdfast.Usage, over Span, period Span) holdfast.Usage {
	left, took := period.To.Sub(over.To), over.To.Sub(over.From)
	if left <= 0 || took <= 0 {
		return soFar
	}
	soFar.Add(scaled(recent, left.Seconds()/took.Seconds()))
	return soFar
}

func scaled(u holdfast.Usage, by float64) holdfast.Usage {
	whole := func(n int64) int64 { return int64(math.Round(float64(n) * by)) }
	return holdfast.Usage{AwakeMicros: whole(u.AwakeMicros), ComputeMicros: whole(u.ComputeMicros), RootBytes: u.RootBytes * by, ChildBytes: u.ChildBytes * by,
		DataLogical: u.DataLogical * by, HistoryBytes: u.HistoryBytes * by, HistoryLogical: u.HistoryLogical * by, BackupBytes: u.BackupBytes * by, BackupLogical: u.BackupLogical * by,
		Written: whole(u.Written), Received: whole(u.Received), Sent: whole(u.Sent), BranchMicros: whole(u.BranchMicros), ChildMicros: whole(u.ChildMicros)}
}

// A compute unit is 4 GiB of memory, as hosted PostgreSQL counts it, and a server is taken to need four times its shared_buffers.
const unitBuffers = 1 << 30

// Size is the size of a server with that shared_buffers, in quarters of a compute unit, rounded up; the smallest is one quarter.
func Size(sharedBuffers string) int64 {
	return max(1, int64(math.Ceil(bytesOf(sharedBuffers)/unitBuffers*4)))
}

// bytesOf reads a setting that PostgreSQL counts in blocks of 8 kB where it has no unit; 0 for what cannot be read.
func bytesOf(setting string) float64 {
	text := strings.TrimSpace(setting)
	number := strings.TrimRight(text, "kMGTB ")
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || n < 0 {
		return 0
	}
	factor, known := map[string]float64{"": 8192, "B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}[strings.TrimSpace(text[len(number):])]
	if !known {
		return 0
	}
	return n * factor
}
