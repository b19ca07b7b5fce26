package kv

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/kv/precondition"
)

func sample() []operation {
	return []operation{
		{kind: opPut, key: []byte("k"), value: []byte("value")},
		{kind: opPut, condition: precondition.Condition{Kind: precondition.Equals, Version: 258}, key: []byte("key"), value: []byte{}},
		{kind: opDelete, condition: precondition.Condition{Kind: precondition.Present}, key: []byte{0, 255}},
		{kind: opDelete, condition: precondition.Condition{Kind: precondition.Differs, Version: 1}, key: []byte("x")},
		{kind: opPut, condition: precondition.Condition{Kind: precondition.Absent}, key: []byte("y"), value: []byte{7}},
	}
}

const samplePayload = "01" + "00000005" +
	"01" + "00" + "00000001" + "6b" + "00000005" + "76616c7565" +
	"01" + "03" + "0000000000000102" + "00000003" + "6b6579" + "00000000" +
	"02" + "02" + "00000002" + "00ff" +
	"02" + "04" + "0000000000000001" + "00000001" + "78" +
	"01" + "01" + "00000001" + "79" + "00000001" + "07"

// newer are operations of forms that came later.
func newer() []operation {
	return []operation{
		{kind: opPut, condition: precondition.Condition{Kind: precondition.Among, Versions: []uint64{3, 300}}, key: []byte("z"), media: "text/plain", value: []byte{7}},
		{kind: opDelete, condition: precondition.Condition{Kind: precondition.Outside, Versions: []uint64{1, 2, 4}}, key: []byte("z")},
		{kind: opDelete, condition: precondition.Condition{Kind: precondition.Among}, key: []byte("z")},
		{kind: opDelete, condition: precondition.Condition{Kind: precondition.Outside, Versions: []uint64{0, 5}}, key: []byte("z")},
	}
}

const newerPayload = "01" + "00000004" +
	"03" + "05" + "02" + "0000000000000003" + "000000000000012c" + "00000001" + "7a" + "0a" + "746578742f706c61696e" + "00000001" + "07" +
	"02" + "06" + "03" + "0000000000000001" + "0000000000000002" + "0000000000000004" + "00000001" + "7a" +
	"02" + "05" + "00" + "00000001" + "7a" +
	"02" + "06" + "02" + "0000000000000000" + "0000000000000005" + "00000001" + "7a"

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPayloadIsTheDocumentedBytes(t *testing.T) {
	for payload, ops := range map[string][]operation{samplePayload: sample(), newerPayload: newer()} {
		if got := hex.EncodeToString(encodeWrite(ops)); got != payload {
			t.Errorf("found    %s\nexpected %s", got, payload)
		}
		w, err := decodeWrite(unhex(t, payload), DefaultSettings)
		if err != nil {
			t.Fatal(err)
		}
		for i := range ops {
			ops[i].digest = sha256.Sum256(ops[i].value)
		}
		if !reflect.DeepEqual(w.ops, ops) {
			t.Errorf("decoded %+v", w.ops)
		}
	}
}

func TestClaimsAreTheDocumentedBytes(t *testing.T) {
	ops := sample()[1:3]
	ops[0].digest = sha256.Sum256(ops[0].value)
	claims := newClaims(alpha.Actor, &write{ops: ops})
	claims = ops[0].appendClaim(claims, 258)
	claims = ops[1].appendClaim(claims, 3)
	media := newer()[0]
	media.digest = sha256.Sum256(media.value)
	if got, want := hex.EncodeToString(media.appendClaim(nil, 2)), "03"+"00000001"+"7a"+"0000000000000002"+
		"ca358758f6d27e6cf45272937977a748fd88391db679ceda7dc7bf1f005ee879"+"0a"+"746578742f706c61696e"; got != want {
		t.Errorf("a put with a media type: found %s, expected %s", got, want)
	}
	want := hex.EncodeToString([]byte("coco kv write")) + "00" + "01" + "a1" + strings.Repeat("00", 31) + "00000002" +
		"01" + "00000003" + "6b6579" + "0000000000000102" + "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" +
		"02" + "00000002" + "00ff" + "0000000000000003"
	if got := hex.EncodeToString(claims); got != want {
		t.Errorf("found    %s\nexpected %s", got, want)
	}
}

// rising is a list of versions in hexadecimal.
func rising(from, to uint64) string {
	var b strings.Builder
	for v := from; v <= to; v++ {
		fmt.Fprintf(&b, "%016x", v)
	}
	return b.String()
}

