package policy
import ("testing";"fmt")
func TestZZ(t *testing.T){
 var ms []MemberFacts
 for i:=0;i<50;i++ { ms=append(ms, MemberFacts{fmt.Sprintf("id%d",i), fmt.Sprintf("n%d",i),1}) }
 in := Input{Members: ms, Constitution: map[string]any{"version":uint64(1),"nodes":[]map[string]any{{"owner":"id1","x":map[string]any{"b":1,"a":2}}}, "settings":map[string]any{"z":1,"a":2.5}}}
 in.Votes = Tally(ms, nil); in = in.AllYes(); in.Proposal.Proposer="id1"; in.Node.Owner="id1"
 for _, e := range []string{Unanimous, Majority, MofN(3), OneOfN, Veto, Weighted, Automatic(1), Automatic(2)+" || "+Majority,
  "votes.yess > 1", "votes.yes > ", "1", "constitution.version", "constitution.version == 1", "constitution == constitution",
  "members.all(a, members.all(b, members.all(c, a.id == b.id || b.id==c.id || true)))",
  "members.all(a, members.all(b, a.id != b.id || true))",
  "members.all(a, votes.by.exists(v, v.member == a.id))",
  "constitution.settings.all(k, k != '')", "constitution.nope == 1", "has(constitution.nope)", "has(votes.yes)", "members.map(m, m)==[]",
  "[1,2].exists(x, x==1)", "[[1],[2]].size()==2", "timestamp('x') == now", "{'a':1}.size()==1", "proposal.kinds.all(k, k in ['a'])", "type(1)==int", "now > 1", "votes.yes > 1.5", "1/0 == 1", "members[0].name == 'n0'", "members[60].name == 'n0'","string(constitution.version) == '1'","proposal.actions.exists(a, a.kind == 'x')","node.owner == proposal.proposer", "dyn(1)==1", "'a'.matches('b')",
  "constitution.nodes.exists(n, n.owner == n.x)", "constitution.nodes.exists(n, 'id1' in n)","policy.votes{yes:1}.yes==1", "votes{yes:1}.yes==1", "[members][0] == members", "int('x')==1", "constitution.nodes[0].x.exists(k, k=='a')","coco.x == 1", "closed ? true : votes.no", "members.exists_one(m, m.id=='id1')", "members.filter(m, m.weight>0).size()==50"} {
  p, err := Compile(e)
  if err != nil { fmt.Println("C", e, "=>", err); continue }
  ok, cost, err := p.decide(in.variables())
  fmt.Println("D", e, ok, cost, err)
 }
}
