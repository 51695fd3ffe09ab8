package holdfast

import (
	"net/netip"
	"net/url"
	"strings"
)

// OIDC says which OpenID Connect provider people may sign in with besides their passwords.
type OIDC struct {
	Name     string // what the button says
	Issuer   string // as the provider calls itself
	ClientID string
}

// Validate says what is wrong with the settings. The issuer speaks TLS; on this machine alone it need not.
func (o OIDC) Validate() error {
	if o.Name == "" || len(o.Name) > 60 || o.ClientID == "" || len(o.ClientID) > 500 {
		return &Error{Kind: Invalid, Message: "a provider has a name of at most 60 bytes and a client ID of at most 500"}
	}
	u, err := url.Parse(o.Issuer)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || len(o.Issuer) > 500 {
		return &Error{Kind: Invalid, Message: "the issuer is no address", Hint: "such as https://login.example.com", Cause: err}
	}
	address, err := netip.ParseAddr(u.Hostname())
	local := u.Hostname() == "localhost" || err == nil && address.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return &Error{Kind: Invalid, Message: "the issuer has to speak TLS", Hint: "begin it with https://"}
	}
	return nil
}

// CheckEmail says what is wrong with an e-mail address; none is fine. It is compared with what a provider says and sent to nobody.
func CheckEmail(email string) error {
	if email == "" {
		return nil
	}
	name, host, found := strings.Cut(email, "@")
	if !found || name == "" || host == "" || strings.Contains(host, "@") || CheckPersonName(email) != nil {
		return &Error{Kind: Invalid, Message: "that is no e-mail address", Hint: "such as ann@example.com, of at most 100 bytes"}
	}
	return nil
}
