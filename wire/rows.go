package wire

import (
	"net/url"
	"strings"

	"github.com/cocoframework/coco"
)

// Row is a key of kv with its value, as a page of a list has it.
type Row struct {
	Key     []byte  `json:"key"`
	Text    string  `json:"key_text,omitempty"`     // the key, if it is printable UTF-8
	Media   string  `json:"content_type,omitempty"` // absent for MediaBytes
	Value   *[]byte `json:"value,omitempty"`        // absent if only keys are asked for
	Version uint64  `json:"etag,string"`
}

// Rows are a page of a list, in the order of their keys.
type Rows struct {
	ID    coco.TxID `json:"transaction_id"` // of the state read
	Items []Row     `json:"items"`
	Next  string    `json:"next,omitempty"` // path and query of the next page, if there is more
}

// NextKey is the key with which the next page begins; empty if there is no next page.
func (r *Rows) NextKey() string {
	_, query, _ := strings.Cut(r.Next, "?")
	values, _ := url.ParseQuery(query) // of another form: no key
	return values.Get("from")
}

// RowVersion is what a transaction made of a key.
type RowVersion struct {
	ID      coco.TxID `json:"transaction_id"` // that wrote or deleted
	Time    string    `json:"time"`           // of its batch
	Deleted bool      `json:"deleted,omitempty"`
	Media   string    `json:"content_type,omitempty"` // absent for MediaBytes
	Value   *[]byte   `json:"value,omitempty"`        // nil if deleted
}

// RowVersions are a page of a key's versions, the newest first.
type RowVersions struct {
	ID    coco.TxID    `json:"transaction_id"` // of the newest state when it was read
	Items []RowVersion `json:"items"`
	Next  string       `json:"next,omitempty"` // path and query of the next page, if there may be more
}
