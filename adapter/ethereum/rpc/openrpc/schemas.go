package openrpc

// scalars are types by their JSON Schemas.
var scalars = map[string]string{
	"Address":  `{"type":"string","pattern":"^0x[0-9a-fA-F]{40}$"}`,
	"Hash":     `{"type":"string","pattern":"^0x[0-9a-fA-F]{64}$"}`,
	"Bytes":    `{"type":"string","pattern":"^0x([0-9a-fA-F]{2})*$"}`,
	"Bytes8":   `{"type":"string","pattern":"^0x[0-9a-f]{16}$"}`,
	"Bloom":    `{"type":"string","pattern":"^0x[0-9a-f]{512}$"}`,
	"Quantity": `{"type":"string","pattern":"^0x(0|[1-9a-fA-F][0-9a-fA-F]*)$"}`,
	"Hex":      `{"description":"hexadecimal digits; leading zeros may be there or missing","type":"string","pattern":"^(0[xX])?[0-9a-fA-F]*$"}`,
	"Decimal":  `{"type":"string","pattern":"^[0-9]+$"}`,
	"Tag":      `{"type":"string","enum":["earliest","finalized","safe","latest","pending"]}`,
	"Digest":   `{"type":"string","pattern":"^[0-9a-f]{64}$"}`,
	"Selector": `{"type":"string","pattern":"^0x[0-9a-f]{8}-[0-9]+$"}`,
	"TxID":     `{"description":"the id of a transaction of the ledger: view and seqno","type":"string","pattern":"^[0-9]+\\.[0-9]+$"}`,
	"String":   `{"type":"string"}`,
	"Number":   `{"type":"number"}`,
	"Integer":  `{"type":"integer"}`,
	"Boolean":  `{"type":"boolean"}`,
	"False":    `{"const":false}`,
	"Null":     `{"type":"null"}`,
	"Same":     `{"const":"="}`,
	"Any":      `{}`,
	"Object":   `{"type":"object"}`,
	"Topic":    `{"description":"32 bytes, or a list of those that match, or null for any","anyOf":[{"type":"null"},{"type":"string","pattern":"^0x[0-9a-fA-F]{64}$"},{"type":"array","items":{"anyOf":[{"type":"null"},{"type":"string","pattern":"^0x[0-9a-fA-F]{64}$"}]}}]}`,
	"Kind":     `{"type":"string","enum":["trace","vmTrace","stateDiff"]}`,
	"News":     `{"type":"string","enum":["newHeads","logs","newPendingTransactions","syncing"]}`,
	"Question": `{"type":"string","enum":["call","state","code","event","receipt"]}`,
	"Empty":    `{"type":"array","maxItems":0}`,
}

// unions are types by the notation for types.
var unions = map[string]string{
	"BlockNumber":    "Quantity|Tag",
	"Block":          "Quantity|Tag|Hash|BlockByHash|BlockByNumber", // EIP-1898
	"Syncing":        "False|Progress",
	"FilterChanges":  "Hash[]|Log[]",
	"CallTrace":      "StepTrace|CallFrame|FlatCall[]|Prestate|PrestateDiff|map<Integer>|Nothing",
	"Diff":           "Same|Changed|Added|Removed",
	"SlotDiff":       "Changed|Added",
	"Asked":          "Any[]", // of two: a message, and the types of trace
	"StateOverrides": "map<StateOverride>",
	"Prestate":       "map<PrestateAccount>",
}

// header is what a block and a header have in common, by the notation for members.
const header = "number Quantity, hash Hash, parentHash Hash, nonce Bytes8, mixHash Hash, sha3Uncles Hash, logsBloom Bloom, stateRoot Hash, miner Address, " +
	"difficulty Quantity, extraData Bytes, gasLimit Quantity, gasUsed Quantity, timestamp Quantity, transactionsRoot Hash, receiptsRoot Hash, baseFeePerGas? Quantity, " +
	"withdrawalsRoot? Hash, blobGasUsed? Quantity, excessBlobGas? Quantity, parentBeaconBlockRoot? Hash, requestsHash? Hash"

