package store_test

import (
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/store"
)

func TestOldHoursAreKeptByTheDayAndNothingIsLost(t *testing.T) {
	s, _ := open(t)
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	update(t, s, func(tx *store.Tx) error {
		return tx.PutUsageMeter(store.UsageMeter{BranchID: "b1", ProjectID: "p1", Ref: holdfast.BranchRef{Project: "shop", Branch: "production"}, Meter: "{}"})
	})
	for hour := range 72 {
		for range 2 { // twice into the same hour
			update(t, s, func(tx *store.Tx) error {
				return tx.AddUsage("b1", day.Add(time.Duration(hour)*time.Hour), holdfast.Usage{AwakeMicros: 5, RootBytes: 2.5, ChildMicros: 1})
			})
		}
	}
	for range 2 { // folding again changes nothing
		update(t, s, func(tx *store.Tx) error { return tx.FoldUsage(day.Add(48 * time.Hour)) })
		var hours []store.UsageHour
		if err := s.View(t.Context(), func(tx *store.Tx) (err error) {
			hours, err = tx.UsageHours("p1", "", day, day.Add(72*time.Hour))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		var total holdfast.Usage
		for _, h := range hours {
			total.Add(h.Usage)
		}
		if want := (holdfast.Usage{AwakeMicros: 720, RootBytes: 360, ChildMicros: 144}); len(hours) != 2+24 || total != want || hours[1].AwakeMicros != 240 || !hours[1].Start.Equal(day.Add(24*time.Hour)) {
			t.Errorf("%d rows with %+v, want 26 with %+v", len(hours), total, want)
		}
	}
}
