package rpc

import "testing"

// Who stands between client and node can make a request again, for as long as its time counts.
func TestWhatTakesBackLaterCallsIsMadeOnce(t *testing.T) {
	for body, want := range map[string]bool{
		`{"method":"eth_call","params":[{"input":"coco_"}]}`:              true,
		`{"method":"eth_sendRawTransaction"}`:                             true,
		`[{"method":"eth_chainId"},{"method":"coco_sendRawTransaction"}]`: true,
		`no JSON: coco_`:                                                           true,
		`{"method":"coco_unlinkAddress"}`:                                          false,
		`{"method":"coco_setAccessPolicy"}`:                                        false,
		`{"method":"coco_removeAccessPolicy"}`:                                     false,
		`{"method":"eth_getFilterChanges"}`:                                        false,
		`[{"method":"eth_chainId"},{"Method":"\u0063oco_unlinkAddress"}]`:          false,
		`{"method":7,"method":"coco_unlinkAddress"}`:                               false,
		`[{"method":"coco_sendRawTransaction"},{"method":"coco_setAccessPolicy"}]`: false,
	} {
		if got := repeatable([]byte(body)); got != want {
			t.Errorf("%s may be made twice: %v, expected %v", body, got, want)
		}
	}
}
