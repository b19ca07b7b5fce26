package deps

import (
	_ "github.com/cloudflare/circl/secretsharing"
	_ "github.com/cockroachdb/datadriven"
	_ "github.com/coder/websocket"
	_ "github.com/ethereum/go-ethereum/accounts/abi"
	_ "github.com/ethereum/go-ethereum/consensus/beacon"
	_ "github.com/ethereum/go-ethereum/core"
	_ "github.com/ethereum/go-ethereum/eth/tracers"
	_ "github.com/ethereum/go-ethereum/rpc"
	_ "github.com/fxamacker/cbor/v2"
	_ "github.com/gofrs/flock"
	_ "github.com/pelletier/go-toml/v2"
	_ "github.com/rogpeppe/go-internal/testscript"
	_ "github.com/spf13/cobra"
	_ "github.com/tidwall/btree"
	_ "go.etcd.io/raft/v3"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/term"
	_ "pgregory.net/rapid"
)
