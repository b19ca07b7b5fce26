package rpc

import (
	"bytes"
	"encoding/json"
	"strings"
)

// repeatable reports whether the calls of a body have no effect when they are made a second time. A transaction never executes twice. A link that is ended
// again, or a policy that is attached again, takes back what its caller has done in between; and what was polled is told once.
func repeatable(body []byte) bool {
	if !bytes.Contains(body, []byte("coco_")) && !bytes.Contains(body, []byte(polling)) && bytes.IndexByte(body, '\\') < 0 {
		return true // none of them is named
	}
	var batch []json.RawMessage
	if json.Unmarshal(body, &batch) != nil {
		batch = []json.RawMessage{body}
	}
	for _, call := range batch {
		var m struct {
			Method string `json:"method"`
		}
		_ = json.Unmarshal(call, &m) // what is none calls nothing
		if m.Method == polling || strings.HasPrefix(m.Method, "coco_") && m.Method != sendingAgain {
			return false
		}
	}
	return true
}

const (
	polling      = "eth_getFilterChanges"
	sendingAgain = "coco_sendRawTransaction"
)
