package server

import (
	"context"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

type auditInput struct {
	Before  int64     `query:"before" minimum:"0" doc:"Only entries before this number; 0: from the end."`
	Limit   int       `query:"limit" default:"100" minimum:"1" maximum:"1000"`
	Actor   string    `query:"actor" maxLength:"200" doc:"Only entries of whom has this in the name. Texts are found anywhere, whatever their case."`
	Action  string    `query:"action" maxLength:"200" doc:"Only entries with this in what was done." example:"backup."`
	Subject string    `query:"subject" maxLength:"200" doc:"Only entries with this in what it was done to." example:"shop/production"`
	Source  string    `query:"source" maxLength:"200" doc:"Only entries with this in the address that the request came from."`
	Since   time.Time `query:"since" doc:"Only entries from this moment on."`
	Until   time.Time `query:"until" doc:"Only entries before this moment."`
}

type auditExportInput struct {
	After int64 `query:"after" minimum:"0" doc:"Only entries after this number."`
	Limit int   `query:"limit" default:"1000" minimum:"1" maximum:"1000"`
}

type setupInput struct {
	Body api.Setup
}

func (s *Server) installationRoutes() {
	add(s, route{method: http.MethodGet, path: api.ServerPath, id: "get-server", rule: forCallers, tag: "installation", summary: "Which server this is, and who you are to it"},
		func(ctx context.Context, who holdfast.Principal, _ *struct{}) (api.ServerInfo, error) {
			return api.ServerInfo{Version: s.config.Version, Gateway: s.config.Gateway,
				You: viewCaller(who)}, nil
		})
	add(s, route{method: http.MethodPost, path: api.SetupPath, id: "redeem-setup", rule: forAnyone, tag: "installation", summary: "Redeem the one-time set-up link for an admin token", status: http.StatusCreated,
		about: "The secret of the link is its part after the #. It works once and for a day."},
		func(ctx context.Context, who holdfast.Principal, in *setupInput) (api.TokenSecret, error) {
			secret, t, err := s.config.Platform.RedeemSetup(ctx, who.Source, in.Body.Secret, in.Body.Name)
			return api.TokenSecret{Secret: secret, Token: viewToken(t, nil)}, err
		})
	addList(s, route{method: http.MethodGet, path: api.AuditPath, id: "list-audit", rule: forInstallation, tag: "installation", summary: "The audit trail, the newest first"},
		func(ctx context.Context, who holdfast.Principal, in *auditInput) ([]api.AuditEntry, error) {
			f := platform.AuditFilter{Actor: in.Actor, Action: in.Action, Subject: in.Subject, Source: in.Source, Since: in.Since, Until: in.Until}
			entries, err := s.config.Platform.AuditMatching(ctx, who, f, in.Before, in.Limit)
			return mapped(entries, viewAudit), err
		})
	addList(s, route{method: http.MethodGet, path: api.AuditExportPath, id: "export-audit", rule: forInstallation, tag: "installation", summary: "The audit trail, the oldest first",
		about: "One answer holds at most a thousand entries; ask for the next with the number of the last."},
		func(ctx context.Context, who holdfast.Principal, in *auditExportInput) ([]api.AuditEntry, error) {
			entries, err := s.config.Platform.AuditAfter(ctx, who, in.After, in.Limit)
			return mapped(entries, viewAudit), err
		})
	add(s, route{method: http.MethodGet, path: api.AuditVerifyPath, id: "verify-audit", rule: forInstallation, tag: "installation", summary: "Check that the audit trail was not tampered with",
		about: "An entry that was edited, removed, moved or put in is found, and so is a cut end: how the trail ends is signed with the installation's key."},
		func(ctx context.Context, who holdfast.Principal, _ *struct{}) (api.AuditVerified, error) {
			last, err := s.config.Platform.VerifyAudit(ctx, who)
			return api.AuditVerified{Entries: last.Seq, Hash: hex.EncodeToString(last.Hash)}, err
		})
}

func viewCaller(who holdfast.Principal) api.Caller {
	return api.Caller{Name: who.Name, Kind: string(who.Kind), Right: string(who.Right), Person: string(who.PersonID), Admin: who.Everywhere().Includes(holdfast.MayAdmin), ProjectID: string(who.ProjectID)}
}

func viewAudit(e platform.AuditEntry) api.AuditEntry {
	return api.AuditEntry{Seq: e.Seq, At: e.At, Actor: e.Actor, Source: e.Source, Action: e.Action, Subject: e.Subject, Detail: rawJSON(e.Detail), Hash: hex.EncodeToString(e.Hash)}
}
