package replay

import "testing"

// The overlay fits the Go version that builds this repository.
func TestTheOverlayFitsThisVersionOfGo(t *testing.T) {
	if _, err := Overlay(t.TempDir()); err != nil {
		t.Error(err)
	}
}
