package kv

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/cocoframework/coco/adapter"
)

// A ledger whose settings have no format was made by a program that knew format 1 only. Other nodes of its network may
// still run that program: what this one answers, stores and claims there is, byte for byte, what that one did. The
// expectations in testdata/format1 were written by the program before format 2. They are never written again.
func TestALedgerWithoutTheSettingIsAsItsProgramWroteIt(t *testing.T) {
	c := newStoredCore(t, []byte(`{"max_batch_ops":1000,"max_key_bytes":1024,"max_value_bytes":1048576}`))
	datadriven.RunTest(t, "testdata/format1", func(t *testing.T, d *datadriven.TestData) string {
		var out strings.Builder
		before := len(c.claims)
		switch d.Cmd {
		case "request": // method and path, header fields, an empty line, and the body
			head, body, _ := strings.Cut(d.Input, "\n\n")
			lines := strings.Split(strings.TrimSuffix(head, "\n"), "\n")
			method, path, _ := strings.Cut(lines[0], " ")
			var header []string
			for _, l := range lines[1:] {
				name, value, _ := strings.Cut(l, ": ")
				header = append(header, name, value)
			}
			w := c.do(method, path, strings.TrimSuffix(body, "\n"), header...)
			fmt.Fprintln(&out, line(w))
			if m := w.Header().Get("Content-Type"); method == "GET" && w.Code == 200 {
				fmt.Fprintln(&out, m)
			}
		case "call": // the payload of a call from another node
			payload := unhex(t, strings.Join(strings.Fields(d.Input), ""))
			if _, err := c.Decode(payload); err != nil {
				return "refused\n"
			}
			r := c.execute(t.Context(), &adapter.Call{Caller: alpha, Payload: payload})[0]
			fmt.Fprintf(&out, "reply %x\n", r.Reply)
		}
		for i := before; i < len(c.claims); i++ {
			fmt.Fprintf(&out, "claims %x\nwrites %s\n", c.claims[i], hex.EncodeToString(c.writes[i]))
		}
		return out.String()
	})
}

// Once every node of an older network has a program that knows them, members vote for content types and lists. What was stored before stays as it
// was.
func TestAVoteBringsContentTypesToAnOlderLedger(t *testing.T) {
	c := newStoredCore(t, []byte(`{"max_batch_ops":1000,"max_key_bytes":1024,"max_value_bytes":1048576}`))
	put := func(key string) string {
		return line(c.do("PUT", "/app/kv/"+key, key, "Content-Type", "text/plain", "If-None-Match", "*"))
	}
	list := func() string { return line(c.do("PUT", "/app/kv/old", "old", "If-Match", `"2", "7"`)) }
	media := func(key string) string {
		w := c.do("GET", "/app/kv/"+key, "")
		return w.Header().Get("Content-Type") + " " + w.Body.String()
	}
	old := encodeWrite([]operation{{kind: opPut, key: []byte("typed"), media: "text/plain"}})
	if got := put("old"); got != `201 "2" 2.2` || list() != "400 invalid" || media("old") != "application/octet-stream old" {
		t.Errorf("before: %s, %s, %s", got, list(), media("old"))
	}
	if _, err := c.Decode(old); err == nil {
		t.Error("before: a call with a content type is taken")
	}
	if err := c.Configure([]byte(`{"format":2,"max_batch_ops":1000,"max_key_bytes":1024,"max_value_bytes":1048576}`)); err != nil {
		t.Fatal(err)
	}
	if got := put("new"); got != `201 "3" 2.3` || media("new") != "text/plain new" || media("old") != "application/octet-stream old" {
		t.Errorf("after: %s, %s, %s", got, media("new"), media("old"))
	}
	if got := list(); got != `204 "4" 2.4` {
		t.Errorf("after: %s", got)
	}
	if _, err := c.Decode(old); err != nil {
		t.Errorf("after: %v", err)
	}
}
