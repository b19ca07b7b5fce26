package ethereum

import (
	"encoding/binary"

	"github.com/ethereum/go-ethereum/common"
)

// knownRoot is a block's number and the state root after it.
type knownRoot struct {
	number uint64
	root   common.Hash
}

// stateRoot returns what the next header says about the state: the root after an earlier block, and
// that block's number as the header's extra data (8 bytes, big-endian).
func (b *builder) stateRoot() (root common.Hash, extra []byte, err error) {
	if b.genesisRoot == nil {
		row, err := readBlock(b, 0)
		if err != nil {
			return common.Hash{}, nil, err
		}
		block, err := row.block()
		if err != nil {
			return common.Hash{}, nil, err
		}
		b.genesisRoot = &knownRoot{0, block.Header.Root}
	}
	k := b.genesisRoot
	return k.root, binary.BigEndian.AppendUint64(nil, k.number), nil
}
