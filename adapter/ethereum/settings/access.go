package settings

// Notice says who sees what, to everybody who uses the network.
func (s *Settings) Notice() string {
	if s.Closed() {
		return "CLOSED: a caller sees its own Ethereum transactions and accounts, and what contracts admit."
	}
	return "OPEN: every caller sees all Ethereum transactions and contracts."
}
