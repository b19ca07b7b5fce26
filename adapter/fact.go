package adapter

import (
	"context"
	"net/http"

	"github.com/cocoframework/coco"
)

// Fact is one thing that the claims of a receipt say, for people and programs. The name is the adapter's own and stays the
// same in every release.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	// Facts are about this one, such as the key of an operation.
	Facts []Fact `json:"facts,omitempty"`
}

// Finding is how an adapter finds the transaction that a user names in the adapter's own words.
type Finding struct {
	Flag  string // of the command line, such as "key"
	Usage string // with the placeholder of the value in backquotes
	// Find asks a node, through ask, which transaction it is. ask returns the answer's body and header; its errors have coco's kinds,
	// and Find passes them on. The error is coco.ErrInvalid if the value cannot be one, and coco.ErrNotFound if the node knows none.
	Find func(ctx context.Context, value string, ask Ask) (coco.TxID, error)
}

// Ask makes a request to a node; a nil body is a GET without one, any other is a POST of JSON.
type Ask func(ctx context.Context, path string, body []byte) (answer []byte, header http.Header, err error)
