package backup

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"html/template"
	"io"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/blob"
)

// signedReport is a report with the signature of its compact JSON.
type signedReport struct {
	Report    json.RawMessage `json:"report"`
	Algorithm string          `json:"algorithm"`
	PublicKey []byte          `json:"public_key"`
	Signature []byte          `json:"signature"`
}

const algorithm = "ed25519"

// Sign writes a report with a signature: docs/formats/backup-report.md.
func Sign(r Report, key ed25519.PrivateKey) ([]byte, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: "the key for signing reports is not an Ed25519 key"}
	}
	text := marshal(r)
	signed := signedReport{Report: text, Algorithm: algorithm, PublicKey: key[ed25519.PrivateKeySize-ed25519.PublicKeySize:], Signature: ed25519.Sign(key, text)}
	var out bytes.Buffer
	if err := json.Indent(&out, marshal(signed), "", "  "); err != nil {
		return nil, fmt.Errorf("write the report: %w", err)
	}
	return append(out.Bytes(), '\n'), nil
}

// ReadReport reads a signed report. One that the key did not sign, or that was changed, is Corrupt. White space does not matter.
func ReadReport(data []byte, key ed25519.PublicKey) (Report, error) {
	corrupt := func(why string, cause error) (Report, error) {
		return Report{}, &holdfast.Error{Kind: holdfast.Corrupt, Message: "the report cannot be believed: " + why, Cause: cause}
	}
	var signed signedReport
	if err := json.Unmarshal(data, &signed); err != nil {
		return corrupt("it is damaged", err)
	}
	var text bytes.Buffer
	if err := json.Compact(&text, signed.Report); err != nil {
		return corrupt("it is damaged", err)
	}
	if signed.Algorithm != algorithm || len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, text.Bytes(), signed.Signature) {
		return corrupt("it does not have our signature", nil)
	}
	var r Report
	if err := json.Unmarshal(text.Bytes(), &r); err != nil {
		return corrupt("it is damaged", err)
	}
	if r.Version > ReportVersion {
		return Report{}, &holdfast.Error{Kind: holdfast.Precondition, Message: "the report was made by a newer program", Hint: "use a newer program"}
	}
	return r, nil
}

// KeepReport puts a signed report beside the backup; when it passed, the manifest says so. A backup that is held until a person marks
// it verified stays held.
func (c *Catalogue) KeepReport(ctx context.Context, r Report, key ed25519.PrivateKey) (holdfast.Backup, error) {
	b, err := c.Get(ctx, r.Name)
	if err != nil {
		return b, err
	}
	if b.ID != r.Backup || b.SHA256 != r.SHA256 {
		return b, &holdfast.Error{Kind: holdfast.Conflict, Message: fmt.Sprintf("the report is about other bytes than those of the backup %s", b.Name)}
	}
	signed, err := Sign(r, key)
	if err != nil {
		return b, err
	}
	name := "report-" + r.EndedAt.UTC().Format(holdfast.BackupTimeLayout) + ".json"
	if _, err := c.location.Put(ctx, c.object(b.Name, name), bytes.NewReader(signed), blob.PutOptions{Size: int64(len(signed))}); err != nil {
		return b, fmt.Errorf("keep the report: %w", err)
	}
	if !r.Passed {
		return b, nil
	}
	return c.Change(ctx, b.Name, func(b *holdfast.Backup) { b.VerifiedAt, b.Report = r.EndedAt, name })
}

// ReportOf reads the last report of a backup that passed.
func (c *Catalogue) ReportOf(ctx context.Context, b holdfast.Backup, key ed25519.PublicKey) (Report, error) {
	if b.Report == "" {
		return Report{}, &holdfast.Error{Kind: holdfast.NotFound, Message: fmt.Sprintf("it was not proved yet that the backup %s restores", b.Name)}
	}
	in, err := c.location.Get(ctx, c.object(b.Name, b.Report), 0, maxManifest)
	if err != nil {
		return Report{}, fmt.Errorf("read the report of %s: %w", b.Name, err)
	}
	defer in.Close()
	data, err := io.ReadAll(in)
	if err != nil {
		return Report{}, fmt.Errorf("read the report of %s: %w", b.Name, err)
	}
	return ReadReport(data, key)
}

// page needs neither scripts nor other files, so that it can be kept and printed.
var page = template.Must(template.New("report").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{.Name}}: {{if .Passed}}restores{{else}}does not restore{{end}}</title>
<style>body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b;background:#fff}table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.4rem .6rem;border-bottom:1px solid #ddd}
.passed{color:#14691f}.failed{color:#a40e26;font-weight:600}.warning{color:#8a5300}.skipped{color:#666}code{word-break:break-all}</style></head><body>
<h1>{{.Name}}</h1>
<p class="{{if .Passed}}passed{{else}}failed{{end}}">{{if .Passed}}This backup was restored, and every check passed.{{else}}This backup did not pass.{{end}}</p>
<table><tr><th>Project, branch</th><td>{{.Project}}/{{.Branch}}</td></tr><tr><th>It shows</th><td>{{.SnapshotAt.Format "2006-01-02 15:04:05 MST"}}</td></tr>
<tr><th>Proved</th><td>{{.StartedAt.Format "2006-01-02 15:04:05 MST"}} to {{.EndedAt.Format "15:04:05 MST"}}{{with .By}}, by {{.}}{{end}}, on PostgreSQL {{.ServerVersion}}</td></tr>
<tr><th>Bytes</th><td>{{.Size}}, SHA-256 <code>{{.SHA256}}</code></td></tr></table>
<h2>Checks</h2><table><tr><th>Check</th><th>Result</th><th>Found</th></tr>
{{range .Findings}}<tr><td>{{.Check}}</td><td class="{{.State}}">{{.State}}</td><td>{{.Detail}}{{with .Hint}}<br><small>{{.}}</small>{{end}}{{range .Items}}<br><code>{{.}}</code>{{end}}</td></tr>
{{end}}</table>{{with .Notes}}<h2>Left out by the restore</h2><ul>{{range .}}<li>{{.}}</li>{{end}}</ul>{{end}}
<p><small>The signed report lies beside the backup as JSON; only its signature proves anything.</small></p></body></html>
`))

// WritePage writes the report as a page for people.
func (r Report) WritePage(w io.Writer) error {
	if err := page.Execute(w, r); err != nil {
		return fmt.Errorf("write the report's page: %w", err)
	}
	return nil
}
