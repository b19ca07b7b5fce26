package main

// custodyMutants are ways to hold keys wrongly, each with the plans of the simulation that must notice it. docs/testing.md lists them.
var custodyMutants = []mutant{
	{
		name: "seat", what: "a member that was removed leaves the key as it was", file: "gov/ceremony/need.go",
		old: "	return gone || threshold > p.rec.Threshold() ||", new: "	_ = gone\n	return threshold > p.rec.Threshold() ||",
		test: "TestNodesGoInEveryStepOfACeremony", pkg: "internal/sim",
	},
	{
		name: "waits", what: "a phase of a ceremony waits for a node that is gone", file: "gov/ceremony/close.go",
		old: "	case cut:\n", new: "	case cut + 1:\n",
		test: "TestNodesGoInEveryStepOfACeremony", pkg: "internal/sim",
	},
	{
		name: "forgets", what: "a node forgets the package of its seat once the committee is in force", file: "keys/seats/machine.go",
		old: "		if r.own && r.holds != nil {", new: "		if r.own && r.holds != nil && p.number == 0 {",
		test: "TestNodesGoOnTogetherAfterAPowerCutOrNotAtAll", pkg: "internal/sim",
	},
	{
		name: "majority", what: "a bare majority goes on after a power cut", file: "resume/needed.go",
		old: "	need := max(quorum, n-quorum+2)", new: "	need := quorum",
		test: "TestNodesGoOnTogetherAfterAPowerCutOrNotAtAll", pkg: "internal/sim",
	},
}
