// Package sealed encrypts a request to a network, and the answer to who asked, so that what ends TLS between them sees neither.
//
//	client                              balancer                         any node of the network
//	SealRequest ── application/coco-sealed ──▶ … ── POST /sealed ──▶ Key.Open ─▶ the node's routes
//	Answer.Open ◀────────────────────── … ◀───────────────────────── Reply.Seal ◀┘
//
// The recipient is a [Key] that all nodes derive from the service's private key and the secret of an epoch, so any of them opens a message, and none does that
// left before the epoch began; a node keeps the key of the epoch before for a while. A client learns the public key from an [Announcement], which a node's
// evidence vouches for over a fresh nonce (see [EvidenceNonce]).
//
// A request is encrypted by HPKE (RFC 9180) in base mode: X-Wing (ML-KEM-768 with X25519), HKDF-SHA256 and AES-256-GCM. It is authentic to nobody: who
// asks is said by a credential inside it. The answer is encrypted under a key that HPKE exports
// from the request, as in Oblivious HTTP (RFC 9458, section 4.4), so it belongs to this one request. Both are padded by Padmé (Nikitin et al., "Reducing
// Metadata Leakage from Encrypted Files and Communication with PURBs", 2019): the size of a message tells at most O(log log n) bits of n.
//
// What is replayed: a request names the time at which it was made, and, unless it has no effect the second time, the one node that may act on it, and an id of its own. A node's id is new
// whenever its process starts, so a node knows all that it has acted on under it. That another node has not acted on a request proves nothing, because a copy may have reached the one that is
// named: so a request is never made out to a second node. docs/formats.md has the formats and a test vector.
//
// Trust: either
package sealed

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
)

// Context is that of the report data of the evidence for an announcement: see attest.ReportData.
const Context = "coco sealed key"

// Limits of a message's parts, in bytes.
const (
	MaxHeader  = 32 << 10 // names and values together
	MaxTarget  = 8 << 10
	MaxFields  = 64
	overhead   = 8 << 10 // of a message beyond its plain text, and of that beyond the body
	version    = 1
	keySize    = 32
	nonceSize  = 32
	encapSize  = 1120 // of X-Wing
	publicSize = 1216
	leastPlain = 256
)

// MediaType is that of a sealed message.
const MediaType = "application/coco-sealed"

// MaxMessage is how many bytes a message may have whose body has at most so many.
func MaxMessage(body int64) int64 {
	return int64(padded(int(body)+MaxHeader+MaxTarget+overhead)) + overhead
}

// errRefused is why a message cannot be opened. There is one error for every reason.
var errRefused = fmt.Errorf("%w: sealed message: it is damaged, or meant for another key", coco.ErrDenied)

// Key is a network's key for one epoch, with its private part.
type Key struct {
	Epoch   uint64
	private hpke.PrivateKey
	public  []byte
}

// String prints no secret.
func (k *Key) String() string { return fmt.Sprintf("sealed key of epoch %d", k.Epoch) }

// Format implements fmt.Formatter.
func (k *Key) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(k.String())) }

// Derive returns the key of an epoch: a function of the service's private key (PKCS 8) and the epoch's secret.
func Derive(service, epochSecret []byte, epoch uint64) (*Key, error) {
	ikm := binary.BigEndian.AppendUint64(nil, uint64(len(service)))
	ikm = append(append(ikm, service...), epochSecret...)
	defer clear(ikm)
	info := string(binary.BigEndian.AppendUint64([]byte("coco sealed key\x00"), epoch))
	seed, err := hkdf.Key(sha256.New, ikm, nil, info, keySize)
	if err != nil {
		return nil, err
	}
	defer clear(seed)
	private, err := hpke.MLKEM768X25519().DeriveKeyPair(seed)
	if err != nil {
		return nil, err
	}
	return &Key{Epoch: epoch, private: private, public: private.PublicKey().Bytes()}, nil
}

// Announce returns what a node says of the key.
func (k *Key) Announce(node coco.NodeID) Announcement {
	return Announcement{Version: version, Epoch: k.Epoch, Public: k.public, Node: node}
}

