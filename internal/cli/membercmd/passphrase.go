package membercmd

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/atomicfile"
	"github.com/cocoframework/coco/internal/keyfile"
)

// protection is how a command protects the keys that it makes.
type protection struct {
	ask  bool
	file string
}

func (p *protection) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&p.ask, "passphrase", false, "protect the keys with a passphrase, which is asked for at the terminal")
	cmd.Flags().StringVar(&p.file, "passphrase-file", "", "protect the keys with the passphrase in the first line of a `file`, for scripts")
	_ = cmd.MarkFlagFilename("passphrase-file")
}

// get returns the passphrase, or nil if keys are not to be protected. The caller clears it.
func (p *protection) get() ([]byte, error) {
	if !p.ask && p.file == "" {
		return nil, nil
	}
	return keyfile.NewPassphrase(p.file)
}

func (a *app) passphraseCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "passphrase KEYFILE",
		Short: "Protect a private key with a passphrase, or change its passphrase",
		Long: `Replaces a key file by one that is protected with a new passphrase, which is asked for at the terminal, twice. If the
key is protected already, it asks for the passphrase of now first. The key itself stays the same.

Copies of the file, in backups and on parts of the disk that are not in use any more, stay as they were: make a new key
where somebody may have read the old file.`,
		Example: "  coco member passphrase delta/gov-key.pem\n  openssl pkey -in delta/gov-key.pem -out plain-key.pem   # without a passphrase",
		Args:    cobra.ExactArgs(1),
	}
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if err := protectFile(args[0], file); err != nil {
			return err
		}
		if a.WantsJSON() {
			return a.Out.JSON(map[string]string{"file": args[0]})
		}
		a.Out.OK("%s is protected by the new passphrase", args[0])
		return nil
	}
	cmd.Flags().StringVar(&file, "passphrase-file", "", "take the new passphrase from the first line of a `file`, for scripts")
	_ = cmd.MarkFlagFilename("passphrase-file")
	a.OutputFlag(cmd)
	return cmd
}

// protectFile replaces a key file by one that a new passphrase protects.
func protectFile(name, passphraseFile string) error {
	target, err := filepath.EvalSymlinks(name) // a link stays one
	if err != nil {
		return fmt.Errorf("%w: key: %w", coco.ErrInvalid, err)
	}
	plain, err := keyfile.Read(target)
	if err != nil {
		return err
	}
	defer clear(plain)
	if err := keyfile.CanProtect(plain); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	passphrase, err := keyfile.NewPassphrase(passphraseFile)
	if err != nil {
		return err
	}
	defer clear(passphrase)
	text, err := keyfile.Protect(plain, passphrase)
	if err == nil {
		err = atomicfile.Write(target, text)
	}
	if err != nil && !errors.Is(err, coco.ErrInvalid) {
		err = fmt.Errorf("%s is unchanged: %w", name, err)
	}
	return err
}
