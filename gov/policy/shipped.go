package policy

import "strconv"

// Policies for networks that want no other. Several can be combined with && and ||, in
// parentheses.
const (
	// Unanimous wants every member's consent.
	Unanimous = "votes.yes == members.size()"
	// Majority wants more than half of the members. It is the default.
	Majority = "votes.yes > members.size() / 2"
	// OneOfN is content with one member: the proposer, if it votes for its own proposal.
	OneOfN = "votes.yes >= 1"
	// Veto accepts, when the time for voting is over, what no member has objected to. While the others are silent its
	// proposer alone decides, so it holds only with a minimum voting time.
	Veto = "closed && votes.no == 0"
	// Seconded is Veto for what another member than its proposer has voted for. No member alone can pass it.
	Seconded = Veto + ` && votes.by.exists(v, v.vote == "yes" && v.member != proposal.proposer)`
	// Weighted wants more than half of all members' weight.
	Weighted = "votes.yes_weight > votes.total_weight / 2"
)

// MofN wants m members.
func MofN(m int) string { return "votes.yes >= " + strconv.Itoa(m) }

// Automatic, for add_node, admits without a vote what a member proposes for itself, as long as it
// has fewer than k nodes. Alone it never admits more; combined with Majority the members can:
//
//	policy.Automatic(2) + " || " + policy.Majority
func Automatic(k int) string {
	return "(node.owner == proposal.proposer && constitution.nodes.filter(n, n.owner == node.owner).size() < " + strconv.Itoa(k) + ")"
}
