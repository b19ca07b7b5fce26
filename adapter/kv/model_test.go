package kv

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/kv/precondition"

	"github.com/cocoframework/coco/wire"
)

// value is what the model holds of a key.
type value struct {
	version uint64
	content string
	media   string
}

// TestAnyWritesDoWhatAMapDoes sends random writes, several in a batch, and holds every reply and
// the whole state against a map.
func TestAnyWritesDoWhatAMapDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCore(t, "")
		model := map[string]value{}
		seqno := uint64(1)
		operations := rapid.Custom(func(t *rapid.T) operation {
			op := operation{
				kind: rapid.SampledFrom([]byte{opPut, opDelete}).Draw(t, "kind"),
				key:  []byte(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")),
			}
			op.condition.Kind = rapid.ByteRange(precondition.Always, precondition.Outside).Draw(t, "condition")
			versions := rapid.Uint64Range(max(1, seqno-min(seqno, 3)), seqno+2)
			switch op.condition.Kind {
			case precondition.Equals, precondition.Differs:
				op.condition.Version = versions.Draw(t, "version")
			case precondition.Among, precondition.Outside:
				op.condition.Versions = rapid.SliceOfNDistinct(versions, 2, 4, rapid.ID).Draw(t, "versions")
				slices.Sort(op.condition.Versions)
				if op.condition.Kind == precondition.Outside && rapid.Bool().Draw(t, "present") {
					op.condition.Versions = append([]uint64{0}, op.condition.Versions...)
				}
			}
			if op.kind == opPut {
				op.value = rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "value")
				op.media = rapid.SampledFrom([]string{"", "text/plain"}).Draw(t, "media")
			}
			return op
		})
		for range rapid.IntRange(1, 12).Draw(t, "batches") {
			writes := rapid.SliceOfN(rapid.SliceOfN(operations, 1, 4), 1, 3).Draw(t, "writes")
			calls := make([]*adapter.Call, len(writes))
			for i, ops := range writes {
				calls[i] = &adapter.Call{Caller: alpha, Payload: encodeWrite(ops)}
			}
			results := c.execute(t.Context(), calls...)
			for i, ops := range writes {
				want, after := expected(model, ops, seqno+1)
				if !bytes.Equal(results[i].Reply, want) || results[i].Err != nil {
					t.Fatalf("write %v: %x %v, expected %x", ops, results[i].Reply, results[i].Err, want)
				}
				if want[0] == replyDone {
					seqno++
					model = after
				}
				if results[i].TxID.Seqno != seqno {
					t.Fatalf("write %v: transaction %v, expected seqno %d", ops, results[i].TxID, seqno)
				}
			}
		}
		var p wire.Rows
		if err := json.Unmarshal(c.do("GET", "/app/kv", "").Body.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		if p.ID.Seqno != seqno || len(p.Items) != len(model) {
			t.Fatalf("%d keys at %v, expected %d at %d", len(p.Items), p.ID, len(model), seqno)
		}
		for _, i := range p.Items {
			if m := model[string(i.Key)]; m.version != i.Version || m.content != string(*i.Value) || m.media != i.Media {
				t.Fatalf("%q: version %d of %q, expected %+v", i.Key, i.Version, *i.Value, m)
			}
		}
	})
}

// expected says what a write does to a map, and its reply.
func expected(model map[string]value, ops []operation, seqno uint64) (reply []byte, after map[string]value) {
	after = map[string]value{}
	for k, v := range model {
		after[k] = v
	}
	reply = newReply(len(ops))
	for i, op := range ops {
		found := after[string(op.key)].version
		ok := map[byte]bool{
			precondition.Always: true, precondition.Absent: found == 0, precondition.Present: found != 0,
			precondition.Equals: found == op.condition.Version, precondition.Differs: found != op.condition.Version,
			precondition.Among: slices.Contains(op.condition.Versions, found), precondition.Outside: !slices.Contains(op.condition.Versions, found),
		}[op.condition.Kind]
		if !ok {
			return refusal(i, found), nil
		}
		reply = append(reply, 0, 0, 0, 0, 0, 0, 0, byte(found))
		if op.kind == opPut {
			after[string(op.key)] = value{seqno, string(op.value), op.media}
		} else {
			delete(after, string(op.key))
		}
	}
	return reply, after
}
