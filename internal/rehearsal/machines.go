package rehearsal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/recovery"
)

// A rehearsal among separate machines: files go back and forth as in a recovery over an air gap, and no key leaves its machine.
//
//	one machine with copies           each member, with its own copy and key
//	   Begin ── Paper ───────────────▶   Reply: the copy is whole, the key opens its package, and makes a part
//	   Judge ◀── Answer ──────────────    of what Begin has sealed, which is in no ledger
//
// What members' parts open is a secret that Begin has made up (recovery.Lock.Drill). So Judge knows that they would open the ledger in earnest, and nothing is opened.

// The formats of the files.
const (
	paperFormat  = "coco recovery drill 1"
	keptFormat   = "coco recovery drill kept 1"
	answerFormat = "coco recovery drill answer 1"
)

// Paper is what members are asked in a drill. It is public.
type Paper struct {
	Format  string      `json:"format"`
	Nonce   coco.Digest `json:"nonce"`
	Request []byte      `json:"request"` // as package keys/recovery encodes it
	Lock    []byte      `json:"lock"`    // the same
}

// Kept is what whoever has begun a drill keeps, to judge the answers. What is in it opens nothing of a ledger.
type Kept struct {
	Format   string                  `json:"format"`
	Nonce    coco.Digest             `json:"nonce"`
	Receiver []byte                  `json:"receiver"`
	Lock     []byte                  `json:"lock"`
	Secret   []byte                  `json:"secret"`
	Names    map[coco.ActorID]string `json:"names"`
	Report   *Report                 `json:"report"` // of the copies alone
}

// Answer is a member's, or why it has none.
type Answer struct {
	Format  string      `json:"format"`
	Nonce   coco.Digest `json:"nonce"` // of the drill
	Name    string      `json:"name,omitempty"`
	Last    coco.TxID   `json:"last,omitzero"`     // that the member's copy ends with
	Release []byte      `json:"release,omitempty"` // as package keys/recovery encodes it
	Fault   string      `json:"fault,omitempty"`   // what would have failed in earnest
}

// Given is a file with an answer, or why it cannot be read.
type Given struct {
	File   string // for people
	Answer Answer
	Err    error
}

// Begin begins a drill from the furthest copy that is whole; paper is nil if there is none. The error is that it cannot begin.
func Begin(ctx context.Context, cfg Config) (paper *Paper, kept *Kept, _ *Report, _ error) {
	r := newReport()
	best, err := r.verify(ctx, &cfg)
	if err != nil || best == nil {
		return nil, nil, r, err
	}
	lock, err := r.describe(&cfg, best)
	if err != nil {
		return nil, nil, r, err
	}
	point, err := best.Point()
	if err != nil {
		return nil, nil, r, err
	}
	receiver, err := recovery.NewReceiver(point, true)
	if err != nil {
		return nil, nil, r, err
	}
	paper = &Paper{Format: paperFormat}
	_, _ = rand.Read(paper.Nonce[:]) // it never fails
	drill, secret, err := lock.Drill(paper.Nonce)
	if err != nil {
		return nil, nil, r, err
	}
	kept = &Kept{Format: keptFormat, Nonce: paper.Nonce, Secret: secret[:], Names: map[coco.ActorID]string{}, Report: r}
	for _, actor := range lock.Holders() {
		kept.Names[actor] = best.Constitution().Name(actor)
	}
	var err1, err2, err3 error
	paper.Request, err1 = receiver.Request().Marshal()
	paper.Lock, err2 = drill.Marshal()
	kept.Receiver, err3 = receiver.Marshal()
	kept.Lock = paper.Lock
	return paper, kept, r, errors.Join(err1, err2, err3)
}

