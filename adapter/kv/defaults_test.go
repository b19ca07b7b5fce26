package kv

import "testing"

// A constitution that leaves a setting out means the default of the program that founded the network: another
// default would decide old calls in another way. What must change is set in new constitutions.
func TestDefaultsArePartOfTheFormat(t *testing.T) {
	s, err := ParseSettings(nil)
	if want := (Settings{MaxKeyBytes: 1024, MaxValueBytes: 1 << 20, MaxBatchOps: 1000}); err != nil || s != want {
		t.Errorf("%+v, %v, expected %+v", s, err, want)
	}
}
