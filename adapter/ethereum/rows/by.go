package rows

import (
	"encoding/binary"

	"github.com/cocoframework/coco"
)

// How is which credential a caller has shown whose call nobody has signed (package calls). The numbers are stored.
type How uint8

// The credentials. 0 is none: a transaction is signed.
const (
	ByCertificate How = 1 + iota // of the TLS connection
	ByToken                      // of an issuer
	BySession                    // of a sign-in
	ByMessage                    // a request that is signed
)

var hows = [...]string{"signature", "certificate", "token", "session", "message"}

// Known reports whether it is one of the credentials above.
func (h How) Known() bool { return h > 0 && int(h) < len(hows) }

func (h How) String() string {
	if int(h) < len(hows) {
		return hows[h]
	}
	return "unknown"
}

// By is who has sent a transaction beside its sender: the user of an organisation, as its front end named them, and by what credential, if the transaction is
// not signed. Its zero value is nobody: an organisation sent a signed transaction itself, or the ledger is of before users.
type By struct {
	Actor coco.ActorID
	User  string
	How   How
}

// ByCaller is what is recorded of a caller.
func ByCaller(c *coco.Caller, how How) By {
	if c.User == "" && how == 0 {
		return By{}
	}
	return By{c.Actor, c.User, how}
}

// What is added to the status of a row that says by whom its transaction was sent: hasBy if a user did, hasHow if nobody has signed it.
const (
	hasBy  = 2
	hasHow = 4
)

// flags is what is added to the status of a row.
func (b *By) flags() (n uint64) {
	if b.User != "" {
		n |= hasBy
	}
	if b.How != 0 {
		n |= hasHow
	}
	return n
}

func (b *By) append(row []byte) []byte {
	if *b == (By{}) {
		return row
	}
	row = append(row, b.Actor[:]...)
	if b.How != 0 {
		row = append(row, byte(b.How))
	}
	if b.User != "" {
		row = binary.AppendUvarint(row, uint64(len(b.User)))
		row = append(row, b.User...)
	}
	return row
}

// by reads what append has written, by the flags. A user without a name is not in its shortest form: such a row has no By.
func (d *reader) by(flags uint64) (b By) {
	if flags&(hasBy|hasHow) == 0 {
		return b
	}
	copy(b.Actor[:], d.take(len(b.Actor)))
	if flags&hasHow != 0 {
		if how := d.take(1); d.err == nil {
			b.How = How(how[0])
		}
		if d.err == nil && !b.How.Known() {
			d.fail("credential of a caller")
		}
	}
	if flags&hasBy != 0 {
		b.User = string(d.take(d.length(1)))
		if d.err == nil && (b.User == "" || coco.CheckUser(b.User) != nil) {
			d.fail("name of a user")
		}
	}
	return b
}
