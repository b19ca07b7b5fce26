package adapter

import (
	"time"

	"github.com/cocoframework/coco"
)

// Sessions are credentials that a ledger gives to an organisation's users by transactions of its own, so that every node knows them. A ledger offers
// them by its endpoints, and they count there and nowhere else.
type Sessions interface {
	// Session says whose user a credential is, which came in a request of a page of that origin (empty if the request names none), and until when at
	// the latest, by the ledger's time; a zero time if it is good for one request only. No session stands for an organisation itself: user is never
	// empty. It is asked at every request, and again while a connection outlives its request, so that a session ends as soon as the ledger says so.
	// Errors are coco.ErrDenied or coco.ErrInvalid; they MUST NOT contain the credential. It is called concurrently.
	Session(credential, origin string) (actor coco.ActorID, user string, until time.Time, err error)
}