// Reply makes a member's answer with its key, by its own copy, which was verified. What would fail in earnest is in the answer, and the error. The error is coco.ErrInvalid for a paper that is none.
func (p *Paper) Reply(c *Copy, key *keys.MemberKey) (*Answer, error) {
	a := &Answer{Format: answerFormat, Nonce: p.Nonce, Last: c.Report.Last}
	request, err1 := recovery.ParseRequest(p.Request)
	drill, err2 := recovery.ParseLock(p.Lock)
	if err := errors.Join(err1, err2); err != nil || p.Format != paperFormat {
		return nil, fmt.Errorf("%w: this is no paper of a drill, expected format %q: %w", coco.ErrInvalid, paperFormat, err)
	}
	fail := func(err error) (*Answer, error) {
		a.Fault = err.Error()
		return a, err
	}
	actor, lock, err := c.CheckKey(key)
	if err != nil {
		return fail(err)
	}
	a.Name = c.Constitution().Name(actor)
	if err := lock.CheckDrill(drill, p.Nonce); err != nil {
		return fail(err)
	}
	release, err := recovery.New(request, drill, actor, key)
	if err != nil {
		return fail(err)
	}
	a.Release, err = release.Marshal()
	return a, err
}

// Failed is the answer of a member whose copy or key is of no use.
func (p *Paper) Failed(err error) *Answer {
	return &Answer{Format: answerFormat, Nonce: p.Nonce, Fault: err.Error()}
}

// Judge says what a recovery with these answers would come to. The error is coco.ErrInvalid if what was kept does not parse.
func (k *Kept) Judge(answers []Given) (*Report, error) {
	receiver, err1 := recovery.ParseReceiver(k.Receiver)
	lock, err2 := recovery.ParseLock(k.Lock)
	if err := errors.Join(err1, err2); err != nil || k.Format != keptFormat || k.Report == nil {
		return nil, fmt.Errorf("%w: this is not what a drill keeps, expected format %q: %w", coco.ErrInvalid, keptFormat, err)
	}
	r, round, files := k.Report, receiver.Round(lock), map[coco.ActorID]string{}
	for _, g := range answers {
		actor, err := k.submit(round, g)
		if err != nil {
			r.fail("%s: %v", g.File, err)
			continue
		}
		files[actor] = g.File
		switch {
		case further(g.Answer.Last, r.Last):
			r.fail("%s: the member's copy ends with transaction %s, after the furthest one here, %s: begin the recovery from that one", g.File, g.Answer.Last, r.Last)
		case further(r.Last, g.Answer.Last):
			r.warn("%s: the member's copy ends before, with transaction %s", g.File, g.Answer.Last)
		}
	}
	for _, actor := range lock.Holders() {
		m := Member{ID: actor, Name: k.Names[actor], Key: files[actor], Opens: files[actor] != ""}
		if r.Members = append(r.Members, m); !m.Opens {
			r.warn("%s is missing: no answer that counts", m.Name)
		}
	}
	if n := round.Missing(); n > 0 {
		r.fail("%d of the %d members' parts that are needed are there: %s would stay closed", r.Threshold-n, r.Threshold, r.Lock)
	} else if secret, _, err := round.Secret(); err != nil || len(k.Secret) != len(secret) || !secret.Equal(keys.Secret(k.Secret)) {
		r.fail("the parts are right one by one, and do not open together what was sealed to the members (%v)", err)
	}
	r.sort()
	r.OK = len(r.Failures) == 0
	return r, nil
}

// submit counts one answer.
func (k *Kept) submit(round *recovery.Round, g Given) (actor coco.ActorID, err error) {
	switch a := g.Answer; {
	case g.Err != nil:
		return actor, g.Err
	case a.Format != answerFormat:
		return actor, fmt.Errorf("%w: it is no answer of a drill: name the file that `coco recovery drill seal` wrote", coco.ErrVerify)
	case a.Nonce != k.Nonce:
		return actor, fmt.Errorf("%w: it is no answer of this drill, but of another one, or was altered: the member seals again, with this drill's file", coco.ErrVerify)
	case a.Fault != "":
		// On one line: whoever wrote the file has no line of the report for itself.
		return actor, fmt.Errorf("%w: at the member: %s", coco.ErrVerify, strings.Join(strings.Fields(a.Fault), " "))
	}
	in, err := recovery.ParseRelease(g.Answer.Release)
	if err != nil {
		return actor, err
	}
	return in.Actor, round.Submit(in)
}
