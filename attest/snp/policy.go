package snp

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
)

// Policy is what a constitution demands of this platform. As JSON it is one object whose names are those below; each may be absent. The
// zero value accepts nothing, because no program can know for ever which firmware is new enough.
type Policy struct {
	// MinimumTCB has a line for each product that may be used. All four TCBs of a report must have at least these parts; every part must be named.
	MinimumTCB map[Product]MinimumTCB `json:"minimum_tcb"`
	// VMPL is the privilege level at which the node must run. 0 is the guest's highest.
	VMPL uint32 `json:"vmpl"`
	// MinimumGuestSVN is the lowest version that the launch's id block may give to the guest.
	MinimumGuestSVN uint32 `json:"minimum_guest_svn"`
	// AllowMigration lets in guests that a migration agent may move; its owner then is trusted like the code.
	AllowMigration bool `json:"allow_migration"`
	// AllowProvisionalFirmware lets in machines that run newer firmware than they have committed to, so that the host can still go back to the older one.
	// The minimum holds for both.
	AllowProvisionalFirmware bool `json:"allow_provisional_firmware"`
	// AllowMissingCRL lets in machines while no list of revoked certificates that is still current is at hand.
	AllowMissingCRL bool `json:"allow_missing_crl"`
	// ForbidSMT refuses guests that may share a core with a sibling thread of somebody else. Clouds launch guests that may.
	ForbidSMT bool `json:"forbid_smt"`
	// RequireSingleSocket refuses guests whose memory may be on another socket.
	RequireSingleSocket bool `json:"require_single_socket"`
	// RequireCiphertextHiding refuses guests that do not demand that the host cannot read their ciphertext, and machines that do not hide it.
	RequireCiphertextHiding bool `json:"require_ciphertext_hiding"`
	// RequireAliasCheck refuses machines that have not looked for memory modules which alias addresses (AMD-SB-3015, "BadRAM").
	RequireAliasCheck bool `json:"require_alias_check"`
	// VLEK names the cloud providers whose VLEK is as good as a chip's own key: the CSP_ID of the certificate.
	VLEK []string `json:"vlek"`
	// Chips are the only chips that count, each the hexadecimal digits of its certificate's HWID; none: all of AMD's.
	Chips []string `json:"chips"`
	// HostData is what the host may have bound to the guest at launch, each 64 hexadecimal digits; none: anything.
	HostData []string `json:"host_data"`
	// IDKeys are the SHA-384 of the keys that may have signed the launch's id block, each 96 hexadecimal digits; none: any or no key.
	IDKeys []string `json:"id_keys"`
}

// MinimumTCB is a TCB of which every part must be named. FMC is Turin's alone.
type MinimumTCB struct {
	FMC        *uint8 `json:"fmc"`
	Bootloader *uint8 `json:"bootloader"`
	TEE        *uint8 `json:"tee"`
	SNP        *uint8 `json:"snp"`
	Microcode  *uint8 `json:"microcode"`
}

// DecodePolicy reads a policy of a platform. The error names the field and wraps coco.ErrInvalid.
func DecodePolicy(platform string, b []byte) (Policy, error) {
	var p Policy
	if err := attest.DecodePolicy(platform, b, &p); err != nil {
		return Policy{}, err
	}
	return p, p.Validate(platform)
}

// Validate says whether a policy means something. The error wraps coco.ErrInvalid.
func (p Policy) Validate(platform string) error {
	bad := func(field, format string, args ...any) error {
		return fmt.Errorf("%w: policy of platform %q: %s: %s", coco.ErrInvalid, platform, field, fmt.Sprintf(format, args...))
	}
	for _, product := range []Product{Milan, Genoa, Turin} {
		m, ok := p.MinimumTCB[product]
		if !ok {
			continue
		}
		if m.Bootloader == nil || m.TEE == nil || m.SNP == nil || m.Microcode == nil || (m.FMC != nil) != (product == Turin) {
			return bad("minimum_tcb."+string(product), "expected the numbers bootloader, tee, snp and microcode, and fmc for %s alone: a part that is left out would be no minimum", Turin)
		}
	}
	for product := range p.MinimumTCB {
		if product != Milan && product != Genoa && product != Turin {
			return bad("minimum_tcb", "expected %s, %s or %s, found %q", Milan, Genoa, Turin, string(product))
		}
	}
	if p.VMPL > 3 {
		return bad("vmpl", "expected 0 to 3, found %d", p.VMPL)
	}
	for _, provider := range p.VLEK {
		if provider == "" || len(provider) > 256 {
			return bad("vlek", "expected the names of cloud providers, found %q", provider)
		}
	}
	for _, list := range []struct {
		field  string
		values []string
		sizes  []int
	}{{"chips", p.Chips, []int{64, 8}}, {"host_data", p.HostData, []int{32}}, {"id_keys", p.IDKeys, []int{48}}} {
		for i, v := range list.values {
			if b, err := hex.DecodeString(v); err != nil || v != strings.ToLower(v) || !slices.Contains(list.sizes, len(b)) {
				return bad(fmt.Sprintf("%s[%d]", list.field, i), "expected %d lower-case hexadecimal digits, found %q", 2*list.sizes[0], v)
			}
		}
	}
	return nil
}

