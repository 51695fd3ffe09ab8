package platform

import (
	"context"
	"slices"
	"testing"

	"github.com/holdfast/holdfast"
)

// notebook is a door that writes down what it is told.
type notebook struct{ notes []string }

func (n *notebook) Hold(ref holdfast.BranchRef)                    { n.notes = append(n.notes, "hold "+ref.String()) }
func (n *notebook) Resume(ref holdfast.BranchRef)                  { n.notes = append(n.notes, "resume "+ref.String()) }
func (n *notebook) Forget(ref holdfast.BranchRef)                  { n.notes = append(n.notes, "forget "+ref.String()) }
func (n *notebook) Rest(context.Context, holdfast.BranchRef) error { return nil }
func (n *notebook) Disconnect(context.Context, holdfast.BranchRef) error {
	return nil
}

// A job that the last control plane left is at work before the front door opens: the door must hold the branch as well.
func TestADoorThatOpensLateHoldsWhatIsHeld(t *testing.T) {
	var p Platform
	production := holdfast.BranchRef{Project: "shop", Branch: "production"}
	first, second := p.doors.hold(production), p.doors.hold(production)
	if err := p.doors.empty(t.Context(), production); err != nil {
		t.Fatal(err)
	}
	var n notebook
	p.SetDoor(&n)
	first()
	first()
	if want := []string{"hold shop/production"}; !slices.Equal(n.notes, want) {
		t.Errorf("got %q", n.notes)
	}
	second()
	p.doors.forget(production)
	if want := []string{"hold shop/production", "resume shop/production", "forget shop/production"}; !slices.Equal(n.notes, want) {
		t.Errorf("got %q", n.notes)
	}
}
