package sight

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/blocks"
	"github.com/cocoframework/coco/adapter/ethereum/policy"
	"github.com/cocoframework/coco/adapter/ethereum/settings"
)

// cache remembers decisions. Each is valid for the state that it was made of: what contracts say is kept for one block, and what is decided about a block as long as its
// grounds hold.
type cache struct {
	once   sync.Once
	secret [32]byte

	mu     sync.Mutex
	blocks map[blockKey]*seen

	at       moment             // of rules and answers
	settings *settings.Settings // by which they are
	rules    map[ruleKey]*rule
	answers  map[answerKey]said

	policies  map[[32]byte]*compiled // by the digest of their text; whatever the state
	constants map[constantKey]*rule
}

// compiled is a policy, or why it is none.
type compiled struct {
	policy *policy.Policy
	err    error
}

// blockKey is whose view of which block.
type blockKey struct {
	hash  common.Hash
	actor coco.ActorID
	user  string
	name  string
	role  coco.Role // a token may give one user several
	in    *settings.Settings
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
	maxBlocks   = 1024
	maxRules    = 4096
	maxAnswers  = 16384
	maxPolicies = 1024
)

func (e *eyes) keyOf(b *blocks.Block) blockKey {
	return blockKey{
		hash: b.Hash, actor: e.viewer.Actor, user: e.viewer.User, name: e.viewer.Name, role: e.viewer.Role, in: e.rules.settings,
	}
}

// moment is a state of the chain, of links and of policies, which change between blocks, too.
type moment struct {
	head    common.Hash
	version uint64
}

func (e *eyes) moment() moment {
	at := moment{head: e.now.Head().Hash}
	if s, ok := e.src.(interface{ Version() uint64 }); ok {
		at.version = s.Version()
	}
	return at
}

func (c *cache) seen(key blockKey) *seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.blocks[key]
}

func (c *cache) keep(key blockKey, s *seen) {
	c.mu.Lock()
	defer c.mu.Unlock()
	put(&c.blocks, maxBlocks, key, s)
}

// put remembers a value. If there are as many as may be, all others are forgotten.
func put[K comparable, V any](m *map[K]V, most int, key K, value V) {
	if *m == nil || len(*m) >= most {
		*m = map[K]V{}
	}
	(*m)[key] = value
}

// decoy returns what is looked for instead of a transaction that the caller may not see.
func (c *cache) decoy(hash common.Hash) common.Hash {
	c.once.Do(func() { _, _ = rand.Read(c.secret[:]) }) // never fails
	return crypto.Keccak256Hash(c.secret[:], hash[:])
}

// of returns what is remembered for a moment, under the lock, which the caller holds.
func (c *cache) of(at moment, in *settings.Settings) {
	if c.at != at || c.settings != in || c.rules == nil || len(c.rules) > maxRules || len(c.answers) > maxAnswers {
		c.at, c.settings, c.rules, c.answers = at, in, map[ruleKey]*rule{}, map[answerKey]said{}
	}
}

func (c *cache) rule(at moment, in *settings.Settings, key ruleKey) *rule {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of(at, in)
	return c.rules[key]
}

func (c *cache) keepRule(at moment, in *settings.Settings, key ruleKey, r *rule) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of(at, in)
	c.rules[key] = r
}

func (c *cache) answer(at moment, in *settings.Settings, key answerKey) said {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of(at, in)
	return c.answers[key]
}

func (c *cache) keepAnswer(at moment, in *settings.Settings, key answerKey, a said) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of(at, in)
	c.answers[key] = a
}

// policy compiles a text once.
func (c *cache) policy(t policy.Text) *compiled {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%d ", len(t.Policy)) // never fails
	_, _ = io.WriteString(h, t.Policy)
	_, _ = h.Write(t.ABI)
	key := [32]byte(h.Sum(nil))
	c.mu.Lock()
	known := c.policies[key]
	c.mu.Unlock()
	if known != nil {
		return known
	}
	out := new(compiled)
	out.policy, out.err = policy.Compile(t)
	c.mu.Lock()
	defer c.mu.Unlock()
	put(&c.policies, maxPolicies, key, out)
	return out
}

func (c *cache) constant(key constantKey) *rule {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.constants[key]
}

func (c *cache) keepConstant(key constantKey, r *rule) {
	c.mu.Lock()
	defer c.mu.Unlock()
	put(&c.constants, maxRules, key, r)
}
