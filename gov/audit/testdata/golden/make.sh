#!/bin/sh
# make.sh VERSION makes the golden ledger of a version of the rules: a network of three members on this machine, with
# decisions of every kind, transactions of two protocols, a rotation of the epoch and a member that is removed.
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
gov propose remove-member charlie --as alpha --yes # 8: accepted; the epoch rotates
gov vote yes 8 --as bravo
sleep 6 # the new epoch begins
curl -sSf -X PUT --data-binary "in the second epoch" "$rpc/app/kv/b"
"$coco" down --dir net
"$coco" ledger verify net/nodes/alpha -o json
rm -rf "$out"
mkdir -p "$out"
gzip -9nc net/nodes/alpha/ledger/ledger_1 >"$out/ledger_1.gz"
cp net/service.pem "$out/service.pem"
