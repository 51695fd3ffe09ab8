// Package egress guards connections to addresses that users chose, such as S3 endpoints and webhooks: a server inside a network must not
// become everybody's door to that network. A caller may rely on this: what is dialed is what was checked, however a name resolves the
// next moment.
package egress

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/holdfast/holdfast"
)

// Guard refuses addresses of this machine and of its neighbourhood. The zero value allows public addresses only.
type Guard struct {
	// Allow lists networks that may be reached although they are not public.
	Allow []netip.Prefix
}

// special are networks of special use that netip's own questions leave out (RFC 6890 and the registries behind it).
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network
	netip.MustParsePrefix("100.64.0.0/10"),   // behind a carrier's NAT; metadata of some clouds
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments; metadata of some clouds
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, and the broadcast address
	netip.MustParsePrefix("64:ff9b::/96"),    // translated to IPv4, whatever it is
	netip.MustParsePrefix("64:ff9b:1::/48"),  // translated locally
	netip.MustParsePrefix("100::/64"),        // discarded
	netip.MustParsePrefix("2001::/23"),       // protocol assignments, Teredo
	netip.MustParsePrefix("2001:db8::/32"),   // documentation
	netip.MustParsePrefix("2002::/16"),       // 6to4: holds an IPv4 address
	netip.MustParsePrefix("fec0::/10"),       // site-local, as it was once
}

// Check refuses an address that may not be reached.
func (g Guard) Check(address netip.Addr) error {
	address = address.Unmap().WithZone("")
	contains := func(p netip.Prefix) bool { return p.Contains(address) }
	if slices.ContainsFunc(g.Allow, contains) {
		return nil
	}
	if address.IsGlobalUnicast() && !address.IsPrivate() && !slices.ContainsFunc(special, contains) {
		return nil
	}
	return &holdfast.Error{Kind: holdfast.NotAllowed, Message: fmt.Sprintf("%s is not a public address", address),
		Hint: "whoever runs the server can allow the network with `holdfast serve --allow-network`"}
}

// DialContext connects as net.Dialer does, to what Check lets through. It is asked when the name has been resolved, for each address that is
// tried, right before the connection is made: a name that resolves to something else the second time (DNS rebinding) gains nothing, and
// neither does a redirect.
func (g Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		resolved, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("check the address %s: %w", address, err)
		}
		return g.Check(resolved.Addr())
	}}
	return d.DialContext(ctx, network, address)
}
