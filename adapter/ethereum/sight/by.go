package sight

import (
	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/blocks"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/settings"
)

// By returns by which user of which organisation a transaction was sent that the caller sees. That is for this organisation, for this user and for auditors, in an open network, too,
// because it names people of an organisation. The zero value is the answer to everybody else, and for what an organisation sent itself.
func By(s *settings.Settings, caller *coco.Caller, t *blocks.Transaction) rows.By {
	own := t.By.Actor == caller.Actor && (caller.User == "" || caller.User == t.By.User)
	if !auditor(s, caller) && !own {
		return rows.By{}
	}
	return t.By
}
