package mem

import (
	"maps"
	"slices"
)

// Loss decides what a crash leaves of what was not synced. Its functions are called for one file after
// the other in the order of their names, so that a seeded source decides alike each time. Nothing
// unsynced survives where a function is nil.
type Loss struct {
	// Name decides whether a file survives that no Sync has made durable.
	Name func(name string) bool
	// Changes returns the changes of a file that have reached the medium, perhaps in part.
	Changes func(name string, unsynced []Change) []Change
	// Removal decides whether the removal of a file has reached the medium.
	Removal func(name string) bool
}

// Crashed returns the disk as it is found after the machine has failed. It keeps the capacity, and has no
// Before. The disk before the crash stays as it is.
func (d *Disk) Crashed(loss Loss) *Disk {
	d.mu.RLock()
	defer d.mu.RUnlock()
	after := New()
	after.capacity = d.capacity
	for _, name := range slices.Sorted(maps.Keys(d.names)) {
		n := d.names[name]
		if d.durable[name] != n && (loss.Name == nil || !loss.Name(name)) {
			continue
		}
		data := slices.Clone(n.synced)
		if loss.Changes != nil {
			for _, c := range loss.Changes(name, slices.Clone(n.changes)) {
				data = c.apply(data)
			}
		}
		after.Put(name, data)
	}
	for _, name := range slices.Sorted(maps.Keys(d.durable)) {
		if d.names[name] != d.durable[name] && after.names[name] == nil {
			after.Put(name, d.durable[name].synced) // replaced by a file that was not durable
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.removed)) {
		if after.names[name] == nil && loss.Removal != nil && !loss.Removal(name) {
			after.Put(name, d.removed[name].synced)
		}
	}
	return after
}

// Clone returns a copy of the disk, on which everything is durable.
func (d *Disk) Clone() *Disk {
	c := New()
	c.SetFiles(d.Files(""))
	return c
}
