package rows

import (
	"encoding/binary"

	"github.com/cocoframework/coco"
)

// By is the user of an organisation who has sent a transaction, as its front end named them. Its zero value is nobody: an organisation sent it itself, or the
// ledger is of before users.
type By struct {
	Actor coco.ActorID
	User  string
}

// ByCaller is what is recorded of a caller.
func ByCaller(c *coco.Caller) By {
	if c.User == "" {
		return By{}
	}
	return By{c.Actor, c.User}
}

// hasBy is added to the status of a row that says by whom its transaction was sent.
const hasBy = 2

func (b *By) append(row []byte) []byte {
	row = append(row, b.Actor[:]...)
	row = binary.AppendUvarint(row, uint64(len(b.User)))
	return append(row, b.User...)
}

// by reads what append has written. A user without a name is not in its shortest form: such a row has no By.
func (d *reader) by() (b By) {
	copy(b.Actor[:], d.take(len(b.Actor)))
	b.User = string(d.take(d.length(1)))
	if d.err == nil && (b.User == "" || coco.CheckUser(b.User) != nil) {
		d.fail("name of a user")
	}
	return b
}
