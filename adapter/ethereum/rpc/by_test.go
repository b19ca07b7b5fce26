package rpc

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco"
)

// A transaction records the user who sent it. The user's organisation, the user and auditors learn it; its receiver, who sees the transaction, does not, in an open network either.
func TestWhoseUserSentATransactionIsForItsOrganisation(t *testing.T) {
	kim, lee := callerOf(maker.Actor[0], "kim"), callerOf(maker.Actor[0], "lee")
	for _, closed := range []bool{true, false} {
		n := closedNode(t, kim, shop)
		if !closed {
			n.opened()
		}
		to := n.address(1)
		by, none := n.sent(kim, 0, 0, &to, 5, nil), n.sent(maker, 0, 1, &to, 5, nil)
		asked := func(c coco.Caller, hash common.Hash) string {
			return string(got[json.RawMessage](n, c, "coco_transactionCaller", hash))
		}
		named := `{"organisation":"` + maker.Actor.String() + `","user":"kim"}`
		for name, c := range map[string]struct {
			caller coco.Caller
			hash   common.Hash
			want   string
		}{
			"the organisation":              {maker, by, named},
			"the user":                      {kim, by, named},
			"an auditor":                    {auditor, by, named},
			"another user of it":            {lee, by, "null"},
			"the receiver":                  {shop, by, "null"},
			"an auditor's user":             {coco.Caller{Actor: auditor.Actor, Name: auditor.Name, User: "clerk"}, by, "null"},
			"an organisation sent it":       {maker, none, "null"},
			"a transaction that is nowhere": {maker, common.Hash{1}, "null"},
		} {
			if reply := asked(c.caller, c.hash); reply != c.want {
				t.Errorf("closed %v, %s: %s, expected %s", closed, name, reply, c.want)
			}
		}
		// The receiver sees the transaction itself.
		for _, method := range []string{"eth_getTransactionByHash", "eth_getTransactionReceipt"} {
			if reply := n.by(shop, method, by); !strings.Contains(reply, by.Hex()) || strings.Contains(reply, "kim") {
				t.Errorf("%s answers the receiver with %s", method, reply)
			}
		}
	}
}
