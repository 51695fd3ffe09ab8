package api

import (
	"net/url"
	"strings"
)

// Paths of the API. Names in braces are filled in by Path.
const (
	Prefix = "/api/v1"

	OpenAPIPath = "/api/openapi.json"
	DocsPath    = "/api/docs"
	HealthPath  = "/healthz"
	ReadyPath   = "/readyz"
	MetricsPath = "/metrics"

	SetupPagePath = "/setup" // with the secret after a #, this is the one-time set-up link

	ServerPath = Prefix + "/server"
	SetupPath  = Prefix + "/setup"

	ProjectsPath = Prefix + "/projects"
	ProjectPath  = ProjectsPath + "/{project}"

	BranchesPath   = ProjectPath + "/branches"
	BranchPath     = BranchesPath + "/{branch}"
	SettingsPath   = BranchPath + "/settings"
	ConnectionPath = BranchPath + "/connection"
	RotatePath     = BranchPath + "/credentials/rotate"
	WakePath       = BranchPath + "/wake"
	SleepPath      = BranchPath + "/sleep"
	RestartPath    = BranchPath + "/restart"
	RenamePath     = BranchPath + "/rename"
	ExtensionsPath = BranchPath + "/extensions"

	HistoryPath     = BranchPath + "/history"
	RestorePath     = BranchPath + "/restore"
	RestorePlanPath = RestorePath + "/plan"
	RestoreUndoPath = RestorePath + "/undo"

	CheckpointsPath = BranchPath + "/checkpoints"
	CheckpointPath  = CheckpointsPath + "/{checkpoint}"

	LocationsPath    = ProjectPath + "/locations"
	LocationPath     = LocationsPath + "/{location}"
	LocationTestPath = ProjectPath + "/location-test"
	KeysPath         = ProjectPath + "/repository-keys"

	MaskPath = ProjectPath + "/masking"

	PublishesPath       = ProjectPath + "/publishes"
	PublishPath         = PublishesPath + "/{number}"
	PublishCancelPath   = PublishPath + "/cancel"
	PublishRehearsePath = PublishPath + "/rehearse"
	PublishApplyPath    = PublishPath + "/apply"
	PublishRevertPath   = PublishPath + "/revert"
	PublishLogPath      = PublishPath + "/log"
	PublishHooksPath    = ProjectPath + "/publish-hooks"

	SchemaPath     = BranchPath + "/schema"
	SchemaDiffPath = Prefix + "/schema-diff"

	JobsPath      = Prefix + "/jobs"
	JobPath       = JobsPath + "/{id}"
	JobLogPath    = JobPath + "/log"
	JobEventsPath = JobPath + "/events"
	JobCancelPath = JobPath + "/cancel"

	TokensPath = Prefix + "/tokens"
	TokenPath  = TokensPath + "/{id}"

	AuditPath = Prefix + "/audit"
)

// Path fills the braces of a path, in order, with values of any bytes.
func Path(template string, values ...string) string {
	for _, v := range values {
		before, rest, found := strings.Cut(template, "{")
		if !found {
			break
		}
		_, after, _ := strings.Cut(rest, "}")
		// A value cannot bring in braces: PathEscape encodes them.
		template = before + url.PathEscape(v) + after
	}
	return template
}
