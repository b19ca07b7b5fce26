package main

import (
	"bytes"
	"fmt"
	"path"
	"slices"
)

// mutant is one way to break the code: the text that is replaced must be there exactly once.
type mutant struct {
	name, what string
	library    string // the module of the file; "" is this one
	file       string
	old, new   string
	// test is what must notice it, in place of the simulation: a test of the package that pkg names, or of the file's.
	test, pkg string
}

// tests returns the folder of the package whose test must notice the mutant.
func (m mutant) tests() string {
	if m.pkg != "" {
		return m.pkg
	}
	return path.Dir(m.file)
}

// mutants are all.
var mutants = slices.Concat(simulated, tested)

// tested are those that a named test must notice.
var tested = slices.Concat(keyMutants, grantMutants, custodyMutants, expiryMutants, proxyMutants, callerMutants, sessionMutants, audienceMutants, prefixMutants, policyMutants, residentMutants)

func (m mutant) apply(whole []byte) ([]byte, error) {
	if n := bytes.Count(whole, []byte(m.old)); n != 1 {
		return nil, fmt.Errorf("%s holds its text %d times, expected once: the code has changed, so must the mutant:\n%s", m.file, n, m.old)
	}
	return bytes.Replace(whole, []byte(m.old), []byte(m.new), 1), nil
}

const raft = "go.etcd.io/raft/v3"

