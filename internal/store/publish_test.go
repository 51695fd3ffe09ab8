package store_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/store"
)

func TestAPublishIsNumberedAndKeepsItsTexts(t *testing.T) {
	s, _ := open(t)
	update(t, s, shop)
	text := bytes.Repeat([]byte("ALTER TABLE t ADD COLUMN c int;\n"), 10_000)
	update(t, s, func(tx *store.Tx) error {
		for want := 1; want <= 2; want++ {
			p := holdfast.Publish{ProjectID: "p1", State: holdfast.PublishDraft, Author: "ann", CreatedAt: time.Unix(5, 0).UTC()}
			if err := tx.InsertPublish(&p); err != nil || p.Number != want {
				t.Fatalf("got number %d, %v", p.Number, err)
			}
		}
		for _, body := range [][]byte{[]byte("first"), text} {
			if err := tx.SetPublishDoc("p1", 2, holdfast.PublishPlanDoc, body); err != nil {
				return err
			}
		}
		if err := tx.SetPublishAnswer("p1", 2, "drop:a", "yes", "ann", time.Unix(6, 0)); err != nil {
			return err
		}
		for _, body := range []string{`{"n":1}`, `{"n":2}`} {
			if err := tx.AppendPublish(store.PublishJournal, "p1", 2, time.Unix(7, 0), []byte(body)); err != nil {
				return err
			}
		}
		return tx.UpdatePublish(holdfast.Publish{ProjectID: "p1", Number: 2, State: holdfast.PublishPlanned, Hazards: []string{"lossy"}})
	})
	update(t, s, func(tx *store.Tx) error {
		p, err := tx.Publish("p1", 2)
		if err != nil || p.State != holdfast.PublishPlanned || len(p.Hazards) != 1 {
			t.Errorf("got %+v, %v", p, err)
		}
		all, err := tx.Publishes("p1", 10)
		if err != nil || len(all) != 2 || all[0].Number != 2 || all[1].Author != "ann" || !all[1].CreatedAt.Equal(time.Unix(5, 0)) {
			t.Errorf("got %+v, %v", all, err)
		}
		if planned, err := tx.PublishesIn(holdfast.PublishPlanned); err != nil || len(planned) != 1 {
			t.Errorf("got %+v, %v", planned, err)
		}
		if got, err := tx.PublishDoc("p1", 2, holdfast.PublishPlanDoc); err != nil || !bytes.Equal(got, text) {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
		if got, err := tx.PublishDoc("p1", 1, holdfast.PublishPlanDoc); err != nil || got != nil {
			t.Errorf("got %q, %v", got, err)
		}
		if answers, err := tx.PublishAnswers("p1", 2); err != nil || answers["drop:a"] != "yes" {
			t.Errorf("got %v, %v", answers, err)
		}
		journal, err := tx.PublishList(store.PublishJournal, "p1", 2)
		if err != nil || len(journal) != 2 || string(journal[1]) != `{"n":2}` {
			t.Errorf("got %s, %v", journal, err)
		}
		if err := tx.ClearPublish(store.PublishJournal, "p1", 2); err != nil {
			return err
		}
		if journal, _ = tx.PublishList(store.PublishJournal, "p1", 2); len(journal) != 0 {
			t.Errorf("got %s", journal)
		}
		_, err = tx.Publish("p1", 3)
		if holdfast.KindOf(err) != holdfast.NotFound {
			t.Errorf("got %v", err)
		}
		return nil
	})
}

func TestAProjectsBaselineAndHooksGoWithIt(t *testing.T) {
	s, _ := open(t)
	update(t, s, shop)
	update(t, s, func(tx *store.Tx) error {
		p := holdfast.Publish{ProjectID: "p1", State: holdfast.PublishDraft}
		if err := tx.InsertPublish(&p); err != nil {
			return err
		}
		if err := tx.SetPublishDoc("p1", 1, holdfast.PublishPlanDoc, nil); err != nil {
			return err
		}
		if err := tx.SetPublishHooks("p1", holdfast.Hooks{Command: "true"}); err != nil {
			return err
		}
		if err := tx.SetBaseline("p1", 1, []byte("old"), time.Unix(1, 0)); err != nil {
			return err
		}
		return tx.SetBaseline("p1", 1, []byte("new"), time.Unix(2, 0))
	})
	update(t, s, func(tx *store.Tx) error {
		if got, err := tx.Baseline("p1"); err != nil || string(got) != "new" {
			t.Errorf("got %q, %v", got, err)
		}
		if h, err := tx.PublishHooks("p1"); err != nil || h.Command != "true" {
			t.Errorf("got %+v, %v", h, err)
		}
		if err := tx.EraseProject("p1"); err != nil {
			return err
		}
		if got, err := tx.Baseline("p1"); err != nil || got != nil {
			t.Errorf("got %q, %v", got, err)
		}
		h, err := tx.PublishHooks("p1")
		if err != nil || h != (holdfast.Hooks{}) {
			t.Errorf("got %+v, %v", h, err)
		}
		return nil
	})
}
