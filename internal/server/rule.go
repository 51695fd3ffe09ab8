package server

// rule says in one word who may use a route. It decides nothing: the platform's method behind the route does. It is a claim, and a test
// walks every route with every role and complains where the platform decides otherwise, or where a route claims nothing.
//
// On routes of a branch the words mean development and previews; what differs on production stands in the comments.
type rule string

// The rules, from the most open one.
const (
	forAnyone       rule = "anyone"             // without signing in. Each such route is a decision about security
	forCallers      rule = "caller"             // whoever signed in or has a token; the answer holds what that one may see
	forPeople       rule = "person"             // a person, about that person's own account; no token
	forOwnTokens    rule = "token-maker"        // a person or that one's token, about own tokens; an admin of the installation about all; no agent
	toSee           rule = "viewer"             // a viewer of the project. Production: the same; nothing that is seen is a row or a secret
	toReadRows      rule = "viewer-rows"        // a viewer. Production: an admin, or a person to whom its rows were granted; no agent
	toDevelop       rule = "developer"          // a developer. Production: an admin, no agent
	toDevelopAnyhow rule = "developer-anywhere" // a developer, on production too: what it does endangers and shows no row there
	toTendPreviews  rule = "developer-preview"  // a developer, on previews; on development and production nobody
	toAdminister    rule = "admin"              // an admin of the project, on development too; no agent
	toOwn           rule = "owner"              // an owner of the project
	forInstallation rule = "installation"       // an admin of the installation
)

// ruleKey is where an operation's metadata hold its rule.
const ruleKey = "rule"
