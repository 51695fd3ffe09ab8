package egress

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/holdfast/holdfast"
)

func TestOnlyPublicAddressesAreReached(t *testing.T) {
	for _, a := range []string{"127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "169.254.170.2", "100.100.100.200",
		"192.0.0.192", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
		"64:ff9b::a9fe:a9fe", "2002:7f00:1::", "fec0::1"} {
		if err := (Guard{}).Check(netip.MustParseAddr(a)); holdfast.KindOf(err) != holdfast.NotAllowed {
			t.Errorf("%s: got %v", a, err)
		}
	}
	for _, a := range []string{"8.8.8.8", "52.216.1.1", "172.32.0.1", "2600:1f18::1", "::ffff:8.8.8.8"} {
		if err := (Guard{}).Check(netip.MustParseAddr(a)); err != nil {
			t.Errorf("%s: got %v", a, err)
		}
	}
	g := Guard{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	if g.Check(netip.MustParseAddr("10.1.2.3")) != nil || g.Check(netip.MustParseAddr("::ffff:10.1.2.3")) != nil || g.Check(netip.MustParseAddr("169.254.169.254")) == nil {
		t.Error("what is allowed is not what was said")
	}
}

// The check stands behind the resolver and behind redirects: neither a name nor another server leads around it.
func TestNoWayLeadsAroundTheCheck(t *testing.T) {
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { t.Error("the inside was reached") }))
	defer inside.Close()
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(inside.URL, "http://"))
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "127.1", "0x7f.1", "2130706433"} {
		client := http.Client{Transport: &http.Transport{DialContext: Guard{}.DialContext}}
		_, err := client.Get("http://" + host + ":" + port)
		if err == nil {
			t.Errorf("%s was reached", host)
		}
		if host == "localhost" && holdfast.KindOf(err) != holdfast.NotAllowed {
			t.Errorf("%s: got %v", host, err)
		}
	}
	loopback := Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	redirect := httptest.NewServer(http.RedirectHandler("http://169.254.169.254/latest/meta-data", http.StatusFound))
	defer redirect.Close()
	client := http.Client{Transport: &http.Transport{DialContext: loopback.DialContext}}
	_, err := client.Get(redirect.URL)
	var refused *holdfast.Error
	if !errors.As(err, &refused) || refused.Kind != holdfast.NotAllowed {
		t.Errorf("a redirect to the metadata server: got %v", err)
	}
	if _, err := loopback.DialContext(context.Background(), "tcp", inside.Listener.Addr().String()); err != nil {
		t.Errorf("what is allowed is refused: %v", err)
	}
}
