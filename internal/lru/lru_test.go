package lru_test

import (
	"testing"

	"github.com/cocoframework/coco/internal/lru"
)

func TestWhatWasUsedLastIsKept(t *testing.T) {
	c := lru.New[string, int](10)
	c.Put("a", 1, 4)
	c.Put("b", 2, 4)
	c.Get("a")
	c.Put("c", 3, 4)
	c.Put("larger than all", 4, 11)
	for key, want := range map[string]bool{"a": true, "b": false, "c": true, "larger than all": false} {
		if _, ok := c.Get(key); ok != want {
			t.Errorf("%s: %t, expected %t", key, ok, want)
		}
	}
	c.Drop(func(v int) bool { return v == 1 })
	c.Put("c", 5, 10) // in place of the other one, whose room it takes
	if _, ok := c.Get("a"); ok {
		t.Error("a is dropped, and still there")
	}
	if v, ok := c.Get("c"); !ok || v != 5 {
		t.Errorf("c is %d, %t", v, ok)
	}
}