// Claims are what a verified report says that only this platform says.
type Claims struct {
	Report Report
	// Chip is the chip that AMD certified; none if a VLEK has signed. Provider is the VLEK's cloud provider.
	Chip     []byte
	Provider string
	// Until is when the endorsement key's certificate ends.
	Until      time.Time
	Revocation Revocation
}

// Satisfy implements attest.Own.
func (c Claims) Satisfy(policy []byte) error {
	p, err := DecodePolicy(Platform, policy)
	if err != nil {
		return fmt.Errorf("%w: %w", attest.ErrPolicy, err)
	}
	return p.Check(c)
}

// Check decides whether claims satisfy a policy that Validate has accepted. The error wraps attest.ErrTCB if newer firmware would do, attest.ErrPolicy otherwise.
func (p Policy) Check(c Claims) error {
	r := c.Report
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", attest.ErrPolicy, fmt.Sprintf(format, args...))
	}
	if err := p.checkIdentity(c); err != nil {
		return err
	}
	switch {
	case r.VMPL != p.VMPL:
		return refuse("the report was asked for at VMPL %d, expected %d (vmpl)", r.VMPL, p.VMPL)
	case r.Policy.MigrateMA && !p.AllowMigration:
		return refuse("a migration agent may move the guest (allow_migration)")
	case r.Policy.SMT && p.ForbidSMT:
		return refuse("the guest may run beside a sibling thread (forbid_smt)")
	case !r.Policy.SingleSocket && p.RequireSingleSocket:
		return refuse("the guest may use more than one socket (require_single_socket)")
	case !(r.Policy.CipherTextHidingDRAM && r.Platform.CiphertextHiding) && p.RequireCiphertextHiding:
		return refuse("its ciphertext is not hidden from the host (require_ciphertext_hiding)")
	case !r.Platform.AliasChecked && p.RequireAliasCheck:
		return refuse("the machine has not looked for memory that aliases addresses (require_alias_check)")
	}
	if err := p.checkTCB(r); err != nil {
		return err
	}
	switch {
	case c.Revocation.Current || p.AllowMissingCRL:
		return nil
	case c.Revocation.Made.IsZero():
		return refuse("no list of revoked certificates of %s is at hand (allow_missing_crl)", r.Product)
	}
	return refuse("the list of revoked certificates of %s was to be replaced at %s (allow_missing_crl)", r.Product, c.Revocation.Next.UTC().Format(time.RFC3339))
}

// checkIdentity decides whose machine and which launch it is.
func (p Policy) checkIdentity(c Claims) error {
	r := c.Report
	listed := func(list []string, b []byte) bool {
		return len(list) == 0 || slices.Contains(list, hex.EncodeToString(b))
	}
	switch {
	case r.Signer == VLEK && !slices.Contains(p.VLEK, c.Provider):
		return fmt.Errorf("%w: a VLEK of %q has signed, which vlek does not list", attest.ErrPolicy, c.Provider)
	case !listed(p.Chips, c.Chip):
		return fmt.Errorf("%w: chips does not list chip %x", attest.ErrPolicy, c.Chip)
	case !listed(p.HostData, r.HostData[:]):
		return fmt.Errorf("%w: host_data does not list %x", attest.ErrPolicy, r.HostData)
	case !listed(p.IDKeys, r.IDKeyDigest[:]):
		return fmt.Errorf("%w: id_keys does not list the id key %x", attest.ErrPolicy, r.IDKeyDigest)
	}
	return nil
}

// checkTCB decides whether firmware, microcode and guest are new enough.
func (p Policy) checkTCB(r Report) error {
	m, ok := p.MinimumTCB[r.Product]
	if !ok {
		return fmt.Errorf("%w: minimum_tcb has no line for %s; this machine has {%v}", attest.ErrPolicy, r.Product, r.Reported)
	}
	lowest := TCB{Bootloader: *m.Bootloader, TEE: *m.TEE, SNP: *m.SNP, Microcode: *m.Microcode}
	if m.FMC != nil {
		lowest.FMC = *m.FMC
	}
	for _, t := range []struct {
		name string
		tcb  TCB
	}{{"reported", r.Reported}, {"committed", r.Committed}, {"current", r.Current}, {"launch", r.Launch}} {
		if part, found, expected := t.tcb.below(lowest); part != "" {
			return fmt.Errorf("%w: its %s TCB has %s %d, expected %d at least (minimum_tcb.%s)", attest.ErrTCB, t.name, part, found, expected, r.Product)
		}
	}
	if r.GuestSVN < p.MinimumGuestSVN {
		return fmt.Errorf("%w: its guest has version %d, expected %d at least (minimum_guest_svn)", attest.ErrTCB, r.GuestSVN, p.MinimumGuestSVN)
	}
	if (r.Committed != r.Current || r.CommittedFirmware != r.CurrentFirmware) && !p.AllowProvisionalFirmware {
		return fmt.Errorf("%w: it runs firmware %v with TCB {%v} but has committed to %v with {%v} only, so its host may go back (allow_provisional_firmware)",
			attest.ErrPolicy, r.CurrentFirmware, r.Current, r.CommittedFirmware, r.Committed)
	}
	return nil
}
