package node

import "github.com/cocoframework/coco/sealed/keyring"

// sealing are the keys for sealed requests, derived from what every node of the network has, and none that was removed before the epoch began.
func (n *node) sealing() *keyring.Keys {
	return keyring.New(keyring.Source{
		Current: func() uint64 { epoch, _ := n.state.keys.Current(); return epoch },
		Secret:  n.state.keys.Secret,
		Service: func() ([]byte, error) { return n.certificates.Service().MarshalKey() },
		Node:    n.self.Identity.ID(), Public: n.self.Identity.PublicKey(),
		Certificates: func() [][]byte {
			return [][]byte{n.self.Identity.Certificate().Certificate[0], n.certificates.OfService().Raw}
		},
		Quoter: n.cfg.Host.Quoter, Clock: n.cfg.Host.Clock,
	})
}
