package ledgercmd

import "github.com/cocoframework/coco/gov/audit"

// keysJSON is audit.Keys, with the names that it has in the answer.
type keysJSON struct {
	Committees int               `json:"committees"` // that came into force
	Ceremonies int               `json:"ceremonies"` // that began, to make one
	Failed     int               `json:"failed"`     // of them
	Statements int               `json:"statements"` // in ceremonies
	Epochs     map[uint64]uint64 `json:"epochs"`     // by the number of the committee that they are sealed to; 0: shared among the members
	Grants     int               `json:"grants"`     // of epochs to auditors, that seats have begun to give their parts for
	Parts      int               `json:"parts"`      // of seats, for auditors
}

func keysOf(k audit.Keys) *keysJSON {
	if k.Ceremonies+k.Committees == 0 {
		return nil
	}
	return &keysJSON{k.Committees, k.Ceremonies, k.Failed, k.Statements, k.Epochs, k.Sealings, k.Parts}
}

// sealedTo says how many epochs are sealed to committees.
func (k *keysJSON) sealedTo() (n int) {
	for committee, epochs := range k.Epochs {
		if committee > 0 {
			n += int(epochs)
		}
	}
	return n
}
