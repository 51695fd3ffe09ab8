package holdfast

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// AlertID identifies an alert for good.
type AlertID string

// Condition is a kind of thing that can be wrong.
type Condition string

// The conditions. docs/alerts.md says of each when it fires and when it is over.
const (
	BackupFailing   Condition = "backup_failed"      // the newest backup of a branch failed
	BackupAbsent    Condition = "backup_absent"      // production has no backup, or an old one only
	ProofFailed     Condition = "verify_failed"      // the newest attempt to prove that a backup restores failed
	ProofAbsent     Condition = "verify_absent"      // no backup of production was proved for too long
	WALGap          Condition = "wal_gap"            // WAL was lost: there are moments that cannot be restored
	WALLag          Condition = "wal_lag"            // WAL arrives too late, here or at a location
	SlotRetention   Condition = "slot_retention"     // a replication slot keeps much WAL on the server's disk
	DataDamaged     Condition = "data_damaged"       // damaged pages, or damaged objects at a location
	DiskLow         Condition = "disk_low"           // the disk of the databases is nearly full
	DiskBudget      Condition = "disk_budget"        // the databases together are larger than they may be
	CrashLoop       Condition = "server_crash_loop"  // a server died again and again and was left stopped
	LongTransaction Condition = "long_transaction"   // a transaction is open for long
	LockWait        Condition = "lock_wait"          // a session waits for a lock for long
	PublishStuck    Condition = "publish_blocked"    // a publish cannot go on
	BudgetSpent     Condition = "budget"             // a usage budget is spent
	Certificate     Condition = "certificate_expiry" // the front door's certificate ends soon, or has ended
	KeyMissing      Condition = "key_missing"        // what lies at a location cannot be opened, or is not there any more
	ChannelFailing  Condition = "channel_failing"    // notices do not reach a channel
)

// Conditions lists the conditions.
func Conditions() []Condition {
	return []Condition{BackupFailing, BackupAbsent, ProofFailed, ProofAbsent, WALGap, WALLag, SlotRetention, DataDamaged, DiskLow, DiskBudget, CrashLoop,
		LongTransaction, LockWait, PublishStuck, BudgetSpent, Certificate, KeyMissing, ChannelFailing}
}

// Severity says how bad an alert is.
type Severity string

// The severities.
const (
	Warning  Severity = "warning"
	Critical Severity = "critical" // data or service is lost or at risk now
)

// Severity says how bad it is when the condition holds.
func (c Condition) Severity() Severity {
	switch c {
	case BackupAbsent, ProofFailed, WALGap, WALLag, DataDamaged, DiskLow, CrashLoop, KeyMissing:
		return Critical
	}
	return Warning
}

// Covers says whether who wants to hear of severity s and worse hears of t.
func (s Severity) Covers(t Severity) bool { return s != Critical || t == Critical }

// Alert is a condition that holds, or held, somewhere.
type Alert struct {
	ID        AlertID
	Condition Condition
	Severity  Severity
	ProjectID ProjectID // empty: of the installation
	BranchID  BranchID  // empty: of the project or the installation
	Subject   string    // what tells it from others of its kind at the same place: a slot, a location; mostly empty
	Place     string    // as people write it: shop/production, shop; empty: the installation
	Message   string
	Hint      string

	FiredAt        time.Time
	ResolvedAt     time.Time // zero: it is firing
	NotifiedAt     time.Time // when its channels were last told; zero: not yet
	AcknowledgedAt time.Time // zero: nobody said that they look after it
	AcknowledgedBy string
	MutedUntil     time.Time // zero: it is not muted
}

// Firing says whether the condition holds still.
func (a Alert) Firing() bool { return a.ResolvedAt.IsZero() }

// AlertSettings are the thresholds of the conditions and how channels are told.
type AlertSettings struct {
	BackupAge       time.Duration `json:"backup_age"`       // production without a backup for longer than that
	ProofAge        time.Duration `json:"proof_age"`        // production without a proved backup for longer than that
	WALLag          time.Duration `json:"wal_lag"`          // WAL that is later than that
	SlotBytes       int64         `json:"slot_bytes"`       // WAL that a replication slot keeps
	DiskFree        int           `json:"disk_free"`        // percent of the disk that must be free
	DiskBudget      int64         `json:"disk_budget"`      // bytes of all databases together; 0: no bound
	LongTransaction time.Duration `json:"long_transaction"` // a transaction that is open for longer
	LockWait        time.Duration `json:"lock_wait"`        // a session that waits for a lock for longer
	CertificateEnds time.Duration `json:"certificate_ends"` // a certificate that ends within that time
	RemindAfter     time.Duration `json:"remind_after"`     // a firing alert that nobody acknowledged is told again after that; 0: never
}

