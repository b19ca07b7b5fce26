#!/bin/sh
# make.sh VERSION makes the golden ledger of a version of the rules: a network of three members on this machine, with
# decisions of every kind, transactions of two protocols, a rotation of the epoch and a member that is removed. From v2 on there
# are also votes on adapters' settings and on an epoch, an epoch that ends by its length, a certificate for nodes that is revoked, a
# node that is named in a vote about balance, and values with content types.
#
#	go build -o coco ./cmd/coco && gov/audit/testdata/golden/make.sh v1 && go test ./gov/audit -run Golden -update
#
# A golden ledger is made once, by the last program before a format is released, and is never made again: tests open it for
# ever.
set -eu
coco=$PWD/coco
out=$PWD/gov/audit/testdata/golden/$1
work=$(mktemp -d)
trap '"$coco" down --dir "$work/net" >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
cd "$work"
"$coco" up --dir net --detach --chain-id 20260101 -o json >up.json
rpc=$(sed -n 's/.*"rpc":\["\([^"]*\)".*/\1/p' up.json)
gov() { "$coco" gov "$@" --dir net; }

# later has what rules 2 added.
later() {
	curl -sSf -X PUT -H 'Content-Type: text/plain' --data-binary "a text" "$rpc/app/kv/text"
	curl -sSf -X PUT -H 'If-None-Match: "9.1", "9.2"' --data-binary "a list of tags" "$rpc/app/kv/tags"
	gov propose set adapters.ethereum.allow_unprotected true --as alpha --yes # 8: accepted by the policy of 6
	gov propose set adapters.ethereum.gas_limit 40000000 --as bravo --yes     # 9: so is this
	gov propose set adapters.kv.max_value_bytes 4096 --as charlie --yes       # 10: and this
	"$coco" demo --dir net >/dev/null                                         # blocks by the new settings
	gov propose rotate --as alpha --yes                                       # 11: accepted; the epoch rotates
	gov vote yes 11 --as charlie
	sleep 2
	gov propose set epochs.transactions 100 --as alpha --yes # 12: accepted; an epoch ends by its length
	for i in $(seq 1 120); do curl -sSf -X PUT --data-binary "$i" "$rpc/app/kv/many-$i"; done
	sleep 2
	"$coco" member keygen delta --under delta --for nodes --out delta-nodes >/dev/null
	gov propose remove-certificate delta delta-nodes/owner.pem --as alpha --yes # 13: accepted; a certificate is revoked
	gov vote yes 13 --as bravo
	gov propose add-node delta 127.0.0.1:9 --as alpha --yes --unbalanced "$unbalanced" # 14: accepted
	gov vote yes 14 --as charlie
	gov propose set-policy add_code "closed && votes.no == 0" --as alpha --yes # 15: withdrawn
	gov withdraw 15 --as alpha
}
unbalanced="I accept that one organisation may have half of the votes in consensus or more"

"$coco" member keygen delta >/dev/null
gov propose add-participant delta delta/org.pem --as alpha --note "joins in January" --yes # 1: accepted
gov vote yes 1 --as bravo
gov propose set limits.queue 7 --as alpha --yes # 2: rejected
gov vote no 2 --as bravo
gov vote no 2 --as charlie
gov propose set limits.batch_count 1500 --as charlie # 3: withdrawn
gov withdraw 3 --as charlie
gov propose add-code virtual:0123456789abcdef --as alpha --yes # 4: accepted
gov propose add-code virtual:0123456789abcdef --as bravo --yes # 5: fails, because of 4
gov vote yes 4 --as bravo
gov vote yes 5 --as alpha
gov propose set-policy set "votes.yes >= 1" --as alpha --yes # 6: accepted, a policy
gov vote yes 6 --as charlie
gov propose set limits.queue 9000 --as bravo --yes # 7: accepted by that policy
curl -sSf -X PUT --data-binary "the first value" "$rpc/app/kv/a"
curl -sSf -X PUT --data-binary "the second value" "$rpc/app/kv/a"
curl -sSf -X DELETE "$rpc/app/kv/a"
"$coco" demo --dir net >/dev/null                    # a token and its transfers
if [ "$1" != v1 ]; then later; fi
last=8
[ "$1" = v1 ] || last=16
gov propose remove-member charlie --as alpha --yes # $last: accepted; the epoch rotates
gov vote yes $last --as bravo
sleep 6 # the new epoch begins
curl -sSf -X PUT --data-binary "in the second epoch" "$rpc/app/kv/b"
"$coco" down --dir net
"$coco" ledger verify net/nodes/alpha -o json
rm -rf "$out"
mkdir -p "$out"
gzip -9nc net/nodes/alpha/ledger/ledger_1 >"$out/ledger_1.gz"
cp net/service.pem "$out/service.pem"
