package kv

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

// parties is the table of rows that only an audience sees. Its rows are those of kv.data otherwise: see store.Audience.
const parties = "kv.parties"

// to is whose rows a request is about; the zero value: those that all callers see.
type to struct {
	audience store.Audience
	resident bool // their contents are on the audience's nodes alone: see resident.go
	renew    bool // the secret that names them may be made again, if no node has it any more
}

func (t to) table() string {
	switch {
	case t.audience == nil:
		return table
	case t.resident:
		return apart
	}
	return parties
}

// audiences is the name of a setting: see Settings.Audiences.
const audiences = "audiences"

// place is where a request's rows are: in the table that all callers see, or in that of an audience. A caller outside
// the audience reads a table without rows.
type place struct {
	caller coco.Caller
	to
}

// of returns the rows of a snapshot.
func (p *place) of(scope *store.Scope, snap *store.Snapshot) store.Reader {
	if p.audience != nil {
		return snap.For(scope, p.caller.Actor, p.audience)
	}
	return snap
}

// pastOf returns what reads a place's past for one request.
func (l *ledger) pastOf(p place) *adapter.PastReader {
	return l.env.NewPastReader(pastTime).For(p.caller).In(p.audience)
}

// placeOf returns the place that a request names by its header, or by its query as the next of a page does; inQuery is empty if it does not. Its error depends
// on names of organisations alone. An answer about an audience, or where rules hide keys, is kept by no cache: the
// request's URL may be that of other rows, too, and other callers may be answered otherwise.
func (l *ledger) placeOf(caller coco.Caller, w http.ResponseWriter, r *http.Request, inQuery string) (place, error) {
	to, err := l.audienceOf(r.Header)
	if err == nil && inQuery != "" {
		named := to.audience
		if to.audience, err = l.parseAudience(inQuery); err == nil && named != nil && !slices.Equal(named, to.audience) {
			err = fmt.Errorf("%w: %s and the query's %s name two audiences: expected one", coco.ErrInvalid, wire.HeaderAudience, audienceQuery)
		}
	}
	if to.audience != nil || l.settings().rules.Hide() {
		w.Header().Set("Cache-Control", "no-store")
	}
	return place{caller, to}, err
}

// audienceOf reads the header of an audience.
func (l *ledger) audienceOf(h http.Header) (t to, err error) {
	lines := h[wire.HeaderAudience]
	if len(lines) == 0 {
		return t, nil
	}
	names, how, marked := strings.Cut(strings.Join(lines, ","), ";")
	if how = strings.TrimSpace(how); marked && how != markResident && how != markRenew {
		return t, fmt.Errorf("%w: %s: expected \"; %s\" after the names, or nothing, found %q", coco.ErrInvalid, wire.HeaderAudience, markResident, how)
	}
	if t.audience, err = l.parseAudience(names); err != nil {
		return to{}, err
	}
	t.resident, t.renew = marked, how == markRenew
	return t, nil
}

// audienceQuery is the name by which a page's next says its audience, so that it is a request for the same rows without a header.
const audienceQuery = "audience"

// query is what parseAudience reads: the ids, with commas between them; empty for none.
func (p *place) query() string {
	ids := make([]string, len(p.audience))
	for i, actor := range p.audience {
		ids[i] = actor.String()
	}
	return strings.Join(ids, ",")
}

func noAudience() error {
	return fmt.Errorf("%w: query: %s: expected organisations with commas between them, found none", coco.ErrInvalid, audienceQuery)
}

// parseAudience reads names and ids of organisations with commas between them.
func (l *ledger) parseAudience(text string) (store.Audience, error) {
	var actors []coco.ActorID
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		actor, ok := coco.ActorID{}, false
		if id, err := hex.DecodeString(name); err == nil && len(id) == len(actor) {
			actor, ok = coco.ActorID(id), true // also if an organisation has another one's id for its name
		} else if l.env.Actor != nil {
			actor, ok = l.env.Actor(name)
		}
		if !ok {
			return nil, fmt.Errorf("%w: %s: expected names of organisations of the constitution, or their ids, with commas between them, found %q",
				coco.ErrInvalid, wire.HeaderAudience, name)
		}
		actors = append(actors, actor)
	}
	audience, err := store.NewAudience(actors...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", wire.HeaderAudience, err)
	}
	return audience, nil
}

// writesTo returns the audience that a request writes to. A caller outside it is refused before anything is looked up, so
// that no condition tells it what is there.
func (l *ledger) writesTo(caller coco.Caller, h http.Header) (to, error) {
	t, err := l.audienceOf(h)
	if err != nil || t.audience == nil {
		return to{}, err
	}
	if !t.audience.Has(caller.Actor) {
		return to{}, fmt.Errorf("%w: %s: only an organisation of the audience writes to it", coco.ErrDenied, wire.HeaderAudience)
	}
	return t, l.settings().checkAudience(t)
}

// limit has a write be about the rows of the audience that its request names.
func (l *ledger) limit(w *write, caller coco.Caller, h http.Header) error {
	t, err := l.writesTo(caller, h)
	w.limit(t)
	return err
}

// checkAudience says why nothing is written to an audience by the settings in force.
func (s Settings) checkAudience(t to) error {
	what, setting := wire.HeaderAudience, audiences
	switch {
	case t.resident && !s.Resident:
		what, setting = "\"; "+markResident+"\" in "+what, residentRows
	case t.audience != nil && !s.Audiences:
	default:
		return nil
	}
	return fmt.Errorf("%w: this network admits no writes with %s: members vote for them by the setting %s of adapters.kv", coco.ErrInvalid, what, setting)
}

// rows are those of a transaction.
type rows interface {
	Get(table string, key []byte) ([]byte, bool)
	Put(table string, key, value []byte)
	Delete(table string, key []byte)
}

// rowsOf returns the rows that a write is about. The error is coco.ErrDenied for a caller outside its audience.
func (l *ledger) rowsOf(tx *store.Tx, caller coco.Caller, w *write) (rows, error) {
	if w.party == nil {
		return tx, nil
	}
	return tx.For(l.env.State, caller.Actor, w.audience())
}

// cutClaimed reads the audience of claims, and what follows it. For claims without an audience it returns rest as it is.
func cutClaimed(claims, rest []byte) (t to, after []byte, err error) {
	b, limited := bytes.CutPrefix(claims, []byte(claimsAudience))
	if !limited {
		if b, t.resident = bytes.CutPrefix(claims, []byte(claimsResident)); !t.resident {
			return t, rest, nil
		}
	}
	if t.audience, after, err = store.CutAudience(b); err != nil {
		return to{}, nil, fmt.Errorf("the claims of a kv write: %w", err)
	}
	return t, after, nil
}

// mayClaim reports whether a caller may see what a transaction claims.
func mayClaim(caller coco.Caller, claims []byte) bool {
	t, _, err := cutClaimed(claims, nil)
	return err == nil && (t.audience == nil || t.audience.Has(caller.Actor))
}
