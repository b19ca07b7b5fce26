package disclosure

import (
	"errors"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/wire"
)

func TestEpochsAreNumbersAndRanges(t *testing.T) {
	for text, want := range map[string]Epochs{"3": {3, 3}, "3-5": {3, 5}, "4-4": {4, 4}, "2-": {2, 1<<63 - 1}} {
		if got, err := ParseEpochs(text); err != nil || got != want {
			t.Errorf("%q: %v, %v, expected %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0", "-", "-3", "5-3", "0-3", "x", "3-x", "3--5", "1e3", " 3"} {
		if _, err := ParseEpochs(text); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%q: error %v, expected coco.ErrInvalid", text, err)
		}
	}
	if e := (Epochs{}); !e.has(1) || !e.has(1<<40) {
		t.Error("all epochs lack some")
	}
	if e := (Epochs{2, 3}); e.has(1) || !e.has(2) || !e.has(3) || e.has(4) {
		t.Error("epochs 2 and 3 are others")
	}
}

func TestTransactionsHaveBoundsThatMayBeLeftOut(t *testing.T) {
	for within, want := range map[Transactions][3]bool{{}: {true, true, true}, {5, 0}: {false, true, true}, {0, 5}: {true, true, false}, {5, 5}: {false, true, false}} {
		if got := [3]bool{within.has(4), within.has(5), within.has(6)}; got != want {
			t.Errorf("%+v: %v, expected %v", within, got, want)
		}
	}
}

func TestEpochsReadAsPeopleSayThem(t *testing.T) {
	for e, want := range map[Epochs]string{{}: "all epochs", {4, 4}: "epoch 4", {3, 5}: "epochs 3 to 5", {2, 1<<63 - 1}: "the epochs from 2 on"} {
		if e.String() != want {
			t.Errorf("%q, expected %q", e, want)
		}
	}
	var granted []wire.EpochGrant
	for _, epoch := range []uint64{1, 2, 3, 5, 8, 9} {
		granted = append(granted, wire.EpochGrant{Epoch: epoch})
	}
	if got := Ranges(granted); got != "1-3, 5, 8-9" {
		t.Errorf("%q, expected 1-3, 5, 8-9", got)
	}
	if got := Ranges(nil); got != "" {
		t.Errorf("nothing granted: %q", got)
	}
}
