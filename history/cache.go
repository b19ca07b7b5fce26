package history

import (
	"container/list"
	"sync"
)

// cache keeps what was used last, up to a number of bytes.
type cache[K comparable, V any] struct {
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

func newCache[K comparable, V any](limit int) *cache[K, V] {
	return &cache[K, V]{max: limit, items: map[K]*list.Element{}}
}

func (c *cache[K, V]) get(key K) (v V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.items[key]
	if e == nil {
		return v, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached[K, V]).value, true
}

// put keeps a value of that size, in place of another one of the same key. What is larger than the
// cache is not kept.
func (c *cache[K, V]) put(key K, value V, size int) {
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

func (c *cache[K, V]) remove(e *list.Element) {
	it := c.order.Remove(e).(*cached[K, V])
	delete(c.items, it.key)
	c.size -= it.size
}
