package snp

// Minimum returns the policy line that demands a TCB.
func (t TCB) Minimum(p Product) MinimumTCB {
	m := MinimumTCB{Bootloader: &t.Bootloader, TEE: &t.TEE, SNP: &t.SNP, Microcode: &t.Microcode}
	if p == Turin {
		m.FMC = &t.FMC
	}
	return m
}
