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
	JoinPagePath  = "/join"  // with the secret after a #, this is an invitation, or a link for a new password

	ServerPath = Prefix + "/server"
	SetupPath  = Prefix + "/setup"

	LoginPath  = Prefix + "/login"
	LogoutPath = Prefix + "/logout"
	JoinPath   = Prefix + "/join"

	LoginMethodsPath = LoginPath + "/methods"
	OIDCPath         = Prefix + "/oidc"
	OIDCLoginPath    = LoginPath + "/oidc"
	OIDCCallbackPath = OIDCLoginPath + "/callback"
	OIDCCodePath     = OIDCLoginPath + "/code"

	AccountPath      = Prefix + "/account"
	PasswordPath     = AccountPath + "/password"
	SessionsPath     = AccountPath + "/sessions"
	SessionPath      = SessionsPath + "/{id}"
	CodePath         = AccountPath + "/code"
	CodeConfirmPath  = CodePath + "/confirm"
	CodeRemovePath   = CodePath + "/remove"
	PeoplePath       = Prefix + "/people"
	PersonPath       = PeoplePath + "/{person}"
	ResetLinkPath    = PersonPath + "/reset-link"
	PersonLogoutPath = PersonPath + "/logout"
	InvitationsPath  = Prefix + "/invitations"
	InvitationPath   = InvitationsPath + "/{id}"

	ProjectsPath = Prefix + "/projects"
	ProjectPath  = ProjectsPath + "/{project}"

	RemovedPath         = Prefix + "/removed"
	UndeleteProjectPath = ProjectPath + "/undelete"

	MembersPath            = ProjectPath + "/members"
	MemberPath             = MembersPath + "/{person}"
	ProjectInvitationsPath = ProjectPath + "/invitations"
	ProjectInvitationPath  = ProjectInvitationsPath + "/{id}"

	BranchesPath   = ProjectPath + "/branches"
	BranchPath     = BranchesPath + "/{branch}"
	SettingsPath   = BranchPath + "/settings"
	ConnectionPath = BranchPath + "/connection"
	RotatePath     = BranchPath + "/credentials/rotate"
	WakePath       = BranchPath + "/wake"
	SleepPath      = BranchPath + "/sleep"
	RestartPath    = BranchPath + "/restart"
	ResetPath      = BranchPath + "/reset"
	RowCountsPath  = BranchPath + "/row-counts"
	RescuePath     = BranchPath + "/rescue"
	RescueRunPath  = RescuePath + "/apply"
	RenamePath     = BranchPath + "/rename"
	UndeletePath   = BranchPath + "/undelete"
	ExtensionsPath = BranchPath + "/extensions"
	MonitoringPath = BranchPath + "/monitoring"

	ExportTablePath = BranchPath + "/export-table"
	ImportTablePath = BranchPath + "/import-table"
	AdoptBackupPath = BranchPath + "/adopt-backup"

	SQLPath       = BranchPath + "/sql"
	SQLQueryPath  = SQLPath + "/{query}"
	SQLExportPath = SQLPath + "/export"

	RowsPath    = BranchPath + "/rows"
	EditingPath = BranchPath + "/editing"

	SavedPath    = ProjectPath + "/saved"
	SavedOnePath = SavedPath + "/{id}"

	HistoryPath     = BranchPath + "/history"
	RestorePath     = BranchPath + "/restore"
	RestorePlanPath = RestorePath + "/plan"
	RestoreUndoPath = RestorePath + "/undo"
	LookPath        = RestorePath + "/preview"
	LookKeepPath    = BranchPath + "/keep-look"

	CheckpointsPath = BranchPath + "/checkpoints"
	CheckpointPath  = CheckpointsPath + "/{checkpoint}"

	LocationsPath    = ProjectPath + "/locations"
	LocationPath     = LocationsPath + "/{location}"
	LocationTestPath = ProjectPath + "/location-test"
	KeysPath         = ProjectPath + "/repository-keys"

	MaskPath = ProjectPath + "/masking"

	PublishesPath         = ProjectPath + "/publishes"
	PublishPath           = PublishesPath + "/{number}"
	PublishCancelPath     = PublishPath + "/cancel"
	PublishRehearsePath   = PublishPath + "/rehearse"
	PublishApplyPath      = PublishPath + "/apply"
	PublishContractPath   = PublishPath + "/contract"
	PublishRevertPath     = PublishPath + "/revert"
	PublishLogPath        = PublishPath + "/log"
	PublishMigrationsPath = ProjectPath + "/publish-migrations"
	PublishAdoptPath      = ProjectPath + "/publish-adopt"
	PublishHooksPath      = ProjectPath + "/publish-hooks"

	SchemaPath     = BranchPath + "/schema"
	SchemaLintPath = Prefix + "/schema-lint"
	SchemaDiffPath = Prefix + "/schema-diff"
	TablesPath     = BranchPath + "/tables"
	TablePath      = TablesPath + "/{table}"
	TableSQLPath   = TablePath + "/sql"
	// The paths of backups are the same in every program that offers them: see package adminbackup.
	BackupsPath        = "/api/admin/backups"
	BackupStatsPath    = BackupsPath + "/stats"
	BackupPath         = BackupsPath + "/{id}"
	BackupDownloadPath = BackupPath + "/download"
	BackupDataPath     = BackupPath + "/data"
	BackupVerifyPath   = BackupPath + "/verify"
	BackupReportPath   = BackupPath + "/report"

	SchedulesPath = BranchPath + "/schedules"
	SchedulePath  = SchedulesPath + "/{name}"

	RestoreBackupPath     = BranchPath + "/restore-backup"
	RestoreBackupUndoPath = RestoreBackupPath + "/undo"
	ImportPath            = BranchPath + "/import"
	SyncPath              = BranchPath + "/sync"
	SyncUndoPath          = SyncPath + "/undo"

	BackupHealthPath = BranchPath + "/backup-health"
	TableSetsPath    = ProjectPath + "/table-sets"
	TableSetPath     = TableSetsPath + "/{name}"
	ExportFolderPath = ProjectPath + "/export-folder"
	ProofHooksPath   = ProjectPath + "/proof-hooks"

	// AgentSettingsPath is what a project's agents may do beyond development and previews.
	AgentSettingsPath = ProjectPath + "/agents"

	JobsPath      = Prefix + "/jobs"
	JobPath       = JobsPath + "/{id}"
	JobLogPath    = JobPath + "/log"
	JobEventsPath = JobPath + "/events"
	JobCancelPath = JobPath + "/cancel"

	StatusPath           = Prefix + "/status"
	AlertsPath           = Prefix + "/alerts"
	AlertPath            = AlertsPath + "/{id}"
	AlertMutePath        = AlertPath + "/mute"
	AlertAcknowledgePath = AlertPath + "/acknowledge"
	AlertSettingsPath    = Prefix + "/alert-settings"
	AlertChannelsPath    = Prefix + "/alert-channels"
	AlertChannelPath     = AlertChannelsPath + "/{name}"
	AlertChannelTestPath = AlertChannelPath + "/test"

	ProjectAlertChannelsPath    = ProjectPath + "/alert-channels"
	ProjectAlertChannelPath     = ProjectAlertChannelsPath + "/{name}"
	ProjectAlertChannelTestPath = ProjectAlertChannelPath + "/test"

	TokensPath = Prefix + "/tokens"
	TokenPath  = TokensPath + "/{id}"

	UsagePath           = Prefix + "/usage"
	UsageCSVPath        = UsagePath + "/csv"
	UsagePricesPath     = UsagePath + "/prices"
	UsageBudgetsPath    = UsagePath + "/budgets"
	UsageBudgetPath     = UsageBudgetsPath + "/{name}"
	ProjectUsagePath    = ProjectPath + "/usage"
	ProjectUsageCSVPath = ProjectUsagePath + "/csv"
	ProjectBudgetsPath  = ProjectPath + "/budgets"
	ProjectBudgetPath   = ProjectBudgetsPath + "/{name}"
	BranchUsagePath     = BranchPath + "/usage"
	BranchUsageCSVPath  = BranchUsagePath + "/csv"

	AuditPath       = Prefix + "/audit"
	AuditVerifyPath = AuditPath + "/verify"
	AuditExportPath = AuditPath + "/export"
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
