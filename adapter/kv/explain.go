package kv

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/kv/residents"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

// Explain decodes what the receipt of a write claims; nil if the claims are of another ledger. content, unless nil, is the value that
// an operation is said to have put: the error is coco.ErrVerify if none did. Claims that are damaged are coco.ErrCorrupt.
func (Adapter) Explain(claims, content []byte) ([]adapter.Fact, error) {
	d, to, err := claimsOf(claims)
	if err != nil || d == nil {
		return nil, err
	}
	caller := d.next(uint64(len(coco.ActorID{})))
	count := d.u32()
	facts := []adapter.Fact{{Name: "caller", Value: fmt.Sprintf("%x", caller)}, {Name: "table", Value: to.table()}}
	for _, actor := range to.audience {
		facts = append(facts, adapter.Fact{Name: "audience", Value: actor.String()})
	}
	put := content == nil
	for i := uint32(0); i < count && !d.failed; i++ {
		op := adapter.Fact{Name: "operation"}
		c := d.claimed()
		if to.resident {
			op.Facts = append(op.Facts, adapter.Fact{Name: "name", Value: hex.EncodeToString(c.key)})
		} else if utf8.Valid(c.key) && !bytes.ContainsFunc(c.key, func(r rune) bool { return !unicode.IsPrint(r) }) {
			op.Facts = append(op.Facts, adapter.Fact{Name: "key", Value: string(c.key)})
		} else {
			op.Facts = append(op.Facts, adapter.Fact{Name: "key_base64", Value: base64.StdEncoding.EncodeToString(c.key)})
		}
		if c.previous == 0 {
			op.Facts = append(op.Facts, adapter.Fact{Name: "previous", Value: "none"})
		} else {
			op.Facts = append(op.Facts, adapter.Fact{Name: "previous", Value: strconv.FormatUint(c.previous, 10)})
		}
		if c.kind == opDelete {
			op.Value = "delete"
		} else {
			op.Value = "put"
			if sum := sha256.Sum256(content); bytes.Equal(c.digest, sum[:]) {
				put = true
			}
			what := map[bool]string{false: "sha256", true: "commitment"}[to.resident]
			op.Facts = append(op.Facts, adapter.Fact{Name: what, Value: hex.EncodeToString(c.digest)})
			if c.kind == opPutTyped {
				op.Facts = append(op.Facts, adapter.Fact{Name: "content_type", Value: string(c.media)})
			}
		}
		facts = append(facts, op)
	}
	if len(d.rest) > 0 {
		user := string(d.next(uint64(d.u8())))
		d.failed = d.failed || user == "" || coco.CheckUser(user) != nil
		facts = slices.Insert(facts, 1, adapter.Fact{Name: factUser, Value: user})
	}
	if d.failed || len(d.rest) != 0 {
		return nil, fmt.Errorf("%w: the claims of a kv write, %d bytes, have another form than this release knows", coco.ErrCorrupt, len(claims))
	}
	if !put {
		return nil, fmt.Errorf("%w: no operation of this transaction put a value with the SHA-256 %x", coco.ErrVerify, sha256.Sum256(content))
	}
	return facts, nil
}

// Reveal is residents.Reveal for the write whose receipt has these claims.
func (Adapter) Reveal(claims, salt []byte, key, media string, value []byte) error {
	d, to, err := claimsOf(claims)
	if err != nil || d == nil || !to.resident {
		return cmp.Or(err, residents.ErrNone)
	}
	_, _ = d.next(uint64(len(coco.ActorID{}))), d.u32()
	return residents.Reveal(to.audience, d.claimed().digest, salt, key, media, value)
}

// factUser is the fact that names the user who sent a write; the fact before it names the organisation.
const factUser = "user"

// By implements adapter.Attributed.
func (a Adapter) By(claims []byte, _ []store.Write) (actor coco.ActorID, user string) {
	facts, err := a.Explain(claims, nil)
	if err != nil || len(facts) < 2 || facts[1].Name != factUser {
		return actor, ""
	}
	if err := actor.UnmarshalText([]byte(facts[0].Value)); err != nil {
		return coco.ActorID{}, ""
	}
	return actor, facts[1].Value
}

// Finding returns how the transaction is found that last wrote a key.
func (Adapter) Finding() adapter.Finding {
	return adapter.Finding{Flag: "key", Usage: "a `key` of kv: the transaction that wrote or deleted it last", Find: findKey}
}

func findKey(ctx context.Context, key string, ask adapter.Ask) (coco.TxID, error) {
	if key == "" {
		return coco.TxID{}, fmt.Errorf("%w: a key of kv is not empty", coco.ErrInvalid)
	}
	escaped := strings.ReplaceAll(url.PathEscape(key), ".", "%2E") // a path with a dot segment is no key's
	answer, _, err := ask(ctx, root+"/"+escaped+"?history&limit=1", nil)
	if err != nil {
		return coco.TxID{}, err
	}
	var page wire.RowVersions
	if err := json.Unmarshal(answer, &page); err != nil {
		return coco.TxID{}, fmt.Errorf("%w: the versions of key %q: %w", coco.ErrCorrupt, key, err)
	}
	if len(page.Items) == 0 {
		return coco.TxID{}, fmt.Errorf("%w: kv has never had a key %q", coco.ErrNotFound, key)
	}
	return page.Items[0].ID, nil
}
