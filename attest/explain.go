package attest

// Fact is one claim in plain words, for people.
type Fact struct{ Name, Value string }

// Explainer is what Own may be besides: claims that people can read, and start a policy from.
type Explainer interface {
	// Explain lists the claims in the order of their weight.
	Explain() []Fact
	// Demand returns a policy, a JSON object, that asks for no less than this TEE has: its versions as minima, its keys as the ones that count. It is a draft:
	// whether what the TEE has is good enough, nobody has judged.
	Demand() ([]byte, error)
}
