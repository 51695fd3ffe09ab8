package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/store"
)

// AgentSettings say what a project's agents may do beyond development and previews.
type AgentSettings struct {
	ReadProduction   bool          `json:"read_production"`   // run queries on production, as a role that can only select
	StatementTimeout time.Duration `json:"statement_timeout"` // of such a query; zero: DefaultAgentTimeout
}

// Bounds of an agent's query on production.
const (
	DefaultAgentTimeout = 10 * time.Second
	MaxAgentTimeout     = time.Minute
)

func agentSettingsKey(project holdfast.ProjectID) string { return "agents " + string(project) }

func (p *Platform) readAgentSettings(ctx context.Context, project holdfast.ProjectID) (s AgentSettings, err error) {
	err = p.store.View(ctx, func(tx *store.Tx) error {
		raw, found, err := tx.Setting(agentSettingsKey(project))
		if err != nil || !found {
			return err
		}
		return json.Unmarshal([]byte(raw), &s)
	})
	if s.StatementTimeout == 0 {
		s.StatementTimeout = DefaultAgentTimeout
	}
	return s, err
}

// AgentSettings shows what a project's agents may do beyond development and previews.
func (p *Platform) AgentSettings(ctx context.Context, who holdfast.Principal, project string) (AgentSettings, error) {
	found, _, err := p.findProject(ctx, who, project, holdfast.MayRead)
	if err != nil {
		return AgentSettings{}, err
	}
	return p.readAgentSettings(ctx, found.ID)
}

// SetAgentSettings says what a project's agents may do from now on. It is for admins of the project, never for an agent.
func (p *Platform) SetAgentSettings(ctx context.Context, who holdfast.Principal, project string, s AgentSettings) error {
	found, _, err := p.findProject(ctx, who, project, holdfast.MayAdmin)
	if err != nil {
		return err
	}
	if s.StatementTimeout == 0 {
		s.StatementTimeout = DefaultAgentTimeout
	}
	if s.StatementTimeout < time.Second || s.StatementTimeout > MaxAgentTimeout {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("an agent's query on production takes one second to %s", MaxAgentTimeout)}
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	err = p.store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.SetSetting(agentSettingsKey(found.ID), string(raw)); err != nil {
			return err
		}
		return p.record(tx, who, "project.agents", project, map[string]any{"read_production": s.ReadProduction, "statement_timeout": s.StatementTimeout.String()})
	})
	if err != nil || s.ReadProduction {
		return err
	}
	return p.endAgentReading(ctx, found.ID)
}

// agentRoleKey is a mark that a branch may have the role that agents read production as.
func agentRoleKey(id holdfast.BranchID) string { return "agent role " + string(id) }

// endAgentReading ends what agents read on a project's production, and removes their role where the server is awake. Elsewhere that is done when it
// wakes; until then nobody can log in as it.
func (p *Platform) endAgentReading(ctx context.Context, project holdfast.ProjectID) error {
	var branches []store.Branch
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { branches, err = tx.Branches(project); return err }); err != nil {
		return err
	}
	for _, b := range branches {
		if b.Environment == holdfast.Production {
			p.queries.endAgents(b.ID)
			p.removeAgentRole(ctx, b.ID)
		}
	}
	return nil
}

// forgetAgentReading drops what was set for the agents of a project that is gone.
func forgetAgentReading(tx *store.Tx, project holdfast.ProjectID, branches []store.Branch) error {
	if err := tx.DeleteSetting(agentSettingsKey(project)); err != nil {
		return err
	}
	for _, b := range branches {
		if b.ProjectID != project {
			continue
		}
		if err := tx.DeleteSetting(agentRoleKey(b.ID)); err != nil {
			return err
		}
	}
	return nil
}

// removeAgentRole removes the role that agents read production as from a branch that is awake and may have it, unless its project allows it. What fails
// is in the log and tried again with the next wake.
func (p *Platform) removeAgentRole(ctx context.Context, id holdfast.BranchID) {
	var b store.Branch
	var marked bool
	err := p.store.View(ctx, func(tx *store.Tx) (err error) {
		if _, marked, err = tx.Setting(agentRoleKey(id)); err == nil && marked {
			b, err = tx.Branch(id)
		}
		return err
	})
	if err != nil || !marked {
		return
	}
	p.agents.entering.Lock() // nobody makes it anew meanwhile
	defer p.agents.entering.Unlock()
	if s, err := p.readAgentSettings(ctx, b.ProjectID); err != nil || s.ReadProduction {
		return
	}
	err = p.fleet.RemoveAgentRole(ctx, id, b.Ref().Database())
	if err == nil {
		err = p.store.Update(ctx, func(tx *store.Tx) error { return tx.DeleteSetting(agentRoleKey(id)) })
	}
	if err != nil && !errors.Is(err, fleet.ErrAsleep) && ctx.Err() == nil {
		p.log.Warn("remove the role that agents read as", "branch", id, "err", err)
	}
}

// endAgents ends the queries that agents run on a branch as the role for that.
func (q *queries) endAgents(id holdfast.BranchID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, one := range q.byID {
		if one.branch == id && one.asAgent {
			one.cancel(agentRefused("read production's rows"))
		}
	}
}

// agentReads says whether a query is an agent's on production that the project allows, and bounds it. Anything else is for checkQuery.
func (p *Platform) agentReads(ctx context.Context, who holdfast.Principal, b store.Branch, q *Query) (bool, error) {
	if who.Kind != holdfast.AgentToken || b.Environment != holdfast.Production {
		return false, nil
	}
	s, err := p.readAgentSettings(ctx, b.ProjectID)
	if err != nil || !mayReadAsAgent(who, b, q.Write, s) {
		return false, err
	}
	if q.Timeout == 0 || q.Timeout > s.StatementTimeout {
		q.Timeout = s.StatementTimeout
	}
	return true, nil
}

// agentConn opens a session of the role that agents read production as. Its password is made for this login, and nobody is told. It wakes the branch.
func (p *Platform) agentConn(ctx context.Context, b store.Branch) (*fleet.Conn, error) {
	p.agents.entering.Lock()
	defer p.agents.entering.Unlock()
	s, err := p.readAgentSettings(ctx, b.ProjectID) // it may have been switched off since the query was let through
	if err != nil {
		return nil, err
	}
	if !s.ReadProduction {
		return nil, agentRefused("read production's rows")
	}
	if err := p.store.Update(ctx, func(tx *store.Tx) error { return tx.SetSetting(agentRoleKey(b.ID), "") }); err != nil {
		return nil, err
	}
	return p.fleet.ConnectAsAgent(ctx, b.ID, newPassword(), b.Ref().Database())
}
