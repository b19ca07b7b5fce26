package node

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// instruments are several collectors as one.
type instruments []prometheus.Collector

// Describe implements prometheus.Collector.
func (all instruments) Describe(to chan<- *prometheus.Desc) {
	for _, c := range all {
		c.Describe(to)
	}
}

// Collect implements prometheus.Collector.
func (all instruments) Collect(to chan<- prometheus.Metric) {
	for _, c := range all {
		c.Collect(to)
	}
}

// instruments lists what this node measures. docs/operations.md explains each to operators.
func (n *node) instruments() instruments {
	all := append(instruments(n.replica.Collectors()), &n.decided.growth)
	all = append(all, n.ceremonies.Collectors()...)
	all = append(all, n.grants.Collectors()...)
	all = append(all, n.retention.Collectors()...)
	gauge := func(name, help string, value func() float64) {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "coco", Name: name, Help: help}, value))
	}
	counter := func(name, help string, value func() float64) {
		all = append(all, prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "coco", Name: name, Help: help}, value))
	}
	fixed := func(name, help string, labels prometheus.Labels, value float64) {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "coco", Name: name, Help: help, ConstLabels: labels})
		g.Set(value)
		all = append(all, g)
	}
	fixed("info", "Always 1; the labels say what runs.", prometheus.Labels{
		"version": n.cfg.Version, "measurement": string(n.self.Measurement), "insecure": strconv.FormatBool(n.decided.constitution.Load().Network.Insecure),
	}, 1)
	fixed("process_start_time_seconds", "When this node's process began, since 1970. It rejoined then.", nil, float64(n.cfg.past.began.UnixMilli())/1000)
	fixed("lives", "Keys that this process has joined under: above 1 it fetched a damaged ledger again, or had been left behind.", nil, float64(n.cfg.past.lives))
	gauge("service_certificate_not_after_seconds", "When the network's service certificate ends, since 1970.",
		func() float64 { return float64(n.certificates.OfService().NotAfter.Unix()) })
	gauge("node_certificate_not_after_seconds", "When the certificate that this node shows ends, since 1970.",
		func() float64 { return float64(n.self.Identity.Certificate().Leaf.NotAfter.Unix()) })
	gauge("actor_certificate_not_after_seconds", "When the first member or participant is without a certificate, since 1970.",
		func() float64 { return float64(actorsEnd(n.decided.constitution.Load()).Unix()) })

	gauge("is_leader", "1 if this node leads.", func() float64 { return truth(n.replica.Leads()) })
	gauge("has_leader", "1 if this node knows a leader.", func() float64 { return truth(n.replica.State().Leader != 0) })
	gauge("is_ready", "1 if GET /readyz answers 200.", func() float64 {
		for _, c := range n.Health() {
			if c.Problem != "" {
				return 0
			}
		}
		return 1
	})
	gauge("is_sealed", "1 if this node has kept what it needs to go on after all nodes have stopped.", func() float64 { return truth(n.keeper.Kept()) })
	gauge("clock_lag_seconds", "By how much the ledger's time is behind this machine's clock; negative if it is ahead.", func() float64 { return n.replica.ClockLag().Seconds() })
	gauge("state_age_seconds", "How old the state may be that this node shows: since a majority confirmed that it held all that was committed.", func() float64 { return n.replica.Age().Seconds() })
	gauge("view", "The view that this node is in. It grows with each election.", func() float64 { return float64(n.replica.State().View) })
	gauge("committed_seqno", "The last transaction committed and applied here.", func() float64 { return float64(n.replica.Last().Seqno) })
	gauge("lag_entries", "Ledger entries that are known to be committed and not applied here yet.", func() float64 { return float64(n.replica.Lag()) })
	gauge("queue_length", "Calls that wait for execution on this node.", func() float64 { return float64(n.replica.Load().Calls) })
	gauge("queue_capacity", "How many may wait.", func() float64 { return float64(n.replica.Load().MaxCalls) })
	gauge("queue_bytes", "Bytes of the calls that wait for execution on this node.", func() float64 { return float64(n.replica.Load().Bytes) })
	gauge("queue_capacity_bytes", "How many bytes may wait.", func() float64 { return float64(n.replica.Load().MaxBytes) })
	counter("queue_refused_total", "Lists of calls that found no room in the queue, or among those on their way to the leader.",
		func() float64 { all, _ := n.replica.Refused(); return float64(all + n.links.refused.Load()) })
	counter("queue_refused_share_total", "Those of them that were refused because their caller had its share.",
		func() float64 { _, unfair := n.replica.Refused(); return float64(unfair + n.links.unfair.Load()) })
	gauge("forwarded_calls", "Calls that wait for the leader's answer.", func() float64 {
		calls, _ := n.links.forwarder.Waiting()
		return float64(calls)
	})
	gauge("ledger_bytes", "Size of the entries in this node's ledger.", func() float64 { return float64(n.state.disk.Ledger.Bytes()) })
	gauge("ledger_index", "The last entry in this node's ledger, committed or not.", func() float64 { return float64(n.state.disk.Ledger.Last()) })
	gauge("epoch", "The epoch that batches are sealed under: when it changes, the ledger's keys do.", func() float64 {
		epoch, _ := n.state.keys.Current()
		return float64(epoch)
	})
	gauge("ledger_missing_entries", "Entries of the past that are not on this node: moved away, or not fetched yet.", func() float64 {
		missing := 0.0
		for _, r := range n.state.disk.Ledger.Missing() {
			missing += float64(r.Last - r.First + 1)
		}
		return missing
	})
	counter("ledger_damaged_chunks_total", "Chunks that this node found damaged while it read through its ledger.",
		func() float64 { return float64(n.state.scrub.Damaged()) })
	gauge("snapshot_seqno", "The newest snapshot on this node that the ledger records.", func() float64 { seqno, _ := n.snapshots.writer.Newest(); return float64(seqno) })
	gauge("snapshot_bytes", "Its size.", func() float64 { _, bytes := n.snapshots.writer.Newest(); return float64(bytes) })
	counter("snapshot_differing_total", "Snapshots of this node that differed from the network's: its memory or its program is not what it should be.",
		func() float64 { return float64(n.snapshots.writer.Differing()) })
	gauge("applied_index", "The last entry committed and applied here.", func() float64 { return float64(n.replica.Applied()) })
	gauge("resident_lacking_rows", "Rows that reside with this node's organisation and others, whose contents this node does not have.",
		func() float64 { return float64(n.state.residents.Status().Lacking) })
	gauge("resident_unheld_rows", "Those of them whose contents no node has that this one reaches.",
		func() float64 { return float64(n.state.residents.Status().Unheld) })
	gauge("trusted_nodes", "Nodes that the network trusts now.", func() float64 { return float64(len(n.decided.directory.Load().addresses)) })
	gauge("voters", "Nodes that vote in consensus.", func() float64 { return float64(len(n.replica.Members().Voters)) })
	gauge("learners", "Nodes that catch up, or do not vote because their owner would have too many votes.", func() float64 { return float64(len(n.replica.Members().Learners)) })
	return all
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
