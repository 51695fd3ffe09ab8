package platform

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"strings"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/identity"
	"github.com/holdfast/holdfast/internal/store"
)

const recoveryCodes = 10

// CodeSetup is what an authenticator needs to be told.
type CodeSetup struct{ Secret, URL string }

// proveCode checks the second factor of a person who has one. Precondition says that a code is still to come.
func (p *Platform) proveCode(ctx context.Context, person store.Person, code string) (store.Person, error) {
	if !person.OneTimeCode {
		return person, nil
	}
	if code = strings.TrimSpace(code); code == "" {
		return person, &holdfast.Error{Kind: holdfast.Precondition, Message: "a code of the authenticator is needed", Hint: "a recovery code does as well"}
	}
	err := p.store.Update(ctx, func(tx *store.Tx) (err error) {
		current, err := tx.Person(person.ID) // two requests with one code wait for each other here
		if err != nil {
			return err
		}
		step, right := identity.CheckCode(current.CodeSecret, code, p.now(), current.CodeStep)
		if right {
			current.CodeStep, person.CodeStep = step, step
			return tx.UpdatePerson(current)
		}
		err = tx.UseRecoveryCode(person.ID, hashSecret(plainCode(code)))
		if err == nil {
			return p.record(tx, holdfast.Principal{Name: person.Name}, "login.recovery_code", person.Name, nil)
		}
		return err
	})
	if holdfast.KindOf(err) == holdfast.NotFound {
		err = &holdfast.Error{Kind: holdfast.Unauthenticated, Message: "the code is wrong or was used already", Hint: "wait for the next one; a recovery code does as well"}
	}
	return person, err
}

// plainCode is a recovery code without what makes it readable.
func plainCode(code string) string {
	return strings.ToUpper(strings.NewReplacer(" ", "", "-", "").Replace(code))
}

// BeginCode makes a secret for an authenticator. It counts for nothing until ConfirmCode.
func (p *Platform) BeginCode(ctx context.Context, who holdfast.Principal, password string) (CodeSetup, error) {
	person, err := p.ownAccount(ctx, who, password)
	if err != nil {
		return CodeSetup{}, err
	}
	if person.OneTimeCode {
		return CodeSetup{}, &holdfast.Error{Kind: holdfast.Conflict, Message: "signing in takes a code already", Hint: "switch that off first"}
	}
	person.CodeSecret = identity.NewCodeSecret()
	err = p.store.Update(ctx, func(tx *store.Tx) error { return tx.UpdatePerson(person) })
	return CodeSetup{Secret: identity.CodeSecretText(person.CodeSecret), URL: identity.CodeURL(person.CodeSecret, "Holdfast", person.Name)}, err
}

// ConfirmCode makes signing in take codes from now on, after one was right, and returns the recovery codes, which are never shown again.
func (p *Platform) ConfirmCode(ctx context.Context, who holdfast.Principal, code string) ([]string, error) {
	if err := checkPerson(who); err != nil {
		return nil, err
	}
	codes := make([]string, recoveryCodes)
	hashes := make([][]byte, recoveryCodes)
	for i := range codes {
		text := rand.Text()[:16] // 80 bits
		codes[i], hashes[i] = text[:4]+"-"+text[4:8]+"-"+text[8:12]+"-"+text[12:], hashSecret(text)
	}
	err := p.store.Update(ctx, func(tx *store.Tx) error {
		person, err := tx.Person(who.PersonID)
		if err != nil {
			return err
		}
		step, right := identity.CheckCode(person.CodeSecret, code, p.now(), person.CodeStep)
		if len(person.CodeSecret) == 0 || person.OneTimeCode || !right {
			return &holdfast.Error{Kind: holdfast.Invalid, Message: "that is not the code of the authenticator that is being set up", Hint: "check the clock of the authenticator"}
		}
		person.OneTimeCode, person.CodeStep = true, step
		if err := tx.UpdatePerson(person); err != nil {
			return err
		}
		if err := tx.SetRecoveryCodes(person.ID, hashes); err != nil {
			return err
		}
		return p.record(tx, who, "account.code_on", who.Name, nil)
	})
	if err != nil {
		return nil, err
	}
	return codes, nil
}

// RemoveCode lets the password alone be enough again.
func (p *Platform) RemoveCode(ctx context.Context, who holdfast.Principal, password string) error {
	person, err := p.ownAccount(ctx, who, password)
	if err != nil {
		return err
	}
	return p.store.Update(ctx, func(tx *store.Tx) error { return p.dropCode(tx, who, person) })
}

func (p *Platform) dropCode(tx *store.Tx, who holdfast.Principal, person store.Person) error {
	person.OneTimeCode, person.CodeSecret = false, nil
	if err := tx.UpdatePerson(person); err != nil {
		return err
	}
	if err := tx.SetRecoveryCodes(person.ID, nil); err != nil {
		return err
	}
	return p.record(tx, who, "account.code_off", person.Name, nil)
}

func sameBytes(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