// Announcement names a network's key of an epoch, and the node that says so.
type Announcement struct {
	Version uint64      `cbor:"1,keyasint"` // 1
	Epoch   uint64      `cbor:"2,keyasint"`
	Public  []byte      `cbor:"3,keyasint"` // X-Wing
	Node    coco.NodeID `cbor:"4,keyasint"`
}

func (a *Announcement) validate() error {
	if a.Version != version || len(a.Public) != publicSize {
		return fmt.Errorf("%w: announcement of version %d with a key of %d bytes: expected version %d and %d bytes", coco.ErrCorrupt, a.Version, len(a.Public), version, publicSize)
	}
	return nil
}

// Encode returns the announcement in deterministic CBOR.
func (a Announcement) Encode() ([]byte, error) {
	if err := a.validate(); err != nil {
		return nil, err
	}
	return canon.Marshal(a)
}

// DecodeAnnouncement reads what Encode wrote, and nothing else.
func DecodeAnnouncement(b []byte) (a Announcement, err error) {
	if err := canon.Unmarshal(b, &a, canon.Limits{Bytes: publicSize + 128}); err != nil {
		return a, fmt.Errorf("%w: announcement: %w", coco.ErrCorrupt, err)
	}
	return a, a.validate()
}

// EvidenceNonce is the nonce of the evidence for an announcement, for a client's own nonce.
func EvidenceNonce(announcement, nonce []byte) []byte {
	sum := sha256.Sum256(announcement)
	return append(sum[:], nonce...)
}

// Field is a line of a header.
type Field struct {
	Name  string `cbor:"1,keyasint"`
	Value string `cbor:"2,keyasint"`
}

// Request is what a client asks.
type Request struct {
	Method string `cbor:"1,keyasint"`
	// Target is the path, and the query if there is one.
	Target string  `cbor:"2,keyasint"`
	Header []Field `cbor:"3,keyasint,omitempty"`
	Body   []byte  `cbor:"4,keyasint,omitempty"`
	// Time is when it was made, in milliseconds since 1970.
	Time uint64 `cbor:"5,keyasint"`
	// For is the one node that may act on it; zero for any node. ID then names the request, whose IDSize bytes are random and the same whenever it is
	// sent again: the node acts on them once.
	For coco.NodeID `cbor:"6,keyasint"`
	ID  []byte      `cbor:"7,keyasint,omitempty"`
}

// IDSize is how many bytes the ID of a request has that is for one node.
const IDSize = 16

// Reply is what a node answers.
type Reply struct {
	Status uint64  `cbor:"1,keyasint"` // of HTTP
	Header []Field `cbor:"2,keyasint,omitempty"`
	Body   []byte  `cbor:"3,keyasint,omitempty"`
	// Node is the one that answers. Misdirected: it has not acted on the request, which was for another one.
	Node        coco.NodeID `cbor:"4,keyasint"`
	Misdirected bool        `cbor:"5,keyasint,omitempty"`
}

// message is a request on the wire. Its first two fields are authenticated with the ciphertext.
type message struct {
	Version uint64 `cbor:"1,keyasint"`
	Epoch   uint64 `cbor:"2,keyasint"`
	Encap   []byte `cbor:"3,keyasint"`
	Box     []byte `cbor:"4,keyasint"`
}

// answer is a reply on the wire.
type answer struct {
	Version uint64 `cbor:"1,keyasint"`
	Nonce   []byte `cbor:"2,keyasint"`
	Box     []byte `cbor:"3,keyasint"`
}

func (r *Request) validate() error {
	if r.Method == "" || len(r.Method) > 16 || strings.ContainsFunc(r.Method, func(c rune) bool { return c < 'A' || c > 'Z' }) {
		return fmt.Errorf("%w: sealed request: method %.20q", coco.ErrInvalid, r.Method)
	}
	if !strings.HasPrefix(r.Target, "/") || len(r.Target) > MaxTarget || strings.ContainsFunc(r.Target, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return fmt.Errorf("%w: sealed request: expected an absolute path of at most %d printable characters", coco.ErrInvalid, MaxTarget)
	}
	if (r.For != coco.NodeID{}) != (len(r.ID) == IDSize) || len(r.ID) != 0 && len(r.ID) != IDSize {
		return fmt.Errorf("%w: sealed request: expected an id of %d bytes if it is for one node, and none else", coco.ErrInvalid, IDSize)
	}
	return checkHeader(r.Header)
}