// DefaultAlertSettings are those of a new installation.
func DefaultAlertSettings() AlertSettings {
	const day = 24 * time.Hour
	return AlertSettings{BackupAge: 8 * day, ProofAge: 2 * day, WALLag: time.Minute, SlotBytes: 4 << 30, DiskFree: 10, LongTransaction: time.Hour, LockWait: time.Minute,
		CertificateEnds: 14 * day, RemindAfter: day}
}

// Validate refuses thresholds that make no sense.
func (s AlertSettings) Validate() error {
	const longest = 10 * 366 * 24 * time.Hour
	for name, d := range map[string]time.Duration{"backup_age": s.BackupAge, "verify_age": s.ProofAge, "wal_lag": s.WALLag, "long_transaction": s.LongTransaction,
		"lock_wait": s.LockWait, "certificate_ends": s.CertificateEnds} {
		if d < time.Second || d > longest {
			return &Error{Kind: Invalid, Message: fmt.Sprintf("%s of %s is out of bounds", name, d), Hint: "choose one second to ten years"}
		}
	}
	switch {
	case s.RemindAfter != 0 && (s.RemindAfter < time.Minute || s.RemindAfter > longest):
		return &Error{Kind: Invalid, Message: "a reminder after " + s.RemindAfter.String() + " is out of bounds", Hint: "choose a minute or more, or 0 for none"}
	case s.SlotBytes < 1, s.DiskBudget < 0:
		return &Error{Kind: Invalid, Message: "a number of bytes cannot be negative, and a slot's bound not 0"}
	case s.DiskFree < 0 || s.DiskFree > 100:
		return &Error{Kind: Invalid, Message: "the free part of the disk is 0 to 100 percent"}
	}
	return nil
}

// ChannelID identifies a channel for good.
type ChannelID string

// ChannelKind is how a channel tells of alerts.
type ChannelKind string

// The kinds of channels.
const (
	Webhook   ChannelKind = "webhook"   // a signed POST
	Email     ChannelKind = "email"     // SMTP
	Chat      ChannelKind = "chat"      // a service that shoutrrr knows
	Heartbeat ChannelKind = "heartbeat" // an address that is asked again and again while nothing fires
)

// DefaultHeartbeat is how often a heartbeat's address is asked.
const DefaultHeartbeat = time.Minute

// Channel is where notices of alerts go. Its secrets are kept apart: the address of most kinds is one.
type Channel struct {
	ID        ChannelID   `json:"-"`
	ProjectID ProjectID   `json:"-"` // empty: the installation's, told of everything
	Name      string      `json:"-"`
	Kind      ChannelKind `json:"kind"`
	// Shown is what people see of the address: without what may be a secret in it.
	Shown string   `json:"shown"`
	From  string   `json:"from,omitempty"` // of an e-mail
	To    []string `json:"to,omitempty"`
	User  string   `json:"user,omitempty"` // at the SMTP server
	// Severity is the least that the channel is told of.
	Severity Severity `json:"severity"`
	// AllowPrivate says that the address may lie in a private network.
	AllowPrivate bool          `json:"allow_private,omitempty"`
	Every        time.Duration `json:"every,omitempty"` // of a heartbeat
	CreatedAt    time.Time     `json:"-"`
}

// ChannelSecret is what is never shown of a channel.
type ChannelSecret struct {
	URL      string `json:"url"`
	Key      string `json:"key,omitempty"`      // that a webhook is signed with
	Password string `json:"password,omitempty"` // at the SMTP server
}

