package consensus

// IDs converts members' names of a snapshot's header.
func IDs(in []uint64) (out []ID) {
	for _, id := range in {
		out = append(out, ID(id))
	}
	return out
}