func checkHeader(header []Field) error {
	size := 0
	for _, f := range header {
		size += len(f.Name) + len(f.Value)
		if f.Name == "" || strings.ContainsFunc(f.Name, func(c rune) bool { return !token(c) }) || strings.ContainsFunc(f.Value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
			return fmt.Errorf("%w: sealed message: header %.40q: expected a token and a value without control characters (RFC 9110, section 5)", coco.ErrInvalid, f.Name)
		}
	}
	if size > MaxHeader || len(header) > MaxFields {
		return fmt.Errorf("%w: sealed message: a header of %d lines and %d bytes: expected at most %d and %d", coco.ErrInvalid, len(header), size, MaxFields, MaxHeader)
	}
	return nil
}

// token reports whether a character may be in a token (RFC 9110, section 5.6.2).
func token(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", c)
}

// plain is the padded encoding of a value: its length as 4 bytes, big-endian, the encoding, and zero bytes.
func plain(v any) ([]byte, error) {
	b, err := canon.Marshal(v)
	if err != nil {
		return nil, err
	}
	out := make([]byte, max(leastPlain, padded(4+len(b))))
	binary.BigEndian.PutUint32(out, uint32(len(b)))
	copy(out[4:], b)
	return out, nil
}

// unpad is the encoding in a padded one, which plain has made.
func unpad(b []byte) ([]byte, error) {
	if len(b) < leastPlain {
		return nil, errRefused
	}
	n := int(binary.BigEndian.Uint32(b))
	if n < 0 || n > len(b)-4 || len(b) != max(leastPlain, padded(4+n)) {
		return nil, errRefused
	}
	for _, pad := range b[4+n:] {
		if pad != 0 {
			return nil, errRefused
		}
	}
	return b[4 : 4+n], nil
}

// padded is Padmé: the next size whose lowest bits, as many as it has beyond those that its exponent needs, are zero.
func padded(n int) int {
	if n < 2 {
		return n
	}
	e := bits.Len(uint(n)) - 1
	mask := 1<<(e-bits.Len(uint(e))) - 1
	return (n + mask) &^ mask
}

// info is HPKE's, and bound the additional data of a request.
func info() []byte { return []byte("coco sealed request\x00") }

func bound(epoch uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{version}, epoch)
}

// Answer opens the reply to one request.
type Answer struct {
	encap  []byte
	secret []byte
}

// SealRequest encrypts a request to an announced key.
func SealRequest(to Announcement, r Request) ([]byte, *Answer, error) {
	if err := errors.Join(to.validate(), r.validate()); err != nil {
		return nil, nil, err
	}
	return sealRequest(to, r)
}

func sealRequest(to Announcement, r Request) ([]byte, *Answer, error) {
	public, err := hpke.MLKEM768X25519().NewPublicKey(to.Public)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: announced key: %w", coco.ErrCorrupt, err)
	}
	text, err := plain(r)
	if err != nil {
		return nil, nil, err
	}
	encap, sender, err := hpke.NewSender(public, hpke.HKDFSHA256(), hpke.AES256GCM(), info())
	if err != nil {
		return nil, nil, err
	}
	box, err := sender.Seal(bound(to.Epoch), text)
	if err != nil {
		return nil, nil, err
	}
	secret, err := sender.Export(exported, keySize)
	if err != nil {
		return nil, nil, err
	}
	b, err := encode(message{version, to.Epoch, encap, box})
	return b, &Answer{encap, secret}, err
}

const exported = "coco sealed reply"

// Epoch returns the epoch whose key a message says that it is encrypted to. The error is coco.ErrDenied, as all errors are of messages that cannot be opened.
func Epoch(b []byte) (uint64, error) {
	m, err := parse(b)
	return m.Epoch, err
}

