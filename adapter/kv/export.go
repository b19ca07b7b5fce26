package kv

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/resident"
	"github.com/cocoframework/coco/store"
)

// exported is a key's new value. Texts that are no UTF-8 are in base64.
type exported struct {
	Key         string `json:"key,omitempty"`
	KeyBase64   []byte `json:"key_base64,omitempty"`
	Version     uint64 `json:"version,omitempty"` // seqno; absent if the key was deleted
	ContentType string `json:"content_type,omitempty"`
	Value       string `json:"value,omitempty"`
	ValueBase64 []byte `json:"value_base64,omitempty"`
	Deleted     bool   `json:"deleted,omitempty"`
	// Audience are the organisations that see the row, by their ids; absent for all.
	Audience store.Audience `json:"audience,omitempty"`
	// Name and Commitment are what the ledger has of a row that resides with its parties, in hexadecimal.
	Name       string `json:"name,omitempty"`
	Commitment string `json:"commitment,omitempty"`
}

// resident says what the ledger has of a row that resides with its parties.
func (e *exported) resident(w store.Write) error {
	e.Name = hex.EncodeToString(w.Key)
	if w.Delete {
		return nil
	}
	row, err := resident.ParseRow(w.Value)
	e.Version, e.Commitment = row.Version, row.Commitment.String()
	return err
}

// Export implements adapter.Exporter: each write of a key is one thing.
func (Adapter) Export() func([]store.Write) ([]adapter.Exported, error) {
	return func(writes []store.Write) (out []adapter.Exported, err error) {
		for _, w := range writes {
			if w.Table != table && w.Table != parties && w.Table != apart {
				continue
			}
			e := exported{Deleted: w.Delete}
			if w.Table != table {
				if e.Audience, w.Key, err = store.CutAudience(w.Key); err == nil && !w.Delete {
					w.Value, err = store.CutSalt(w.Value)
				}
				if err != nil {
					return nil, err
				}
			}
			if w.Table == apart {
				if err := e.resident(w); err != nil {
					return nil, err
				}
			} else if e.Key = string(w.Key); !utf8.Valid(w.Key) {
				e.Key, e.KeyBase64 = "", w.Key
			}
			if !w.Delete && w.Table != apart {
				if !whole(w.Value) {
					return nil, fmt.Errorf("%w: the row of key %q has %d bytes and no whole version", coco.ErrCorrupt, w.Key, len(w.Value))
				}
				media, value := contentOf(w.Value)
				e.Version, e.ContentType = versionOf(w.Value), media
				if e.Value = string(value); !utf8.Valid(value) {
					e.Value, e.ValueBase64 = "", value
				}
			}
			b, err := json.Marshal(e)
			if err != nil {
				return nil, fmt.Errorf("key %q: %w", w.Key, err)
			}
			out = append(out, adapter.Exported{Kind: "kv.write", Value: b})
		}
		return out, nil
	}
}

// whole says whether a row is one that store has made.
func whole(stored []byte) bool {
	if len(stored) < versionSize {
		return false
	}
	return stored[0]&0x80 == 0 || len(stored) > versionSize && len(stored) > versionSize+int(stored[versionSize])
}
