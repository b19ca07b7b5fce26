package sim

// replace loses a machine of a network at rest and puts an empty one in its place: whatever happened before, what the network has recorded is a
// state to begin with.
func (r *run) replace() {
	n, i := &r.network, int(r.seed)%r.plan.members
	r.witness.Say("the machine of %s is replaced", hostName(i))
	r.mayStop(i, "")
	n.Crash(i)
	n.World.SetFiles(hostName(i), nil)
	n.World.Restart(hostName(i))
	r.mu.Lock()
	r.lies[i] = nil
	r.mu.Unlock()
	n.Start(i, n.join(i))
	probe := r.newSession("probe", 0)
	defer probe.http.CloseIdleConnections()
	if err := r.healHost(i, probe); err != nil {
		r.witness.Fail("alive", "an empty machine in the place of %s does not take part: %v", hostName(i), err)
		r.abort()
		return
	}
	r.digests(probe)
}
