package ceremonies

import "github.com/cocoframework/coco/keys/seats"

// Give makes the part of a seat that this node acts for, for an auditor; see seats.Machine.Give.
func (d *Driver) Give(g seats.Granted) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.machine.Give(g)
}
