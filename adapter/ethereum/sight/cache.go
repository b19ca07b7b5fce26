package sight

import (
	"crypto/rand"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/chain"
	"github.com/cocoframework/coco/adapter/ethereum/settings"
)

// cache remembers decisions. Each is valid for the state that it was made of: what decides by the chain's state is kept for one block
// of it, and what decides by links, too, for one version of the store.
type cache struct {
	once   sync.Once
	secret [32]byte

	mu      sync.Mutex
	version uint64 // of blocks
	blocks  map[blockKey]*seen

	at       common.Hash        // the block of rules and answers
	settings *settings.Settings // by which they are
	rules    map[ruleKey]*rule
	answers  map[answerKey]said
}

// blockKey is whose view of which block.
type blockKey struct {
	hash    common.Hash
	actor   coco.ActorID
	user    string
	version uint64
	in      *settings.Settings
}

// answerKey is a question to a contract's code.
type answerKey struct {
	contract common.Address
	question [32]byte // digest of the call that asks
	level    int      // of the asker
	gas      uint64   // that the contract had
}

// ruleKey is a contract whose rule an asker of a level meets.
type ruleKey struct {
	contract common.Address
	level    int
}

// Bounds of what is remembered.
const (
	maxBlocks  = 1024
	maxRules   = 4096
	maxAnswers = 16384
)

func (e *eyes) keyOf(b *chain.Block) blockKey {
	key := blockKey{hash: b.Hash, actor: e.viewer.Actor, user: e.viewer.User, in: e.rules.settings}
	if s, ok := e.src.(interface{ Version() uint64 }); ok {
		key.version = s.Version()
	}
	return key
}

func (c *cache) seen(key blockKey) *seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.blocks[key]
}

func (c *cache) keep(key blockKey, s *seen) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.blocks == nil || key.version > c.version || len(c.blocks) >= maxBlocks {
		c.blocks, c.version = map[blockKey]*seen{}, key.version
	}
	c.blocks[key] = s
}

// decoy returns what is looked for instead of a transaction that the caller may not see.
func (c *cache) decoy(hash common.Hash) common.Hash {
	c.once.Do(func() { _, _ = rand.Read(c.secret[:]) }) // never fails
	return crypto.Keccak256Hash(c.secret[:], hash[:])
}

// of returns what is remembered for a block, under the lock, which the caller holds.
func (c *cache) of(at common.Hash, in *settings.Settings) {
	if c.at != at || c.settings != in || c.rules == nil || len(c.rules) > maxRules || len(c.answers) > maxAnswers {
		c.at, c.settings, c.rules, c.answers = at, in, map[ruleKey]*rule{}, map[answerKey]said{}
	}
}

func (c *cache) rule(at common.Hash, in *settings.Settings, key ruleKey) *rule {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of(at, in)
	return c.rules[key]
}

func (c *cache) keepRule(at common.Hash, in *settings.Settings, key ruleKey, r *rule) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of(at, in)
	c.rules[key] = r
}

func (c *cache) answer(at common.Hash, in *settings.Settings, key answerKey) said {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of(at, in)
	return c.answers[key]
}

func (c *cache) keepAnswer(at common.Hash, in *settings.Settings, key answerKey, a said) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of(at, in)
	c.answers[key] = a
}
