package nodecmd

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/atomicfile"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/keyfile"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/internal/shell"
)

func (a *app) nodeInitCommand() *cobra.Command {
	var c nodeconfig.Config
	cmd := &cobra.Command{
		Use:   "init FOLDER",
		Short: "Make the folder and the settings of a node that joins a network",
		Long: `Makes the folder of a validating node, with its node.toml. Nothing is asked of anybody yet:
` + "`coco node join`" + ` does that.

--owner-cert and --owner-key are of the organisation that runs the node: a certificate for nodes
(` + "`coco member keygen --for nodes`" + `), followed by the organisation's own, or the latter alone. --peer,
--client and --admin are where the node listens. Nodes and clients are told the same addresses, unless
--peer-address and --client-address say what to dial instead.

--join is a node of the network, where other nodes reach it, and --ask one, where clients do. Name
as many as you know: what they say of the network must agree.`,
		Example: `  coco node init delta --owner-cert owner.pem --owner-key owner-key.pem \
    --peer 10.0.0.4:7000 --client 10.0.0.4:8000 --join 10.0.0.1:7000 --ask 10.0.0.1:8000`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if _, err := a.Platform(c.Platform); err != nil {
				return err
			}
			file, err := initNode(args[0], c)
			if err != nil {
				return err
			}
			if a.WantsJSON() {
				return a.Out.JSON(map[string]string{"config": file})
			}
			a.Out.OK("%s is written", file)
			a.Out.Printf("Next: coco node join --config %s\n", shell.Quote(file))
			return nil
		},
	}
	Flags(cmd, &c)
	fl := cmd.Flags()
	fl.StringVar(&c.Admin, "admin", "", "`host:port` to listen on for governance, and for the node's owner (default: nowhere)")
	fl.StringVar(&c.PeerAddress, "peer-address", "", "`host:port` that other nodes dial (default: --peer)")
	fl.StringVar(&c.ClientAddress, "client-address", "", "`host:port` that clients dial (default: --client)")
	fl.StringSliceVar(&c.Join, "join", nil, "`host:port` of a node, for nodes")
	fl.StringSliceVar(&c.Ask, "ask", nil, "`host:port` of a node, for clients")
	fl.StringVar(&c.Platform, "platform", "", "kind of `TEE` that the node runs on; coco doctor tee says what this machine has (default: the simulated one)")
	fl.StringVar(&c.Device, "device", "", "`path` of the device that makes evidence (default: its usual place)")
	fl.StringVar(&c.Collateral, "collateral", "", "`folder` of what the vendor says about this machine's TEE; evidence carries it along")
	_ = cmd.MarkFlagDirname("collateral")
	for _, name := range []string{"owner-cert", "owner-key", "peer", "client", "join", "ask"} {
		_ = cmd.MarkFlagRequired(name)
	}
	a.OutputFlag(cmd)
	return cmd
}

// Flags adds the flags of a node's settings, whatever way it starts.
func Flags(cmd *cobra.Command, c *nodeconfig.Config) {
	fl := cmd.Flags()
	fl.StringVar(&c.Name, "name", "", "the node's `name`, for people (default: the folder's)")
	fl.StringVar(&c.OwnerCertificate, "owner-cert", "", "the organisation's certificate for nodes, followed by its own, or its own, a PEM `file`")
	fl.StringVar(&c.OwnerKey, "owner-key", "", "its key, a PEM `file`")
	fl.StringVar(&c.Peer, "peer", "", "`host:port` to listen on for nodes")
	fl.StringVar(&c.Client, "client", "", "`host:port` to listen on for clients")
	_ = cmd.MarkFlagFilename("owner-cert")
	_ = cmd.MarkFlagFilename("owner-key")
}

// Complete completes the settings of a node in a folder, whose path is absolute: its name, and whole paths. It checks that the owner's key is
// that of the certificate.
func Complete(c *nodeconfig.Config, dir string) error {
	c.Dir, c.Name = dir, cmp.Or(c.Name, filepath.Base(dir))
	for _, file := range []*string{&c.OwnerCertificate, &c.OwnerKey, &c.Collateral} {
		if *file == "" {
			continue
		}
		var err error
		if *file, err = filepath.Abs(*file); err != nil {
			return err
		}
	}
	_, err := identity.LoadOwner(c.OwnerCertificate, c.OwnerKey, keyfile.Read)
	return err
}

// initNode checks settings and writes them.
func initNode(dir string, c nodeconfig.Config) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("%w: folder %q: %w", coco.ErrInvalid, dir, err)
	}
	c.Start = nodeconfig.StartJoin
	if err := Complete(&c, abs); err != nil {
		return "", err
	}
	if err := checkAddresses(c); err != nil {
		return "", err
	}
	file := nodeconfig.Dir(abs).Config()
	if err := atomicfile.Free(file); err != nil {
		return "", err
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return "", fmt.Errorf("%w: %w", coco.ErrInvalid, err)
	}
	return file, c.Save(file)
}

func checkAddresses(c nodeconfig.Config) error {
	all := map[string][]string{
		"peer": {c.Peer}, "client": {c.Client}, "admin": {c.Admin}, "peer-address": {c.PeerAddress}, "client-address": {c.ClientAddress},
		"join": c.Join, "ask": c.Ask,
	}
	for flag, list := range all {
		for _, address := range list {
			if address == "" && flag != "peer" && flag != "client" && flag != "join" && flag != "ask" {
				continue
			}
			if host, port, err := nodeconfig.SplitAddress(address); err != nil || host == "" || port == 0 {
				return fmt.Errorf("%w: --%s %q: expected host:port, such as 10.0.0.4:7000, with a port from 1 to 65535", coco.ErrInvalid, flag, address)
			}
		}
	}
	return nil
}
