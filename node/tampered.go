package node

import (
	"errors"
	"net"
)

// tampered tells the operator of a connection that ended because bytes came that the other side had not sent. A
// network that is merely bad loses connections and keeps bytes, so this one, or a host, lies.
func (p *peers) tampered(with string, err error) {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "local error" { // so package tls calls what it refuses of a record
		p.log.Warn("what came on a connection is not what the other node sent: the network or a host changes bytes", "node", with, "error", err)
	}
}
