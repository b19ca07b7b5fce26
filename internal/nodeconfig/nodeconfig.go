// Package nodeconfig is how a node's process is configured and started.
//
//	node.toml ──Load──▶ Config ──▶ `coco node run --config node.toml` ──┬─ stdin: its end is the node's
//	                                                                     ├─ stdout: one Event a line
//	                                                                     └─ stderr: the log
//
// [Config] is the file, [Dir] names the files of a node's folder, and [Event] is what the process tells
// its supervisor. The package knows nothing of what a node does: the command line builds the node's own
// configuration from a Config, and `coco up` writes one for each of its nodes.
//
// Trust: host
package nodeconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/internal/atomicfile"
	"github.com/cocoframework/coco/internal/identity"
)

// The ways in which a node starts; see node.Config.
const (
	StartGenesis = "genesis"
	StartJoin    = "join"
	StartRecover = "recover"
)

// Config is a node's node.toml: what `coco node run --config FILE` reads.
//
// Fields: one for each key of the file.
type Config struct {
	Name   string `toml:"name" comment:"Written by coco up at every start of the node; changes are lost, but for ledger_folders."`
	Dir    string `toml:"dir" comment:"root of the node's disk"`
	Peer   string `toml:"peer" comment:"where other nodes reach it"`
	Client string `toml:"client" comment:"where clients reach it"`
	Admin  string `toml:"admin,omitempty" comment:"where members govern and the owner administers the node; nowhere if absent"`
	// PeerAddress is what the node tells others to dial.
	PeerAddress string `toml:"peer_address,omitempty" comment:"what other nodes dial, if that is not peer"`
	// ClientAddress is what the node tells clients to dial.
	ClientAddress string `toml:"client_address,omitempty" comment:"what clients dial, if that is not client"`
	// LedgerFolders are only read.
	LedgerFolders []string `toml:"ledger_folders,omitempty" comment:"folders of ledger chunks that were moved out of the node's own"`
	// The organisation that owns the node.
	OwnerCertificate string `toml:"owner_certificate"`
	OwnerKey         string `toml:"owner_key"`

	Start        string               `toml:"start" comment:"genesis, join or recover"`
	Constitution string               `toml:"constitution,omitempty" comment:"page of the genesis constitution"`
	Join         []string             `toml:"join,omitempty" comment:"nodes to ask for admission"`
	Ask          []string             `toml:"ask,omitempty" comment:"where clients reach those nodes: what the operator approves is asked there"`
	Approve      coco.Digest          `toml:"approve" comment:"digest of the constitution that the operator approved"`
	Service      string               `toml:"service,omitempty" comment:"the network's certificate: no other network is joined, and under it members may have changed the constitution since"`
	RecoverKeys  []identity.MemberKey `toml:"recover_keys,omitempty" comment:"members' keys that open the ledger when no node is left"`
	// The transaction that a recovery must find, and the one that it must end with.
	RecoverAtLeast coco.TxID `toml:"recover_at_least,omitzero" comment:"a committed transaction: a ledger without it is not gone on from"`
	RecoverLast    coco.TxID `toml:"recover_last,omitzero" comment:"the last transaction that members accept: a ledger that ends with another one is not gone on from"`

	// The TEE. Without a platform it is the simulated one.
	Platform   string `toml:"platform,omitempty" comment:"kind of TEE that the node runs on"`
	Device     string `toml:"device,omitempty" comment:"where the device is that makes evidence, if not at its usual place"`
	Collateral string `toml:"collateral,omitempty" comment:"folder of what the vendor says about this machine's TEE; the node's evidence carries it along"`

	// The log, when the node starts and after each SIGHUP. Zero values have the defaults of package logfile.
	LogLevel string `toml:"log_level,omitempty" comment:"what is logged: debug, info, warn or error"`
	LogBytes int64  `toml:"log_bytes,omitempty" comment:"size with which the log goes on in a new file; -1: never by itself"`
	LogFiles int    `toml:"log_files,omitempty" comment:"older files of the log that are kept; -1: none"`
}