// simulated are those that seeds of the simulation must notice.
var simulated = []mutant{
	{
		name: "sync", what: "the ledger is never synced: acknowledge before sync", file: "replica/writer.go",
		old: "	err := w.log.Sync()\n	w.meter.writing.Store(0)", new: "	err := error(nil)\n	w.meter.writing.Store(0)",
	},
	{
		name: "ioerror", what: "a sync that fails is taken for one that did its work", file: "replica/writer.go",
		old: "	err := w.log.Sync()\n	w.meter.writing.Store(0)", new: "	_ = w.log.Sync()\n	err := error(nil)\n	w.meter.writing.Store(0)",
	},
	{
		name: "early", what: "callers are answered when a batch is sealed, before it is committed", file: "replica/execute.go",
		old: "	x.chain.seal(b)\n", new: "	b.answer()\n	b.waiting = nil\n	x.chain.seal(b)\n",
	},
	{
		name: "rollback", what: "a new leader's entries do not roll back what was executed", file: "replica/apply.go",
		old: "		if err := x.rollback(); err != nil {\n			return err\n		}\n", new: "		x.chain.drop()\n",
	},
	{
		name: "once", what: "a forwarded call whose outcome is unknown is sent again: executed twice", file: "peer/forward.go",
		old: "errors.Is(err, coco.ErrNotCommitted) || calls[at].Repeatable && errors.Is(err, coco.ErrUnknown)",
		new: "errors.Is(err, coco.ErrNotCommitted) || errors.Is(err, coco.ErrUnknown)",
	},
	{
		name: "unanswered", what: "a call that the leader did not answer in time is called not committed", file: "peer/forward.go",
		old: `fmt.Errorf("%w: the leader did not answer in time: %w", coco.ErrUnknown, ctx.Err())`,
		new: `fmt.Errorf("%w: the leader did not answer in time: %w", coco.ErrNotCommitted, ctx.Err())`,
	},
	{
		name: "refusal", what: "a refused condition is answered before the state that it was judged by is committed", file: "replica/calls.go",
		old: "		if batch == nil {\n			p.finish(p.result)", new: "		if batch == nil || o.Tx == nil {\n			p.finish(p.result)",
	},
	{
		name: "clock", what: "a leader believes its own host's clock, whatever the others say", file: "pulse/ledgertime.go",
		old: "		return min(max(now, agreed), agreed+uint64(quorumSlack.Milliseconds()))", new: "		return now + 0*agreed",
	},
	{
		name: "pause", what: "a leader counts on from the last batch, whatever a quorum's clocks say", file: "pulse/ledgertime.go",
		old: "ok && (alone || !clocks.Alone())", new: "ok && agreed == 0",
	},
	{
		name: "swap", what: "`If-Match` always holds", file: "adapter/kv/precondition/precondition.go",
		old: "		return version == c.Version", new: "		return true",
	},
	{
		name: "session", what: "`X-Coco-At-Least` is ignored", file: "adapter/kv/read.go",
		old: "	if l.newest().Last >= seqno {\n		return nil\n	}\n	timeout", new: "	if seqno > 0 {\n		return nil\n	}\n	timeout",
	},
	{
		name: "back", what: "reads without a session show an older state now and then", file: "adapter/kv/read.go",
		old: "	snap, err := l.env.State.SnapshotAt(commit.Last)\n",
		new: "	if len(r.Header[wire.HeaderAtLeast]) == 0 && commit.Last > 60 && commit.Last%4 == 0 {\n		commit.Last -= 20\n	}\n	snap, err := l.env.State.SnapshotAt(commit.Last)\n",
	},
	{
		name: "linear", what: "a linearizable read waits for no round", file: "node/fresh.go",
		old: "	if rd.Latest {", new: "	if rd.Latest && n.cfg.Name == \"\" {",
	},
	{
		name: "echo", what: "a round counts as confirmed without the leader", file: "pulse/pulse.go",
		old: "Known: known}, led\n", new: "Known: known}, led || true\n",
	},
	{
		name: "before", what: "a linearizable read is let go by a round that began before it", file: "pulse/readers.go",
		old: "if w.round == 0 || w.round > c.Round {", new: "if w.round == 0 && w.round > c.Round {",
	},
	{
		name: "dirty", what: "reads show what is executed but not committed", file: "store/snapshot.go",
		old: "	return s.pin(tables, s.committed.Load())\n", new: "	return s.pin(tables, s.newest)\n",
	},
	{
		name: "drop", what: "a follower drops one write of one batch in 64", file: "replica/apply.go",
		old: "	if err := x.store.Apply(", new: "	if e.Index%64 == 63 && len(writes) > 1 {\n		writes = writes[1:]\n	}\n	if err := x.store.Apply(",
	},
	{
		name: "public", what: "`kv`'s table is public", file: "adapter/kv/kv.go",
		old: "{Name: table, Private: true, Ordered: true}", new: "{Name: table, Private: false, Ordered: true}",
	},
	{
		name: "mute", what: "a node mends its ledger and does not say so", file: "node/run.go",
		old: `cfg.Log.Error("this node's ledger is damaged: cutting it and fetching the rest again",`, new: `cfg.Log.Debug("",`,
	},
	{
		name: "chain", what: "the chain digest before a batch is not compared", file: "replica/chain.go",
		old: "	if h.Prev != c.applied.Chain {", new: "	if false {",
	},
	{
		name: "root", what: "a batch's Merkle root is not compared", file: "replica/chain.go",
		old: "	if err := b.VerifyRoot(&end.Tree); err != nil {", new: "	if err := b.VerifyRoot(&end.Tree); err != nil && len(e.Data) == 0 {",
	},
	{
		name: "joiner", what: "a joiner's ledger is believed without comparing", file: "catchup/samples.go",
		old: "entries[0].Kind == batch.KindBatch && sha256.Sum256(entries[0].Data) == s.Digest", new: "entries[0].Kind == batch.KindBatch",
	},
	{
		name: "learner", what: "a learner votes before it has caught up", file: "consensus/reconfig/reconfig.go",
		old: "const CaughtUp = 64", new: "const CaughtUp = 1 << 40",
	},
	{
		name: "stopping", what: "a node that stops calls sealed transactions not committed", file: "replica/executor.go",
		old: `"%w: this node stopped before the transaction was committed", coco.ErrUnknown`, new: `"%w: this node stopped before the transaction was committed", coco.ErrNotCommitted`,
	},
	{
		name: "vote", what: "Raft: votes are given without comparing logs", library: raft, file: "raft.go",
		old: "		if canVote && r.raftLog.isUpToDate(candLastID) {", new: "		if canVote {",
	},
	{
		name: "slot", what: "the trie of state roots misses what a slot becomes", file: "adapter/ethereum/stateroot/trie.go",
		old: "	return s.trie.Update(key, value)\n", new: "	_ = value\n	return nil\n",
	},
	{
		name: "run", what: "a trie of state roots goes on after its blocks were rolled back", file: "adapter/ethereum/stateroot/worker.go",
		old: "	if t == nil || t.run != run || r.Run != run || r.doubted {\n", new: "	if t == nil || r.Run != run || r.doubted {\n",
	},
	{
		name: "append", what: "Raft: a follower appends without comparing the entry before", library: raft, file: "log.go",
		old: "	if !l.matchTerm(a.prev) {\n		return 0, false", new: "	if !l.matchTerm(a.prev) && a.prev.index > l.lastIndex() {\n		return 0, false",
	},
	{
		name: "negative", what: "Raft: refused votes count as given", library: raft, file: "tracker/tracker.go",
		old: "		p.Votes[id] = v\n", new: "		p.Votes[id] = true\n",
	},
	{
		name: "counting", what: "Raft: entries of old views are committed by counting", library: raft, file: "log.go",
		old: "	if at.term != 0 && at.index > l.committed && l.matchTerm(at) {", new: "	if at.term != 0 && at.index > l.committed {",
	},
	{
		name: "truncate", what: "Raft: what follows an early append is cut off", library: raft, file: "log.go",
		old: "	case ci == 0:\n	case ci <=", new: "	case ci == 0 && len(a.entries) > 0 && lastnewi < l.lastIndex() && lastnewi > l.committed:\n		l.append(a.entries...)\n	case ci == 0:\n	case ci <=",
	},
	{
		name: "joining", what: "Raft: what a learner acknowledges fills up a majority of the voters: a joining node counts too early", library: raft, file: "tracker/tracker.go",
		old: "	return uint64(p.Voters.CommittedIndex(matchAckIndexer(p.Progress)))\n",
		new: "	var acked []uint64\n	for _, pr := range p.Progress {\n		acked = append(acked, pr.Match)\n	}\n	slices.Sort(acked)\n" +
			"	if n := len(acked) - len(p.Voters[0])/2 - 1; n >= 0 {\n		return acked[n]\n	}\n	return 0\n",
	},
	{
		name: "retired", what: "Raft: a node that was removed still counts: a retired node's acknowledgement", library: raft, file: "confchange/confchange.go",
		old: "	delete(incoming(cfg.Voters), id)\n	nilAwareDelete(&cfg.Learners, id)", new: "	nilAwareDelete(&cfg.Learners, id)",
	},
	{
		name: "uncommitted", what: "a snapshot is taken of the state that is executed, committed or not", file: "snapshotter/pace.go",
		old: "	pt := point{at: at, state: s.Snapshot()}\n",
		new: "	committed := s.Committed()\n	s.Commit(s.Newest())\n	pt := point{at: at, state: s.Snapshot()}\n	pt.at.Seqno = s.Newest()\n	s.Commit(committed)\n",
	},
	{
		name: "age", what: "a state counts as new from when a beat was heard on, whatever it confirms", file: "replica/pulse.go",
		old: "	l.progress.fresh.Store(int64(fresh))\n", new: "	_ = fresh\n	l.progress.fresh.Store(int64(l.clock.Elapsed()))\n",
	},
	{
		name: "old", what: "a recovery goes on from a ledger that lacks what members know to be committed", file: "reopen/reopen.go",
		old: "want.Seqno > 0 && seen.view != want.View", new: "want.Seqno == 0 && seen.view != want.View",
	},
	{
		name: "policy", what: "the default policy decides every proposal, whatever the policy of its kind says", file: "gov/decide/judge.go",
		old: "		name, _ := c.PolicyOf(string(a.Kind))\n		q := question{", new: "		name := constitution.PolicyDefault\n		q := question{",
	},
	{
		name: "first", what: "the ledger that is listed last gets whole batches as long as calls wait for it", file: "replica/execute.go",
		old: "		of := l.list[(l.first+i)%len(l.list)]\n		if of.busy() || x.gathers(of) {\n			continue\n		}\n",
		new: "		of := l.list[len(l.list)-1-i]\n		if i > 0 && x.queue.waiting(l.list[len(l.list)-1].Name) > 0 {\n			return\n		}\n		if of.busy() || x.gathers(of) {\n			continue\n		}\n",
	},
}
