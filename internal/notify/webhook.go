package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/holdfast/holdfast"
)

// The headers of a webhook; docs/alerts.md shows how a receiver checks them.
const (
	TimestampHeader = "Holdfast-Timestamp" // when it was signed, in Unix seconds
	SignatureHeader = "Holdfast-Signature" // sha256= and the signature in hexadecimal
	NoticeHeader    = "Holdfast-Notice"    // the notice's number, the same at each attempt
)

// Sign is the signature of a body that is sent at a time: HMAC-SHA256 over the time in Unix seconds, a dot and the body. The time is
// signed too, so that a receiver can refuse what somebody recorded and sends again.
func Sign(key string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(strconv.FormatInt(at.Unix(), 10)))
	mac.Write([]byte("."))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func (s *Sender) postWebhook(ctx context.Context, c holdfast.Channel, secret holdfast.ChannelSecret, n holdfast.Notice) error {
	body, err := json.Marshal(n)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, secret.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	now := time.Now()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(NoticeHeader, n.ID)
	req.Header.Set(TimestampHeader, strconv.FormatInt(now.Unix(), 10))
	req.Header.Set(SignatureHeader, Sign(secret.Key, now, body))
	return s.roundTrip(c, req)
}
