package ethereum

import (
	"encoding/json"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/archiving"
	"github.com/cocoframework/coco/adapter/ethereum/links"
	"github.com/cocoframework/coco/adapter/ethereum/policies"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/store"
)

// exportedLink says whose an address is from then on.
type exportedLink struct {
	Address      common.Address `json:"address"`
	Organisation *coco.ActorID  `json:"organisation"` // null: nobody's
	User         string         `json:"user"`
}

// exportLink reads a row of the links; nil if it is not an address's.
func exportLink(w *store.Write) (*exportedLink, error) {
	address, of := links.AddressOf(w.Key)
	if !of || w.Delete {
		return nil, nil
	}
	row, err := links.DecodeRow(w.Value)
	if err != nil {
		return nil, err
	}
	out := &exportedLink{Address: address}
	if row.Linked {
		out.Organisation, out.User = &row.Actor, row.User
	}
	return out, nil
}

// exportedPolicy says which policy a contract has from its deployer from then on.
type exportedPolicy struct {
	Contract     common.Address  `json:"contract"`
	Organisation *coco.ActorID   `json:"organisation"` // that has attached it; null: there is none any more
	User         string          `json:"user"`
	Deployer     *common.Address `json:"deployer"`
	Policy       string          `json:"policy"`
	ABI          json.RawMessage `json:"abi,omitempty"`
}

// exportOwn reads a row of links or policies; nil if it is neither.
func exportOwn(w *store.Write) (text json.RawMessage, kind string, err error) {
	var v any
	switch w.Table {
	case rows.Links:
		l, err := exportLink(w)
		if err != nil || l == nil {
			return nil, "", err
		}
		v, kind = l, "ethereum.link"
	case rows.Policies:
		out := &exportedPolicy{Contract: common.BytesToAddress(w.Key)}
		if !w.Delete {
			row, err := policies.DecodeRow(w.Value)
			if err != nil {
				return nil, "", err
			}
			out.Organisation, out.User, out.Deployer, out.Policy, out.ABI = &row.Actor, row.User, &row.Deployer.Address, row.Policy, row.ABI
		}
		v, kind = out, "ethereum.policy"
	default:
		return nil, "", nil
	}
	text, err = json.Marshal(v)
	return text, kind, err
}

// Export implements adapter.Exporter: each block is one thing, with its receipts, and so is each change of a link or of a policy. A block's row comes with its last transaction.
func (ethereum) Export() func([]store.Write) ([]adapter.Exported, error) {
	waiting := map[common.Hash]rows.Tx{}
	return func(writes []store.Write) (out []adapter.Exported, err error) {
		for _, w := range writes {
			if w.Table == rows.Txs && !w.Delete {
				if waiting[common.BytesToHash(w.Key)], err = rows.DecodeTx(w.Value); err != nil {
					return nil, err
				}
			}
		}
		for i, w := range writes {
			own, kind, err := exportOwn(&writes[i])
			if err != nil {
				return nil, err
			}
			if own != nil {
				out = append(out, adapter.Exported{Kind: kind, Value: own})
				continue
			}
			if w.Table != rows.Blocks || w.Delete {
				continue
			}
			b, err := archiving.Assemble(w.Value, waiting)
			if err != nil {
				return nil, err
			}
			encoded, err := json.Marshal(b)
			if err != nil {
				return nil, fmt.Errorf("block %d: %w", b.Number, err)
			}
			out = append(out, adapter.Exported{Kind: "ethereum.block", Value: encoded})
			clear(waiting)
		}
		return out, nil
	}
}

// By implements adapter.Attributed. A link names its holder, who need not be who sent it.
func (ethereum) By(_ []byte, writes []store.Write) (coco.ActorID, string) {
	for _, w := range writes {
		if w.Table == rows.Txs && !w.Delete {
			if r, err := rows.DecodeTx(w.Value); err == nil {
				return r.By.Actor, r.By.User
			}
		}
	}
	return coco.ActorID{}, ""
}
