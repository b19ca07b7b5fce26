package kv

import (
	"errors"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/store"
)

func TestWritesAreExportedInKvsWords(t *testing.T) {
	typed := operation{media: "text/plain", value: []byte("x")}
	bytes := operation{value: []byte{0xff}}
	things, err := Adapter{}.Export()([]store.Write{
		{Table: "other.table", Key: []byte("k")},
		{Table: table, Key: []byte("k"), Value: typed.store(7)},
		{Table: table, Key: []byte{0xfe}, Value: bytes.store(8)},
		{Table: table, Key: []byte("gone"), Delete: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{"key":"k","version":7,"content_type":"text/plain","value":"x"}`,
		`{"key_base64":"/g==","version":8,"content_type":"application/octet-stream","value_base64":"/w=="}`,
		`{"key":"gone","deleted":true}`,
	}
	if len(things) != len(want) {
		t.Fatalf("%d things, expected %d", len(things), len(want))
	}
	for i, w := range want {
		if things[i].Kind != "kv.write" || string(things[i].Value) != w {
			t.Errorf("%s %s, expected %s", things[i].Kind, things[i].Value, w)
		}
	}
	for _, damaged := range [][]byte{nil, {1, 2}, {0x80, 0, 0, 0, 0, 0, 0, 1}, {0x80, 0, 0, 0, 0, 0, 0, 1, 9, 'a'}} {
		if _, err := (Adapter{}).Export()([]store.Write{{Table: table, Key: []byte("k"), Value: damaged}}); !errors.Is(err, coco.ErrCorrupt) {
			t.Errorf("%x: error %v, expected coco.ErrCorrupt", damaged, err)
		}
	}
}
