package settings

import (
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco"
)

// maxLinks is how many links a network may begin with.
const maxLinks = 10_000

// Link says whose an address is when the network starts.
type Link struct {
	Address common.Address
	Actor   coco.ActorID
	User    string // "" is the organisation itself
}

type linkJSON struct {
	Actor coco.ActorID `json:"actor"`
	User  string       `json:"user"`
}

// readLinks reads the setting links, in the order of the addresses.
func readLinks(in map[string]linkJSON) ([]Link, error) {
	if len(in) > maxLinks {
		return nil, fmt.Errorf("links: expected at most %d, found %d", maxLinks, len(in))
	}
	var out []Link
	for text, l := range in {
		if !common.IsHexAddress(text) {
			return nil, fmt.Errorf("links.%s: expected an address", text)
		}
		if l.Actor == (coco.ActorID{}) {
			return nil, fmt.Errorf("links.%s.actor: missing", text)
		}
		if err := coco.CheckUser(l.User); err != nil {
			return nil, fmt.Errorf("links.%s.user: %w", text, err)
		}
		out = append(out, Link{common.HexToAddress(text), l.Actor, l.User})
	}
	slices.SortFunc(out, func(a, b Link) int { return a.Address.Cmp(b.Address) })
	for i := range out {
		if i > 0 && out[i].Address == out[i-1].Address {
			return nil, fmt.Errorf("links.%v: the address is listed twice", out[i].Address)
		}
	}
	return out, nil
}
