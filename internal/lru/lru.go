// Package lru is a cache that keeps what was used last, up to a number of bytes.
//
// Trust: either
package lru

import (
	"container/list"
	"sync"
)

// Cache is safe for concurrent use.
type Cache[K comparable, V any] struct {
	max int

	mu    sync.Mutex
	size  int
	items map[K]*list.Element
	order list.List // the one used last is in front
}

type cached[K comparable, V any] struct {
	key   K
	value V
	size  int
}

// New returns a cache of at most so many bytes.
func New[K comparable, V any](limit int) *Cache[K, V] {
	return &Cache[K, V]{max: limit, items: map[K]*list.Element{}}
}

// Get returns a value, and whether it is there.
func (c *Cache[K, V]) Get(key K) (v V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.items[key]
	if e == nil {
		return v, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached[K, V]).value, true
}

// Put keeps a value of that size, in place of another one of the same key. What is larger than the
// cache is not kept.
func (c *Cache[K, V]) Put(key K, value V, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.items[key]; e != nil {
		c.remove(e)
	}
	if size > c.max {
		return
	}
	c.items[key] = c.order.PushFront(&cached[K, V]{key, value, size})
	c.size += size
	for c.size > c.max {
		c.remove(c.order.Back())
	}
}

func (c *Cache[K, V]) remove(e *list.Element) {
	it := c.order.Remove(e).(*cached[K, V])
	delete(c.items, it.key)
	c.size -= it.size
}

// Drop removes the values that fn reports.
func (c *Cache[K, V]) Drop(fn func(V) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.order.Front(); e != nil; {
		next := e.Next()
		if fn(e.Value.(*cached[K, V]).value) {
			c.remove(e)
		}
		e = next
	}
}
