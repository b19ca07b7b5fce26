package wire

import (
	"encoding/json"

	"github.com/cocoframework/coco"
)

// Proven is a value of kv with the receipt of the transaction that wrote it.
//
// The receipt proves, to whoever knows the network's service, that this transaction is committed and put a value with this
// SHA-256 and content type under this key, and to which audience: its claims say so. That no later transaction wrote the key is in no proof: the
// network's tree has transactions in it, and not the newest row of each key. That the value was the newest at AsOf is the word of the node that
// answers.
type Proven struct {
	ID      coco.TxID       `json:"transaction_id"` // that wrote the value
	AsOf    coco.TxID       `json:"as_of"`          // the last transaction of the state that was read
	Version uint64          `json:"etag,string"`
	Media   string          `json:"content_type,omitempty"` // absent for MediaBytes
	Value   []byte          `json:"value"`
	Receipt json.RawMessage `json:"receipt"` // see docs/formats.md
}
