package resume

// Needed returns how many of n voters must be there to go on, of whom a majority commits: so many that each majority has two of them. A network
// of one never goes on by itself: the result is more than n. All says that not every node votes; then all have to be there.
func Needed(n int, all bool) int {
	quorum := n/2 + 1
	need := max(quorum, n-quorum+2)
	if all {
		return max(n, need)
	}
	return need
}
