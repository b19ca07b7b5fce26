package main

const circl = "github.com/cloudflare/circl"

// keyMutants are the known traps of threshold keys, each with the test that must notice it. docs/testing.md lists them.
var keyMutants = []mutant{
	{
		name: "longer", what: "a commitment longer than the threshold is a dealing", file: "keys/dkg/ceremony.go",
		old: "len(commitment) != int(c.session.Threshold) ||", new: "len(commitment) < int(c.session.Threshold) ||",
		test: "TestAWrongDealerIsNamedAndItsDealingIsNoPartOfTheKey",
	},
	{
		name: "shorter", what: "a commitment shorter than the threshold is a dealing", file: "keys/dkg/ceremony.go",
		old: "len(commitment) != int(c.session.Threshold) ||", new: "len(commitment) == 0 || len(commitment) > int(c.session.Threshold) ||",
		test: "TestAWrongDealerIsNamedAndItsDealingIsNoPartOfTheKey",
	},
	{
		name: "empty", what: "an empty commitment is a dealing", file: "keys/dkg/ceremony.go",
		old: "len(commitment) != int(c.session.Threshold) ||", new: "len(commitment) != int(c.session.Threshold) && len(commitment) != 0 ||",
		test: "TestAWrongDealerIsNamedAndItsDealingIsNoPartOfTheKey",
	},
	{
		name: "identity", what: "the identity is an element that a message may have", file: "keys/ristretto/ristretto.go",
		old: "err != nil || e.IsIdentity() {", new: "err != nil {",
		test: "TestWhatIsNoElementIsRefused",
	},
	{
		name: "order", what: "a scalar may be written with the order added to it", file: "keys/ristretto/ristretto.go",
		old: "	if err := s.UnmarshalBinary(b); err != nil {", new: "	if err := s.UnmarshalBinary(b); err != nil && len(b) != keys.SecretSize {",
		test: "TestAScalarHasOneEncoding",
	},
	{
		name: "zero", what: "there is a holder 0, whose share is the private key", file: "keys/tdh2/key.go",
		old: "	if holder < 1 || holder > k.holders {", new: "	if holder > k.holders {",
		test: "TestThereIsNoHolder0ThoughItsShareWouldBeThePrivateKey",
	},
	{
		name: "again", what: "a holder counts as often as it speaks", file: "keys/tdh2/opening.go",
		old: "	if !o.holders[p.Holder] && len(o.points)", new: "	if len(o.points)",
		test: "TestAnyThresholdOfHoldersOpensACiphertextAndFewerDoNot",
	},
	{
		name: "dealers", what: "an actor may hold two shares of a key that is shared anew, and deal twice", file: "keys/dkg/session.go",
		old: "	if !ordered(s.Old.Holders) {", new: "	if false {",
		test: "TestASessionThatCannotBeIsRefused",
	},
	{
		name: "twice", what: "a dealer may commit again after it has seen what others committed to", file: "keys/dkg/ceremony.go",
		old: "	if c.phase != Committing || d == nil || d.key != nil {", new: "	if c.phase != Committing || d == nil {",
		test: "TestADealerCommitsAndRevealsOnce",
	},
	{
		name: "dealing", what: "a dealer may reveal another dealing than it has committed to", file: "keys/dkg/ceremony.go",
		old: "	if s.digest(c.digest) != d.dealing {", new: "	if false {",
		test: "TestADealingIsNotCopied",
	},
	{
		name: "possession", what: "a receiver need not prove that it has its key", file: "keys/dkg/ceremony.go",
		old: "	if err != nil || !context(contextReceiver, c.digest, s.Receiver).Possessed(s.Proof, key) {", new: "	if err != nil {",
		test: "TestAStatementIsOfItsPartyAndPhase",
	},
	{
		name: "replay", what: "a dispute of another session counts, if the keys are the same", file: "keys/dkg/session.go",
		old: "	b := slices.Clone(session[:])\n", new: "	b := slices.Clone(session[:0])\n",
		test: "TestADisputeIsOfOneBoxOfOneSession",
	},
	{
		name: "unfounded", what: "a dispute disqualifies its dealer, whatever the box holds", file: "keys/dkg/ceremony.go",
		old: "		if wrong[i] {", new: "		if wrong[i] || true {",
		test: "TestNobodyIsDisqualifiedByAnUnfoundedDispute",
	},
	{
		name: "box", what: "a dispute disqualifies nobody", file: "keys/dkg/ceremony.go",
		old: "		if wrong[i] {", new: "		if wrong[i] && false {",
		test: "TestAWrongDealerIsNamedAndItsDealingIsNoPartOfTheKey",
	},
	{
		name: "constant", what: "a dealer of a resharing may deal something else than its old share", file: "keys/dkg/ceremony.go",
		old: "	return err == nil && ristretto.Encode(commitment[0]) == public", new: "	return err == nil && public != ristretto.Point{}",
		test: "TestADealerOfAResharingDealsItsOldShare",
	},
	{
		name: "half", what: "a ceremony is done though receivers have not confirmed their shares", file: "keys/dkg/ceremony.go",
		old: "	if c.phase == Registering || c.phase == Confirming {", new: "	if c.phase == Registering {",
		test: "TestAResharingThatFailsLeavesTheOldKey",
	},
	{
		name: "label", what: "a ciphertext opens under any label, so under another network's", file: "keys/tdh2/tdh2.go",
		old: "	return sha256.Sum256(append(h[:], label...))", new: "	return sha256.Sum256(append(h[:], label[:0]...))",
		test: "TestACiphertextOpensUnderItsKeyAndLabelOnly",
	},
	{
		name: "network", what: "what is sealed to a committee does not say of which network it is", file: "keys/archive/archive.go",
		old:  "	b := append(append([]byte(context), 0), o.Network[:]...)\n	b = binary.BigEndian.AppendUint64(b, o.Committee)\n	b = binary.BigEndian.AppendUint64(b, o.Key)\n",
		new:  "	b := append([]byte(context), 0)\n	b = binary.BigEndian.AppendUint64(b, o.Committee)\n	b = binary.BigEndian.AppendUint64(b, o.Key)\n",
		test: "TestWhatIsSealedForAnotherPlaceIsRefused",
	},
	{
		name: "malleable", what: "a ciphertext needs no proof, as ElGamal's", file: "keys/tdh2/opening.go",
		old: "	if !k.context(label).Equal(c.Proof,", new: "	if false && !k.context(label).Equal(c.Proof,",
		test: "TestNoCiphertextIsMadeOutOfAnother",
	},
	{
		name: "partial", what: "a partial's proof is not checked", file: "keys/tdh2/opening.go",
		old: "	if !o.context(p.Holder).Equal(p.Proof,", new: "	if false && !o.context(p.Holder).Equal(p.Proof,",
		test: "TestAWrongPartialIsNamedAndDoesNotCount",
	},
	{
		name: "moved", what: "a partial's proof does not name its ciphertext and label", file: "keys/tdh2/opening.go",
		old: "o.ciphertext.append(o.digest[:])", new: "o.digest[:0]",
		test: "TestAPartialIsOfOneCiphertextThoughTheExponentIsTheSame",
	},
	{
		name: "fiat", what: "the challenge of a proof leaves a base out", file: "keys/ristretto/ristretto.go",
		old:  "dleq.Verifier{Params: c.params()}.Verify(a.Base, a.Power, b.Base, b.Power, &p)",
		new:  "dleq.Verifier{Params: c.params()}.VerifyBatchRFC9497(a.Power, []group.Element{b.Base}, []group.Element{b.Power}, &p)",
		test: "TestAProofThatDoesNotHashItsBaseIsRefused",
	},
	{
		name: "shamir", what: "the challenge of a proof leaves everything out but its name", library: circl, file: "zk/dleq/dleq.go",
		old:  "	for i := range a {\n		binary.BigEndian.PutUint16(lenBuf, uint16(len(a[i])))\n		h2Input = append(append(h2Input, lenBuf...), a[i]...)\n	}\n",
		new:  "	_ = lenBuf\n",
		test: "TestNoProofIsMadeBeforeItsStatement", pkg: "keys/tdh2",
	},
	{
		name: "committed", what: "a share need not be what its dealer committed to", file: "keys/committee/committee.go",
		old: "	if err != nil || commitment(bound, seat, p.Share) != s.Shares[seat-1] {", new: "	if err != nil {",
		test: "TestAWrongPartIsNamedAndDoesNotCount",
	},
	{
		name: "info", what: "a box of one sealing opens in another", file: "keys/committee/committee.go",
		old: "	b := append(append([]byte(context), 0), bound[:]...)", new: "	b := append(append([]byte(context), 0), bound[:0]...)",
		test: "TestWhatIsSealedIsForOneCommitteeAndLabel",
	},
	{
		name: "small", what: "members may have keys of small order, to which everybody has the private key", file: "keys/algorithm.go",
		old: "	if slices.Contains(smallOrder, string(u[:])) {", new: "	if slices.Contains(smallOrder[:0], string(u[:])) {",
		test: "TestAWeakOrAlienXWingKeyIsRefused",
	},
}
