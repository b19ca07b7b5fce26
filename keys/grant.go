package keys

import (
	"encoding/binary"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
)

const grantContext = "coco epoch grant v1"

// GrantEpoch encrypts to an auditor's public encryption key what reads an epoch, by SealTo: batch.Reading, and not the epoch's secret, which for an epoch of format 1
// opens earlier ones, too. So the auditor reads the private parts of that epoch's batches and nothing else. The info parameter is
//
//	"coco epoch grant v1" ‖ 0x00 ‖ network ‖ epoch u64be
//
// where network is SHA-256 of the first service's public key.
func GrantEpoch(network coco.Digest, epoch uint64, secret Secret, to []byte) ([]byte, error) {
	r := batch.ReadingOf(epoch, secret)
	defer clear(r[:])
	return SealTo(to, grantInfo(network, epoch), r[:])
}

// OpenGrant returns the keys of an epoch's batches that were granted to the key. The error is coco.ErrVerify if the box is another epoch's or network's, or is for another
// key.
func (k *MemberKey) OpenGrant(network coco.Digest, epoch uint64, box []byte) (*batch.Keys, error) {
	plain, err := k.Open(grantInfo(network, epoch), box)
	if err != nil || len(plain) != len(batch.Reading{}) {
		return nil, fmt.Errorf("%w: the grant of epoch %d does not open: it was altered, or is for another key, epoch or network", coco.ErrVerify, epoch)
	}
	defer clear(plain)
	return batch.Reading(plain).Keys(epoch), nil
}

func grantInfo(network coco.Digest, epoch uint64) []byte {
	info := append(append([]byte(grantContext), 0), network[:]...)
	return binary.BigEndian.AppendUint64(info, epoch)
}
