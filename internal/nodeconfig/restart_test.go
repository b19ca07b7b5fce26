package nodeconfig

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/cocoframework/coco"
)

func TestANodeTakesARequestToStartAgainOnce(t *testing.T) {
	d := Dir(t.TempDir())
	taken := make(chan bool, 1)
	go func() { taken <- d.AwaitRestart(t.Context()) }()
	if err := d.AskRestart(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if !<-taken {
		t.Fatal("the node does not take the request")
	}
	if d.TakeRestart() {
		t.Error("a request is taken twice")
	}
}

func TestARequestThatNobodyTakesIsTakenBack(t *testing.T) {
	d := Dir(t.TempDir())
	if err := d.AskRestart(t.Context(), 10*time.Millisecond); !errors.Is(err, coco.ErrUnreachable) {
		t.Errorf("asked where nothing runs: %v", err)
	}
	if left, err := os.ReadDir(string(d)); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if d.AwaitRestart(ended) {
		t.Error("a node that has ended starts again")
	}
}
