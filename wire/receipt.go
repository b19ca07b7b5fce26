package wire

// Claimed is what of a receipt says what its transaction claims.
type Claimed struct {
	Claims []byte `json:"claims"`
}