// objects are types by the notation for members.
var objects = map[string]string{
	"BlockByHash":   "blockHash Hash, requireCanonical? Boolean",
	"BlockByNumber": "blockNumber BlockNumber",

	"Header":         header,
	"FullBlock":      header + ", size Quantity, transactions Hash[]|Transaction[], uncles Empty, withdrawals? Withdrawal[], hiddenTransactions? Quantity",
	"SimulatedBlock": header + ", size Quantity, transactions Hash[]|Transaction[], uncles Empty, withdrawals? Withdrawal[], calls SimulatedCall[]",
	"Withdrawal":     "index Quantity, validatorIndex Quantity, address Address, amount Quantity",
	"SimulatedCall":  "returnData Bytes, logs Log[], gasUsed Quantity, maxUsedGas Quantity, status Quantity, error? CallError",
	"CallError":      "message String, code Integer, data? String",

	"Transaction": "blockHash Hash?, blockNumber Quantity?, blockTimestamp Quantity?, transactionIndex Quantity?, hash Hash, from Address, gas Quantity, gasPrice Quantity, " +
		"maxFeePerGas? Quantity, maxPriorityFeePerGas? Quantity, maxFeePerBlobGas? Quantity, input Bytes, nonce Quantity, to Address?, value Quantity, type Quantity, " +
		"accessList? AccessEntry[], chainId? Quantity, blobVersionedHashes? Hash[], authorizationList? Authorization[], v Quantity, r Quantity, s Quantity, yParity? Quantity",
	"AccessEntry":   "address Address, storageKeys Hash[]",
	"Authorization": "chainId Quantity, address Address, nonce Quantity, yParity Quantity, r Quantity, s Quantity",
	"Receipt": "blockHash Hash, blockNumber Quantity, contractAddress Address?, cumulativeGasUsed Quantity, effectiveGasPrice Quantity, from Address, gasUsed Quantity, " +
		"blobGasUsed? Quantity, blobGasPrice? Quantity, logs Log[], logsBloom Bloom, root? Hash, status? Quantity, to Address?, transactionHash Hash, transactionIndex Quantity, type Quantity",
	"Log": "address Address, topics Hash[], data Bytes, blockNumber Quantity, transactionHash Hash, transactionIndex Quantity, blockHash Hash, blockTimestamp Quantity, logIndex Quantity, removed Boolean",

	"Message": "from? Address?, to? Address?, gas? Quantity?, gasPrice? Quantity?, maxFeePerGas? Quantity?, maxPriorityFeePerGas? Quantity?, value? Quantity?, nonce? Quantity?, data? Bytes?, input? Bytes?, " +
		"accessList? AccessEntry[]?, chainId? Quantity?, type? Quantity?, maxFeePerBlobGas? Quantity?, blobVersionedHashes? Hash[]?, authorizationList? Authorization[]?",
	"StateOverride": "nonce? Quantity, code? Bytes, balance? Quantity, state? map<Hash>, stateDiff? map<Hash>, movePrecompileToAddress? Address",
	"BlockOverride": "number? Quantity, difficulty? Quantity, time? Quantity, gasLimit? Quantity, feeRecipient? Address, prevRandao? Hash, baseFeePerGas? Quantity, blobBaseFee? Quantity, beaconRoot? Hash, withdrawals? Withdrawal[]",
	"LogQuery":      "blockHash? Hash?, fromBlock? BlockNumber?, toBlock? BlockNumber?, address? Address|Address[]|Null, topics? Topic[]?",

	"Progress":       "startingBlock Quantity, currentBlock Quantity, highestBlock Quantity",
	"FeeHistory":     "oldestBlock Quantity, reward? Quantity[][], baseFeePerGas? Quantity[], gasUsedRatio Number[], baseFeePerBlobGas? Quantity[], blobGasUsedRatio? Number[]",
	"Schedule":       "current Rules?, next Rules?, last Rules?",
	"Rules":          "activationTime Integer, blobSchedule BlobSchedule?, chainId Quantity, forkId Bytes, precompiles map<Address>, systemContracts map<Address>",
	"BlobSchedule":   "target Integer, max Integer, baseFeeUpdateFraction Integer",
	"Capabilities":   "head BlockName, state Resource, tx Resource, logs Resource, receipts Resource, blocks Resource, stateproofs Resource",
	"BlockName":      "number Quantity, hash Hash",
	"Resource":       "disabled Boolean, oldestBlock Quantity, deleteStrategy? Window",
	"Window":         "type String, retentionBlocks Quantity",
	"Proof":          "address Address, accountProof Bytes[], balance Quantity, codeHash Hash, nonce Quantity, storageHash Hash, storageProof SlotProof[]",
	"SlotProof":      "key Hex, value Quantity, proof Bytes[]",
	"AccessList":     "accessList AccessEntry[], error? String, gasUsed Quantity",
	"Filled":         "raw Bytes, tx Transaction",
	"Simulation":     "blockStateCalls SimulatedInput[], traceTransfers? Boolean, validation? Boolean, returnFullTransactions? Boolean",
	"SimulatedInput": "blockOverrides? BlockOverride, stateOverrides? StateOverrides, calls? Message[]",

	"TraceConfig":     "tracer? String, tracerConfig? Object, timeout? String, reexec? Integer, enableMemory? Boolean, disableStack? Boolean, disableStorage? Boolean, enableReturnData? Boolean, limit? Integer, overrides? Object",
	"CallConfig":      "tracer? String, tracerConfig? Object, timeout? String, reexec? Integer, enableMemory? Boolean, disableStack? Boolean, disableStorage? Boolean, enableReturnData? Boolean, limit? Integer, overrides? Object, stateOverrides? StateOverrides, blockOverrides? BlockOverride, txIndex? Quantity",
	"TracedTx":        "txHash Hash, result CallTrace",
	"StepTrace":       "gas Integer, failed Boolean, returnValue Bytes, structLogs Step[]",
	"Step":            "pc Integer, op String, gas Integer, gasCost Integer, depth Integer, error? String, stack? Quantity[], returnData? Bytes, memory? String[], storage? map<String>, refund? Integer",
	"CallFrame":       "type String, from Address, gas Quantity, gasUsed Quantity, to? Address, input Bytes, output? Bytes, error? String, revertReason? String, value? Quantity, calls? CallFrame[], logs? FrameLog[]",
	"FrameLog":        "address Address, topics Hash[]?, data Bytes, position Quantity, index Quantity",
	"Prestate":        "",
	"PrestateDiff":    "post map<PrestateAccount>, pre map<PrestateAccount>",
	"PrestateAccount": "balance? Quantity, nonce? Integer, code? Bytes, codeHash? Hash, storage? map<Hash>",
	"Nothing":         "",
	"StorageRange":    "storage map<RangeSlot>, nextKey Hash?",
	"RangeSlot":       "key Hash?, value Hash",
	"Dump":            "root Digest, accounts map<DumpAccount>, next? Bytes",
	"DumpAccount":     "balance Decimal, nonce Integer, root Hash, codeHash Hash, code? Bytes, storage? map<Hex>, address Address, key Hash",

	"FlatCall":    "action FlatAction, blockHash? Hash?, blockNumber? Integer, error? String, result? FlatResult?, subtraces Integer, traceAddress Integer[], transactionHash? Hash?, transactionPosition? Integer, type String",
	"FlatAction":  "author? Address, rewardType? String, address? Address, balance? Quantity, callType? String, creationMethod? String, from? Address, gas? Quantity, init? Bytes, input? Bytes, refundAddress? Address, to? Address, value? Quantity",
	"FlatResult":  "address? Address, code? Bytes, gasUsed? Quantity, output? Bytes",
	"TraceFilter": "fromBlock? BlockNumber, toBlock? BlockNumber, fromAddress? Address[], toAddress? Address[], after? Integer, count? Integer",
	"Replay":      "output Bytes, stateDiff map<AccountDiff>?, trace FlatCall[], transactionHash? Hash, vmTrace Execution?",
	"AccountDiff": "balance Diff, code Diff, nonce Diff, storage map<SlotDiff>",
	"Changed":     "* FromTo",
	"FromTo":      "from Bytes|Quantity, to Bytes|Quantity",
	"Added":       "+ Bytes|Quantity",
	"Removed":     "- Bytes|Quantity",
	"Execution":   "code Bytes, ops Operation[]",
	"Operation":   "cost Integer, ex Effect?, pc Integer, sub Execution?, op String",
	"Effect":      "mem MemoryWrite?, push Quantity[], store SlotWrite?, used Integer",
	"MemoryWrite": "data Bytes, off Integer",
	"SlotWrite":   "key Quantity, val Quantity",

	"PoolStatus":  "pending Quantity, queued Quantity",
	"Pool":        "pending map<map<Transaction>>, queued map<map<Transaction>>",
	"PoolOf":      "pending map<Transaction>, queued map<Transaction>",
	"PoolInspect": "pending map<map<String>>, queued map<map<String>>",

	"OtsCall":         "type String, depth Integer, from Address, to Address?, value Quantity?, input Bytes, output Bytes?",
	"OtsOperation":    "type Integer, from Address, to Address, value Quantity",
	"OtsDetails":      "block Object, issuance OtsIssuance, totalFees Quantity",
	"OtsIssuance":     "blockReward Quantity, uncleReward Quantity, issuance Quantity",
	"OtsTransactions": "fullblock Object, receipts Object[]",
	"OtsPage":         "txs Transaction[], receipts Object[], firstPage Boolean, lastPage Boolean",
	"OtsCreator":      "hash Hash, creator Address",

	"TypedData":   "domain Object, types Object, primaryType String, message Object",
	"Linked":      "address Address, user String, since Quantity",
	"SentBy":      "organisation Digest, user String, credential? String",
	"SentCall":    "hash? Hash, error? Any",
	"Session":     "id Digest, user String, address Address, name String, origin String, scope Any, began Quantity, until Quantity",
	"PolicyText":  "policy String, abi? Any",
	"Deployer":    "address? Address, nonce? Quantity",
	"Policy":      "contract Address, by String, policy String, abi? Any, deployer? Address, user? String, since? Quantity",
	"Supposed":    "actor? Digest, name? String, role? String, user? String, addresses? Address[]",
	"AccessQuery": "contract Address, question Question, as? Supposed, input? Bytes, topics? Hash[], data? Bytes, from? Address, visible? Boolean, deployer? Deployer",
	"Explanation": "admitted Boolean, rule String, why? String",
}
