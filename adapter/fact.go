package adapter

// Fact is one thing that the claims of a receipt say, for people and programs. The name is the adapter's own and stays the
// same in every release.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	// Facts are about this one, such as the key of an operation.
	Facts []Fact `json:"facts,omitempty"`
}
