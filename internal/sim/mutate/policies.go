package main

// policyMutants take one check away of the policies that are attached to contracts.
var policyMutants = []mutant{
	{
		name: "anydeployer", what: "whoever holds an address attaches a policy to any contract", file: "adapter/ethereum/policies/policies.go",
		old: " || !by.Created(contract) {", new: " {",
		test: "TestAContractsDeployerAttachesItsPolicy", pkg: "adapter/ethereum",
	},
	{
		name: "othersdeployer", what: "a policy is attached by somebody whom the deployer's address does not belong to", file: "adapter/ethereum/policies/policies.go",
		old: "!ok || !h.Is(caller.Actor, caller.User) ||", new: "!ok || h.Actor == (coco.ActorID{}) ||",
		test: "TestAContractsDeployerAttachesItsPolicy", pkg: "adapter/ethereum",
	},
	{
		name: "nocontract", what: "a policy is attached before there is a contract", file: "adapter/ethereum/policies/policies.go",
		old: "		if account.CodeHash == rows.NoAccount.CodeHash {", new: "		if account.CodeHash == rows.NoAccount.CodeHash && false {",
		test: "TestAContractsDeployerAttachesItsPolicy", pkg: "adapter/ethereum",
	},
	{
		name: "olderpolicies", what: "policies are attached in a network whose nodes may not know them", file: "adapter/ethereum/settings/policies.go",
		old: "	if s.Policies == nil && !s.Closed() {", new: "	if s.Policies == nil && !s.Closed() && false {",
		test: "TestPoliciesAreAttachedWhereTheConstitutionKnowsThem",
	},
	{
		name: "votelast", what: "a policy that members have voted does not count", file: "adapter/ethereum/sight/rules.go",
		old: "	if voted.Policy != \"\" {", new: "	if voted.Policy != \"\" && false {",
		test: "TestAPolicyIsAttachedToAContractThatCannotBeChanged", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "widened", what: "a deployer's policy counts before the contract's own rule", file: "adapter/ethereum/sight/rules.go",
		old: "	case of.ten != nil:", new: "	case of.ten != nil && false:",
		test: "TestADeployersPolicyDoesNotWidenAContractsOwnRule", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "notended", what: "a vote does not end a deployer's policy", file: "adapter/ethereum/sight/rules.go",
		old: "	case ended: ", new: "	case ended && false: ",
		test: "TestAPolicyIsAttachedToAContractThatCannotBeChanged", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "freesteps", what: "steps of a policy are not paid", file: "adapter/ethereum/sight/judge.go",
		old: "	if !p.pay(gas) || gas > p.each {", new: "	if gas == 0 {",
		test: "TestAPolicyThatCostsMuchClosesItsOwnEventsAlone", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "forwhom", what: "a policy that a contract's rule comes to sees the viewer", file: "adapter/ethereum/sight/judge.go",
		old: "	case from != nil:", new: "	case from != nil && false:",
		test: "TestAPolicyDecidesWhichContractsRulesReadIt", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "stalepolicy", what: "what is remembered outlives a change of a policy", file: "adapter/ethereum/sight/cache.go",
		old: "		at.version = s.Version()", new: "		at.version = 0 * s.Version()",
		test: "TestAPolicyDecidesWhichContractsRulesReadIt", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "keptblocks", what: "what was decided about a block without a policy is kept when one is attached", file: "adapter/ethereum/sight/grounds.go",
		old: "is.none && e.rules.deployers(addr).there {", new: "is.none && e.rules.deployers(addr).there && g == nil {",
		test: "TestADecisionIsDroppedWhenAPolicyIsAttached", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "samerole", what: "callers of one user are not told apart by their roles", file: "adapter/ethereum/sight/cache.go",
		old: "role: e.viewer.Role, in:", new: "in:",
		test: "TestRolesOfOneUserAreToldApart", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "policytold", what: "a deployer's policy is told to everybody", file: "adapter/ethereum/rpc/rules/rules.go",
		old: " || !v.All() && policies.Check(state, contract, row.Deployer, m.s.Caller(ctx)) != nil {", new: " {",
		test: "TestAPolicyIsToldToItsDeployer", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "explained", what: "everybody is told why others see a contract", file: "adapter/ethereum/rpc/rules/rules.go",
		old: "	if !v.All() {\n		if _,", new: "	if v.All() {\n		if _,",
		test: "TestAnExplanationNamesTheRuleAndItsReason", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "wideint", what: "a number of more than 64 bits is cut", file: "adapter/ethereum/policy/abi.go",
		old: "		if !v.IsInt64() {", new: "		if !v.IsInt64() && false {",
		test: "TestAPolicyDecidesByWhatIsAsked",
	},
	{
		name: "capital", what: "an address in capital letters is never found, and nobody says so", file: "adapter/ethereum/policy/policy.go",
		old: "is && err == nil && text != \"0x\"+digits {", new: "is && err == nil && text == \"\" && digits == \"\" {",
		test: "TestABadPolicyIsRefusedWithItsPlace",
	},
}