func encode(m message) ([]byte, error) { return canon.Marshal(m) }

func unmarshal(b []byte, v any) error { return canon.Unmarshal(b, v, canon.Limits{Bytes: len(b)}) }

func parse(b []byte) (m message, err error) {
	if unmarshal(b, &m) != nil || m.Version != version || len(m.Encap) != encapSize {
		return message{}, errRefused
	}
	return m, nil
}

// Opened is a request that was encrypted to the network.
type Opened struct {
	Request
	encap  []byte
	secret []byte
}

// Open decrypts a message. The error is coco.ErrDenied and says no more; the time that it takes to fail depends on the message's size alone, once its
// form is right.
func (k *Key) Open(b []byte) (*Opened, error) {
	m, err := parse(b)
	if err != nil {
		return nil, err
	}
	r, err := hpke.NewRecipient(m.Encap, k.private, hpke.HKDFSHA256(), hpke.AES256GCM(), info())
	if err != nil {
		return nil, errRefused
	}
	text, err := r.Open(bound(m.Epoch), m.Box)
	if err != nil || m.Epoch != k.Epoch {
		return nil, errRefused
	}
	o := &Opened{encap: m.Encap}
	inner, err := unpad(text)
	if err != nil {
		return nil, err
	}
	if unmarshal(inner, &o.Request) != nil || o.validate() != nil {
		return nil, errRefused
	}
	o.secret, err = r.Export(exported, keySize)
	return o, err
}

// Seal encrypts the reply to the request.
func (o *Opened) Seal(r Reply) ([]byte, error) {
	nonce := make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // it never fails
	return o.seal(r, nonce)
}

func (o *Opened) seal(r Reply, nonce []byte) ([]byte, error) {
	if err := checkHeader(r.Header); err != nil {
		return nil, err
	}
	text, err := plain(r)
	if err != nil {
		return nil, err
	}
	aead, iv, err := replyKey(o.encap, o.secret, nonce)
	if err != nil {
		return nil, err
	}
	return canon.Marshal(answer{version, nonce, aead.Seal(nil, iv, text, bound(0))})
}

// Open decrypts the reply. The error is coco.ErrVerify: what came is not the network's answer to this request.
func (a *Answer) Open(b []byte) (r Reply, err error) {
	var m answer
	if err := unmarshal(b, &m); err != nil || m.Version != version || len(m.Nonce) != nonceSize {
		return r, fmt.Errorf("%w: sealed reply: its form is wrong: it was cut or changed on its way", coco.ErrVerify)
	}
	aead, iv, err := replyKey(a.encap, a.secret, m.Nonce)
	if err != nil {
		return r, err
	}
	text, err := aead.Open(nil, iv, m.Box, bound(0))
	if err != nil {
		return r, fmt.Errorf("%w: sealed reply: it is no answer to this request: it was changed on its way, or answers another one", coco.ErrVerify)
	}
	inner, err := unpad(text)
	if err == nil {
		err = unmarshal(inner, &r)
	}
	if err == nil {
		err = checkHeader(r.Header)
	}
	if err != nil || r.Status < 100 || r.Status > 599 {
		return Reply{}, fmt.Errorf("%w: sealed reply: its content has a wrong form", coco.ErrVerify)
	}
	return r, nil
}

// replyKey is the key of a reply (RFC 9458, section 4.4).
func replyKey(encap, secret, nonce []byte) (cipher.AEAD, []byte, error) {
	prk, err := hkdf.Extract(sha256.New, secret, bytes.Join([][]byte{encap, nonce}, nil))
	if err != nil {
		return nil, nil, err
	}
	key, err := hkdf.Expand(sha256.New, prk, "key", keySize)
	if err != nil {
		return nil, nil, err
	}
	iv, err := hkdf.Expand(sha256.New, prk, "nonce", 12)
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, err
	}
	aead, err := cipher.NewGCM(block)
	return aead, iv, err
}

// Outer is what is known of a sealed request from outside of the encryption.
type Outer struct {
	Authorization []string    // the headers Authorization of the outer request
	Message       coco.Digest // SHA-256 of the ciphertext
}
