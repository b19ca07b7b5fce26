// Package vendors fetches collateral (package collateral) from Intel and AMD, or from mirrors of their services, and keeps it in a folder. It runs on the host: what it
// brings is checked inside by those who use it, so it trusts TLS and the vendors' servers with nothing but availability.
//
// A folder has one file for each thing that a vendor speaks about, and fetching replaces it when the vendor says something newer:
//
//	intel/tcb-tdx-50806f000000.json       TCB info
//	intel/identity-td_qe.json             identity of a quoting enclave
//	intel/crl-….crl, certificate-….der    by the SHA-256 of issuer or certificate
//	amd/crl-….crl, certificate-….der
//
// Trust: host
package vendors

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cocoframework/coco/attest/collateral"
	"github.com/cocoframework/coco/internal/atomicfile"
)

// Stored is what became of an item.
type Stored struct {
	Item collateral.Item
	// File is relative to the folder.
	File string
	// Kept says that the folder had the same item or a newer one, which it keeps.
	Kept bool
}

// Store writes items into a folder, which is made if it is absent. Each file is replaced as a whole: a crash leaves the older one.
func Store(dir string, items []collateral.Item) ([]Stored, error) {
	var all []Stored
	for _, it := range items {
		s := Stored{Item: it, File: name(it)}
		path := filepath.Join(dir, filepath.FromSlash(s.File))
		was, err := os.ReadFile(path)
		if err == nil {
			old, err := collateral.Parse(was)
			s.Kept = err == nil && len(old) == 1 && old[0].Kind == it.Kind && (string(old[0].Raw) == string(it.Raw) || old[0].From.After(it.From))
		} else if !errors.Is(err, fs.ErrNotExist) {
			return all, err
		}
		if !s.Kept {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return all, err
			}
			if err := atomicfile.Write(path, it.Raw); err != nil {
				return all, err
			}
		}
		all = append(all, s)
	}
	return all, nil
}

// name says where an item is kept. What two items say about one thing has one name.
func name(it collateral.Item) string {
	switch it.Kind {
	case collateral.TCBInfo:
		return fmt.Sprintf("intel/tcb-%s-%x.json", strings.ToLower(it.TCBInfo.ID), it.TCBInfo.FMSPC)
	case collateral.QEIdentity:
		return fmt.Sprintf("intel/identity-%s.json", strings.ToLower(it.QEIdentity.ID))
	case collateral.CRL:
		return folder(it.CRL.Issuer.Organization) + "/crl-" + short(slices.Concat(it.CRL.RawIssuer, it.CRL.AuthorityKeyId)) + ".crl"
	case collateral.Certificate:
		return folder(it.Certificate.Subject.Organization) + "/certificate-" + short(it.Raw) + ".der"
	default:
		return "other/endorsement-" + short(it.Raw) + ".cose"
	}
}

func folder(organization []string) string {
	switch o := strings.Join(organization, " "); {
	case strings.HasPrefix(o, "Intel"):
		return "intel"
	case strings.HasPrefix(o, "Advanced Micro Devices"):
		return "amd"
	default:
		return "other"
	}
}

func short(b []byte) string {
	digest := sha256.Sum256(b)
	return hex.EncodeToString(digest[:8])
}

// Wanted is what a folder needs from Intel to stay up to date.
func Wanted(s *collateral.Set) []Processors {
	var all []Processors
	for _, it := range s.Of(collateral.TCBInfo) {
		all = append(all, Processors{TDX: it.TCBInfo.ID == collateral.TDX, FMSPC: it.TCBInfo.FMSPC, PlatformCA: hasCRL(s, "Platform"), ProcessorCA: hasCRL(s, "Processor")})
	}
	return all
}

func hasCRL(s *collateral.Set, ca string) bool {
	for _, it := range s.Of(collateral.CRL) {
		if it.CRL.Issuer.CommonName == "Intel SGX PCK "+ca+" CA" {
			return true
		}
	}
	return false
}
