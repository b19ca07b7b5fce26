package rehearsal

import (
	"strings"
	"testing"

	"github.com/cocoframework/coco"
)

// A member's file has no line of the report for itself.
func TestWhatAMemberSaysStaysOnItsLine(t *testing.T) {
	k := &Kept{Nonce: coco.Digest{1}}
	_, err := k.submit(nil, Given{File: "m.answer", Answer: Answer{Format: answerFormat, Nonce: k.Nonce, Fault: "no key\n\n  OK\r\na recovery would succeed"}})
	if err == nil || strings.ContainsAny(err.Error(), "\r\n") || !strings.HasSuffix(err.Error(), "no key OK a recovery would succeed") {
		t.Errorf("the fault is told as %q", err)
	}
}
