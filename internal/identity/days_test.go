package identity

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/cocoframework/coco"
)

func TestACertificateForGovernanceEndsWhenItIsAskedTo(t *testing.T) {
	now := time.Now()
	org, officer := filepath.Join(t.TempDir(), "delta"), filepath.Join(t.TempDir(), "officer")
	if err := New("delta", org, now, Choices{Governs: now.AddDate(0, 0, 365)}); err != nil {
		t.Fatal(err)
	}
	if err := NewGovernance("delta", org, officer, now, now.AddDate(0, 0, 90), nil); err != nil {
		t.Fatal(err)
	}
	for file, days := range map[string]int{Dir(org).Gov(): 365, Dir(officer).Gov(): 90, Dir(org).Org(): 3652, Dir(org).User(): 3652} {
		c, err := ReadLeaf(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := int(c.NotAfter.Sub(now).Hours()+1) / 24; got < days-1 || got > days+1 {
			t.Errorf("%s is valid for %d days, expected %d", file, got, days)
		}
	}
	if err := NewGovernance("delta", org, filepath.Join(t.TempDir(), "late"), now, now.AddDate(20, 0, 0), nil); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("longer than its issuer: %v, expected coco.ErrInvalid", err)
	}
}

func TestAnOrganisationIsMadeAtAnyFractionOfASecond(t *testing.T) {
	now := time.Now().Truncate(time.Second).Add(999 * time.Millisecond)
	if _, err := Make("delta", Dir(filepath.Join(t.TempDir(), "delta")), now); err != nil {
		t.Error(err)
	}
}
