package sessions

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
)

// BenchmarkMessagesOfNobody is what anybody can have a node do without a credential that counts: messages that are signed by nobody who is known, that are for
// another network, and that are none.
func BenchmarkMessagesOfNobody(b *testing.B) {
	w := newWorld(&testing.T{})
	j := w.judge()
	elapsed := time.Duration(0)
	j.Elapsed = func() time.Duration { elapsed += time.Second; return elapsed } // so that each signature is checked
	good := signed(asked(token))
	text := asked(token).Text()
	other := must(base64.RawURLEncoding.DecodeString(signed(asked(strings.Repeat("cd", 32)))))[:65]
	for _, c := range []struct{ name, credential string }{
		{"signature", Credential(text, other)},
		{"network", signedBy(private, strings.Replace(text, here.ID.String(), strings.Repeat("0", 64), 1))},
		{"text", good[:len(good)-40]},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := j.Session(c.credential, page); err == nil || errors.Is(err, coco.ErrBusy) {
					b.Fatalf("expected a refusal of the message, found %v", err)
				}
			}
		})
	}
}
