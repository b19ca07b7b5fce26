package snp

import (
	"encoding/binary"
	"fmt"

	"github.com/google/go-sev-guest/abi"
)

// Report is what the secure processor signs: ATTESTATION_REPORT of the SEV-SNP firmware ABI (AMD publication 56860).
type Report struct {
	Version  uint32
	Product  Product // empty in a report of version 2, which does not name it
	GuestSVN uint32
	Policy   abi.SnpPolicy // what the guest demanded when it was launched
	VMPL     uint32        // the privilege level that asked for the report; 0 is the highest
	Signer   Signer
	// MaskedChip says that the host hides ChipID, which is zero then.
	MaskedChip bool
	// AuthorKey says that the launch's id block was signed by a key that AuthorKeyDigest certifies.
	AuthorKey       bool
	Platform        PlatformInfo
	ReportData      [64]byte
	Measurement     [48]byte // of the guest's memory at launch
	HostData        [32]byte // what the host bound to the guest at launch
	IDKeyDigest     [48]byte
	AuthorKeyDigest [48]byte
	ChipID          [64]byte
	// Reported is the TCB that the signing key stands for; the host may report less than what runs. Committed is the one
	// below which the host can no longer roll firmware back, Current what runs now, Launch what ran when the guest started.
	Reported, Committed, Current, Launch TCB
	// CurrentFirmware and CommittedFirmware are versions of the SEV firmware.
	CurrentFirmware, CommittedFirmware Firmware
}

// PlatformInfo is what the machine says of itself.
type PlatformInfo struct {
	SMT              bool // simultaneous multithreading is on
	CiphertextHiding bool // the host cannot read the ciphertext of DRAM
	AliasChecked     bool // memory modules that alias addresses were looked for since the machine's start (AMD-SB-3015)
}

// Firmware is a version of the SEV firmware.
type Firmware struct{ Major, Minor, Build uint8 }

func (f Firmware) String() string { return fmt.Sprintf("%d.%d.%d", f.Major, f.Minor, f.Build) }

// Signer is the kind of key that signs reports.
type Signer string

// The kinds of keys: of one chip, and of a cloud provider for chips that it loads the key into.
const (
	VCEK Signer = "vcek"
	VLEK Signer = "vlek"
)

// ReportSize is the length of a report in bytes.
const ReportSize = abi.ReportSize

// ParseReport reads a report of exactly ReportSize bytes. It checks no signature.
func ParseReport(raw []byte) (Report, error) {
	if len(raw) != ReportSize {
		return Report{}, fmt.Errorf("report of %d bytes: expected %d", len(raw), ReportSize)
	}
	if err := abi.ValidateReportFormat(raw); err != nil {
		return Report{}, err
	}
	p, err := abi.ReportToProto(raw)
	if err != nil {
		return Report{}, err
	}
	signer, err := abi.ParseSignerInfo(p.GetSignerInfo())
	if err != nil {
		return Report{}, err
	}
	policy, err := abi.ParseSnpPolicy(p.GetPolicy())
	if err != nil {
		return Report{}, err
	}
	info := p.GetPlatformInfo()
	r := Report{
		Version: p.GetVersion(), GuestSVN: p.GetGuestSvn(), Policy: policy, VMPL: p.GetVmpl(),
		MaskedChip: signer.MaskChipKey, AuthorKey: signer.AuthorKeyEn,
		Platform:        PlatformInfo{SMT: info&1 != 0, CiphertextHiding: info&(1<<4) != 0, AliasChecked: info&(1<<5) != 0},
		ReportData:      [64]byte(p.GetReportData()),
		Measurement:     [48]byte(p.GetMeasurement()),
		HostData:        [32]byte(p.GetHostData()),
		IDKeyDigest:     [48]byte(p.GetIdKeyDigest()),
		AuthorKeyDigest: [48]byte(p.GetAuthorKeyDigest()),
		ChipID:          [64]byte(p.GetChipId()),
		// The library has read each of these from one byte.
		CurrentFirmware:   Firmware{raw[0x1ea], raw[0x1e9], raw[0x1e8]},
		CommittedFirmware: Firmware{raw[0x1ee], raw[0x1ed], raw[0x1ec]},
	}
	switch signer.SigningKey {
	case abi.VcekReportSigner:
		r.Signer = VCEK
	case abi.VlekReportSigner:
		r.Signer = VLEK
	default:
		return Report{}, fmt.Errorf("the report is not signed (signing key %v): the guest's host has switched attestation off", signer.SigningKey)
	}
	if r.Version >= abi.ReportVersion3 {
		if r.Product = productOf(raw[0x188], raw[0x189]); r.Product == "" {
			return Report{}, fmt.Errorf("a processor of family %#x, model %#x: expected Milan, Genoa or Turin", raw[0x188], raw[0x189])
		}
	}
	for _, t := range []struct {
		name string
		raw  uint64
		to   *TCB
	}{
		{"reported", p.GetReportedTcb(), &r.Reported},
		{"committed", p.GetCommittedTcb(), &r.Committed},
		{"current", p.GetCurrentTcb(), &r.Current},
		{"launch", p.GetLaunchTcb(), &r.Launch},
	} {
		if *t.to, err = parseTCB(r.Product, t.raw); err != nil {
			return Report{}, fmt.Errorf("%s TCB: %w", t.name, err)
		}
	}
	return r, nil
}

