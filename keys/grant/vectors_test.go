package grant

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/ristretto"
)

var update = flag.Bool("update", false, "make the test vectors again")

const vectorsFile = "../testdata/grant.json"

// vectors are a grant with everything that is secret in it: points and digests in hexadecimal, other bytes in base64.
type vectors struct {
	Network    coco.Digest    `json:"network"`
	Grant      uint64         `json:"grant"`
	Committee  uint64         `json:"committee"`
	Key        uint64         `json:"key_version"`
	Commitment []coco.Digest  `json:"commitment"`
	Actors     []coco.ActorID `json:"actors"`
	Auditor    string         `json:"auditor_key"` // PEM
	Sealing    []byte         `json:"sealing"`     // CBOR
	Public     []byte         `json:"public_key"`  // of the grant
	Parts      [][]byte       `json:"parts"`       // of the seats in order, encrypted to the auditor
	Epoch      uint64         `json:"epoch"`
	Box        []byte         `json:"box"`
	Secret     []byte         `json:"epoch_secret"`
	Reading    []byte         `json:"reading"` // what the box holds: seal key ‖ salt key
}

func TestVectors(t *testing.T) {
	if *update {
		makeVectors(t)
	}
	text, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	auditor, err := keys.ParseMemberKey([]byte(v.Auditor))
	if err != nil {
		t.Fatal(err)
	}
	var commitment []ristretto.Point
	for _, p := range v.Commitment {
		commitment = append(commitment, ristretto.Point(p))
	}
	c, err := committee.ToCombine(commitment, v.Actors)
	if err != nil {
		t.Fatal(err)
	}
	of := Of{Network: v.Network, Grant: v.Grant, Committee: v.Committee, Key: v.Key, To: auditor.Public()}
	s, err := Parse(v.Sealing)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(c, of); err != nil {
		t.Error(err)
	}
	reading := batch.ReadingOf(v.Epoch, [32]byte(v.Secret))
	if !bytes.Equal(reading[:], v.Reading) || !bytes.Equal(s.Public, v.Public) {
		t.Error("the keys are others")
	}
	for without := range v.Parts {
		parts := map[uint32][]byte{}
		for i, p := range v.Parts {
			if i != without {
				parts[uint32(i+1)] = p
			}
		}
		private, faults, err := s.Open(c, of, auditor, parts)
		if err != nil || len(faults) > 0 {
			t.Fatal(faults, err)
		}
		info := binary.BigEndian.AppendUint64(append([]byte("coco epoch grant v1\x00"), v.Network[:]...), v.Epoch)
		if plain, err := private.Open(info, v.Box); err != nil || !bytes.Equal(plain, v.Reading) {
			t.Errorf("the box holds other keys: %v", err)
		}
	}
}

func makeVectors(t *testing.T) {
	w := newWorld(t, keys.XWing)
	secret := keys.Secret{1, 2, 3}
	box, err := keys.GrantEpoch(w.of.Network, 4, secret, w.sealing.Public)
	if err != nil {
		t.Fatal(err)
	}
	auditor, err := w.auditor.PEM()
	if err != nil {
		t.Fatal(err)
	}
	sealing, err := w.sealing.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	reading := batch.ReadingOf(4, secret)
	var commitment []coco.Digest
	for _, p := range w.committee.Key().Commitment() {
		commitment = append(commitment, coco.Digest(p))
	}
	text, err := json.MarshalIndent(vectors{
		Network: w.of.Network, Grant: w.of.Grant, Committee: w.of.Committee, Key: w.of.Key, Commitment: commitment,
		Actors: []coco.ActorID{{1}, {2}, {3}}, Auditor: string(auditor), Sealing: sealing, Public: w.sealing.Public,
		Parts: [][]byte{w.parts[1], w.parts[2], w.parts[3]}, Epoch: 4, Box: box, Secret: secret[:], Reading: reading[:],
	}, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorsFile, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