// Validate refuses a channel that cannot work, with the reason.
func (c Channel) Validate(secret ChannelSecret) error {
	invalid := func(message, hint string) error { return &Error{Kind: Invalid, Message: message, Hint: hint} }
	u, err := url.Parse(secret.URL)
	if err != nil || u.Scheme == "" {
		return invalid("a channel needs an address", "write it as https://hooks.example.com/alerts, or for e-mail as smtp://mail.example.com:587")
	}
	switch {
	case c.Name == "" || len(c.Name) > 100 || strings.ContainsAny(c.Name, "/\x00\r\n"):
		return invalid("a channel needs a name of at most 100 bytes, without slashes and line breaks", "")
	case c.Severity != Warning && c.Severity != Critical:
		return invalid("a channel's severity is warning or critical", "")
	case c.Kind == Webhook || c.Kind == Heartbeat:
		if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			return invalid("the address of a "+string(c.Kind)+" begins with https:// or http://", "")
		}
		if c.Kind == Heartbeat && (c.Every < 10*time.Second || c.Every > 24*time.Hour) {
			return invalid("a heartbeat beats every 10 seconds to 24 hours", "")
		}
	case c.Kind == Email:
		return c.validateEmail(u, invalid)
	case c.Kind != Chat:
		return invalid(fmt.Sprintf("%q is not a kind of channel", c.Kind), "choose webhook, email, chat or heartbeat")
	}
	return nil
}

func (c Channel) validateEmail(u *url.URL, invalid func(message, hint string) error) error {
	unsafe := func(s string) bool { return !strings.Contains(s, "@") || strings.ContainsAny(s, "\r\n\x00<>,; ") }
	switch {
	case !slices.Contains([]string{"smtp", "smtps"}, u.Scheme) || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "":
		return invalid("the address of an e-mail channel is that of an SMTP server", "write it as smtp://mail.example.com:587 (STARTTLS) or smtps://mail.example.com:465; user and password are given apart")
	case unsafe(c.From):
		return invalid("an e-mail channel needs a sender's address", "")
	case len(c.To) == 0 || len(c.To) > 50 || slices.ContainsFunc(c.To, unsafe):
		return invalid("an e-mail channel needs 1 to 50 addresses of receivers", "")
	}
	return nil
}

// ShownAddress is what may be shown of a channel's address: no path, query or user, which are secrets of many services.
func ShownAddress(kind ChannelKind, address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	if kind == Chat {
		return u.Scheme // further parts of the address are tokens with most services
	}
	shown := u.Scheme + "://" + u.Host
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		shown += "/…"
	}
	return shown
}

// Notice is what a channel is told of one alert.
type Notice struct {
	ID    string      `json:"id"` // the same at each attempt: a receiver that has it already can drop it
	Event NoticeEvent `json:"event"`
	At    time.Time   `json:"at"`
	Alert NoticeAlert `json:"alert,omitzero"`
}

// NoticeEvent says what a notice is about.
type NoticeEvent string

// The events.
const (
	NoticeFiring   NoticeEvent = "firing"
	NoticeReminder NoticeEvent = "reminder" // it is firing still, and nobody acknowledged it
	NoticeResolved NoticeEvent = "resolved"
	NoticeTest     NoticeEvent = "test"
)

// NoticeAlert is an alert as receivers see it; docs/alerts.md describes each field.
type NoticeAlert struct {
	ID         AlertID   `json:"id"`
	Condition  Condition `json:"condition"`
	Severity   Severity  `json:"severity"`
	Place      string    `json:"place"`
	Subject    string    `json:"subject,omitempty"`
	Message    string    `json:"message"`
	Hint       string    `json:"hint,omitempty"`
	FiredAt    time.Time `json:"fired_at"`
	ResolvedAt time.Time `json:"resolved_at,omitzero"`
}

// Title is a notice in one line.
func (n Notice) Title() string {
	place := n.Alert.Place
	if place == "" {
		place = "installation"
	}
	switch n.Event {
	case NoticeTest:
		return "[Holdfast] test notice"
	case NoticeResolved:
		return fmt.Sprintf("[Holdfast] resolved: %s on %s", n.Alert.Condition, place)
	case NoticeReminder:
		return fmt.Sprintf("[Holdfast] still %s: %s on %s", n.Alert.Severity, n.Alert.Condition, place)
	}
	return fmt.Sprintf("[Holdfast] %s: %s on %s", n.Alert.Severity, n.Alert.Condition, place)
}

// Text is a notice for a person.
func (n Notice) Text() string {
	if n.Event == NoticeTest {
		return "This is a test: notices of alerts arrive here."
	}
	lines := []string{n.Alert.Message}
	if n.Event == NoticeResolved {
		lines = append(lines, "This is over since "+n.Alert.ResolvedAt.UTC().Format(time.RFC3339)+".")
	} else if n.Alert.Hint != "" {
		lines = append(lines, "Hint: "+n.Alert.Hint)
	}
	return strings.Join(append(lines, "Since "+n.Alert.FiredAt.UTC().Format(time.RFC3339)+", alert "+string(n.Alert.ID)+"."), "\n")
}