func TestMalformedPayloadsAreRefused(t *testing.T) {
	small := Settings{Format: 2, MaxKeyBytes: 3, MaxValueBytes: 5, MaxBatchOps: 5}
	if _, err := decodeWrite(unhex(t, samplePayload), small); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		payload string
		kind    error
	}{
		"empty":                {"", coco.ErrCorrupt},
		"format":               {"02" + samplePayload[2:], coco.ErrCorrupt},
		"no operation, trails": {"010000000000", coco.ErrCorrupt},
		"more than allowed":    {"0100000006" + samplePayload[10:], coco.ErrCorrupt},
		"count above contents": {"0100000004" + "0200" + "00000001" + "6b", coco.ErrCorrupt},
		"huge count":           {"01ffffffff" + samplePayload[10:], coco.ErrCorrupt},
		"trailing byte":        {samplePayload + "00", coco.ErrCorrupt},
		"kind 0":               {"0100000001" + "0000" + "00000001" + "6b", coco.ErrCorrupt},
		"kind 4":               {"0100000001" + "0400" + "00000001" + "6b", coco.ErrCorrupt},
		"condition 7":          {"0100000001" + "0207" + "00000001" + "6b", coco.ErrCorrupt},
		"list of one":          {"0100000001" + "0205" + "01" + "0000000000000001" + "00000001" + "6b", coco.ErrCorrupt},
		"outside nothing":      {"0100000001" + "0206" + "00" + "00000001" + "6b", coco.ErrCorrupt},
		"falling list":         {"0100000001" + "0205" + "02" + "0000000000000002" + "0000000000000001" + "00000001" + "6b", coco.ErrCorrupt},
		"list with 0":          {"0100000001" + "0205" + "02" + "0000000000000000" + "0000000000000001" + "00000001" + "6b", coco.ErrCorrupt},
		"outside 0 alone":      {"0100000001" + "0206" + "01" + "0000000000000000" + "00000001" + "6b", coco.ErrCorrupt},
		"outside 0 twice":      {"0100000001" + "0206" + "02" + "0000000000000000" + "0000000000000000" + "00000001" + "6b", coco.ErrCorrupt},
		"long list":            {"0100000001" + "0206" + "11" + rising(1, 17) + "00000001" + "6b", coco.ErrCorrupt},
		"long list with 0":     {"0100000001" + "0206" + "12" + rising(0, 17) + "00000001" + "6b", coco.ErrCorrupt},
		"no media type":        {"0100000001" + "0300" + "00000001" + "6b" + "00" + "00000000", coco.ErrCorrupt},
		"media type with LF":   {"0100000001" + "0300" + "00000001" + "6b" + "01" + "0a" + "00000000", coco.ErrCorrupt},
		"version 0":            {"0100000001" + "0203" + "0000000000000000" + "00000001" + "6b", coco.ErrCorrupt},
		"empty key":            {"0100000001" + "0200" + "00000000" + "", coco.ErrInvalid},
		"long key":             {"0100000001" + "0100" + "00000004" + "6b6b6b6b" + "00000000", coco.ErrInvalid},
		"longest key":          {"0100000001" + "0200" + "00001001" + strings.Repeat("6b", maxKeyBytes+1), coco.ErrInvalid},
		"huge key":             {"0100000001" + "0200" + "ffffffff" + "6b6b6b6b", coco.ErrCorrupt},
		"long value":           {"0100000001" + "0100" + "00000001" + "6b" + "00000006" + "000000000000", coco.ErrInvalid},
	} {
		// An empty key leaves fewer bytes than an operation has: both refusals are right.
		if _, err := decodeWrite(unhex(t, tc.payload), small); !errors.Is(err, tc.kind) && name != "empty key" || err == nil {
			t.Errorf("%s: %v, expected %v", name, err, tc.kind)
		}
	}
	whole := unhex(t, samplePayload)
	for n := range whole {
		if _, err := decodeWrite(whole[:n], small); !errors.Is(err, coco.ErrCorrupt) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
}

func FuzzDecodeWrite(f *testing.F) {
	f.Add(unhex(f, samplePayload))
	f.Add(encodeWrite(sample()[:1]))
	f.Add(encodeWrite(nil))
	f.Add(encodeWrite(newer()))
	f.Add(encodeWrite(sample()[2:3]))
	f.Add([]byte{1, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, payload []byte) {
		w, err := decodeWrite(payload, DefaultSettings)
		if err != nil {
			if !errors.Is(err, coco.ErrCorrupt) && !errors.Is(err, coco.ErrInvalid) {
				t.Errorf("an error without a kind: %v", err)
			}
			return
		}
		if again := encodeWrite(w.ops); !bytes.Equal(again, payload) {
			t.Errorf("%x decodes and encodes as %x", payload, again)
		}
	})
}

func FuzzDecodeReply(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 5}, 1)
	f.Add(refusal(1, 9), 2)
	f.Fuzz(func(t *testing.T, b []byte, count int) {
		count &= 0xffff
		r, err := decodeReply(b, count)
		if err != nil {
			return
		}
		again := append([]byte{replyDone}, r.previous...)
		if r.refused {
			again = refusal(r.op, r.version)
		}
		if !bytes.Equal(again, b) {
			t.Errorf("%x decodes and encodes as %x", b, again)
		}
		for i := 0; !r.refused && i < count; i++ {
			r.previousOf(i)
		}
	})
}