// Load reads a node.toml. Unknown keys are an error. Every error is coco.ErrInvalid.
func Load(file string) (Config, error) {
	f, err := os.Open(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Config{}, fmt.Errorf("%w: node settings: %w: name the node.toml that `coco node init` has written with --config", coco.ErrInvalid, err)
	case err != nil:
		return Config{}, fmt.Errorf("%w: node settings: %w", coco.ErrInvalid, err)
	}
	defer f.Close()
	var c Config
	if err := toml.NewDecoder(io.LimitReader(f, 1<<20)).DisallowUnknownFields().Decode(&c); err != nil {
		var strict *toml.StrictMissingError
		if errors.As(err, &strict) {
			return Config{}, fmt.Errorf("%w: %s: unknown settings:\n%s", coco.ErrInvalid, file, strict.String())
		}
		return Config{}, fmt.Errorf("%w: %s: %w", coco.ErrInvalid, file, err)
	}
	switch c.Start {
	case StartGenesis, StartJoin, StartRecover:
	default:
		return Config{}, fmt.Errorf("%w: %s: start = %q: expected %s, %s or %s", coco.ErrInvalid, file, c.Start, StartGenesis, StartJoin, StartRecover)
	}
	err = c.checkAddresses()
	if err == nil {
		err = c.checkLog()
	}
	if err != nil {
		return Config{}, fmt.Errorf("%w: %s: %w", coco.ErrInvalid, file, err)
	}
	return c, nil
}

// LogLevels are the levels of logs, by name.
var LogLevels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

// minLogBytes keeps a misspelt bound from making a new file for every few records.
const minLogBytes = 64 << 10

func (c *Config) checkLog() error {
	if _, ok := LogLevels[c.LogLevel]; !ok && c.LogLevel != "" {
		return fmt.Errorf("%w: log_level = %q: expected debug, info, warn or error", coco.ErrInvalid, c.LogLevel)
	}
	if c.LogBytes != 0 && c.LogBytes != -1 && c.LogBytes < minLogBytes {
		return fmt.Errorf("%w: log_bytes = %d: expected %d or more, or -1 for a log that something else rotates", coco.ErrInvalid, c.LogBytes, minLogBytes)
	}
	if c.LogFiles < -1 || c.LogFiles > 1000 {
		return fmt.Errorf("%w: log_files = %d: expected up to 1000, or -1 for none", coco.ErrInvalid, c.LogFiles)
	}
	return nil
}

// checkAddresses checks every address that is set, so that a port that cannot be is found when the file is read, and
// not when a node listens or dials.
func (c *Config) checkAddresses() error {
	for _, a := range []struct {
		key  string
		list []string
	}{
		{"peer", []string{c.Peer}},
		{"client", []string{c.Client}},
		{"admin", []string{c.Admin}},
		{"peer_address", []string{c.PeerAddress}},
		{"client_address", []string{c.ClientAddress}},
		{"join", c.Join},
		{"ask", c.Ask},
	} {
		for _, address := range a.list {
			if address == "" {
				continue
			}
			if _, _, err := SplitAddress(address); err != nil {
				return fmt.Errorf("%s = %q: %w", a.key, address, err)
			}
		}
	}
	return nil
}

// SplitAddress splits an address of the form host:port, whose host may be an IPv6 address in brackets. The port is a
// number up to 65535; 0 lets the system choose where a node listens. The error is coco.ErrInvalid.
func SplitAddress(address string) (host string, port uint16, err error) {
	colon := strings.LastIndexByte(address, ':')
	if colon >= 0 {
		host = address[:colon]
		n, err := strconv.ParseUint(address[colon+1:], 10, 16)
		bracketed := strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]")
		if err == nil && (bracketed || !strings.ContainsAny(host, "[]:")) {
			return strings.Trim(host, "[]"), uint16(n), nil
		}
	}
	return "", 0, fmt.Errorf("%w: expected host:port, such as 10.0.0.4:7000, with a port up to 65535", coco.ErrInvalid)
}

// SaveSupervised writes the node.toml of a node that a supervisor starts and stops.
func (c *Config) SaveSupervised(file string) error {
	data, err := toml.Marshal(c)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return atomicfile.Write(file, data)
}

// Save writes the node.toml of a node that its operator runs.
func (c *Config) Save(file string) error {
	data, err := toml.Marshal(c)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	_, rest, _ := bytes.Cut(data, []byte("\n")) // the comment that belongs to a supervised node's
	return atomicfile.Write(file, append([]byte("# Of a node that `coco node join` runs; `coco node approve` writes approve and service.\n"), rest...))
}

// Check reads a node.toml, and opens the folders that it names, as the node will when it starts.
func Check(file string) error {
	c, err := Load(file)
	if err != nil {
		return err
	}
	disks, err := OpenLedgerFolders(c.LedgerFolders)
	for _, d := range disks {
		d.Close()
	}
	return err
}

// OpenLedgerFolders opens, for reading, the folders to which chunks of a node's ledger were moved. With an
// error it returns those that are open: the caller closes them.
func OpenLedgerFolders(dirs []string) (disks []*local.Disk, err error) {
	for _, dir := range dirs {
		d, err := local.OpenReadOnly(dir)
		if err != nil {
			return disks, fmt.Errorf("ledger_folders: %w", err)
		}
		disks = append(disks, d)
	}
	return disks, nil
}