// TCB is the version of each part that the guest's protection rests on; TCB_VERSION of publication 56860. A larger number is a newer part.
type TCB struct {
	FMC        uint8 // firmware of the microcontroller that starts first; Turin only
	Bootloader uint8 // of the secure processor
	TEE        uint8 // operating system of the secure processor
	SNP        uint8 // SEV firmware
	Microcode  uint8 // the lowest of all cores
}

// parseTCB reads the parts in the places that they have in this product; before Turin there is no FMC.
func parseTCB(p Product, v uint64) (TCB, error) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	t, reserved := TCB{Bootloader: b[0], TEE: b[1], SNP: b[6], Microcode: b[7]}, b[2:6]
	if p == Turin {
		t, reserved = TCB{FMC: b[0], Bootloader: b[1], TEE: b[2], SNP: b[3], Microcode: b[7]}, b[4:7]
	}
	for _, x := range reserved {
		if x != 0 {
			return TCB{}, fmt.Errorf("%#x has bits in reserved places", v)
		}
	}
	return t, nil
}

func (t TCB) String() string {
	fmc := ""
	if t.FMC != 0 {
		fmc = fmt.Sprintf("fmc %d, ", t.FMC)
	}
	return fmt.Sprintf("%sbootloader %d, tee %d, snp %d, microcode %d", fmc, t.Bootloader, t.TEE, t.SNP, t.Microcode)
}

// below names the first part that is older than in min, or is "".
func (t TCB) below(lowest TCB) (part string, found, expected uint8) {
	for _, p := range []struct {
		name     string
		have, at uint8
	}{
		{"fmc", t.FMC, lowest.FMC},
		{"bootloader", t.Bootloader, lowest.Bootloader},
		{"tee", t.TEE, lowest.TEE},
		{"snp", t.SNP, lowest.SNP},
		{"microcode", t.Microcode, lowest.Microcode},
	} {
		if p.have < p.at {
			return p.name, p.have, p.at
		}
	}
	return "", 0, 0
}

// Product is a line of processors with a root of its own.
type Product string

// The products.
const (
	Milan Product = "milan"
	Genoa Product = "genoa" // with Bergamo and Siena
	Turin Product = "turin"
)

// productOf names the product of a processor; the models are those of AMD's processor programming references.
func productOf(family, model byte) Product {
	switch {
	case family == 0x19 && model <= 0x0f:
		return Milan
	case family == 0x19 && (model >= 0x10 && model <= 0x1f || model >= 0xa0 && model <= 0xaf):
		return Genoa
	case family == 0x1a && model <= 0x1f:
		return Turin
	}
	return ""
}
