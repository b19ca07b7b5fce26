# Targets of this repository; `make` alone lists them.
GO ?= go

.DEFAULT_GOAL := help
.PHONY: help build repro image install lint fmt test race short cover fuzz sim mutants test-faults test-kills test-years test-actors test-deploy test-web3 test-browser bench ci clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build ./coco
	$(GO) build -trimpath -o coco ./cmd/coco

repro: ## build the release binary twice, compare, and print its measurement (VERSION=, OUT=)
	@.ci/repro

image: ## build the container image of a node with podman, buildah or docker (PROGRAM=, IMAGE=coco)
	@.ci/image

install: ## install coco into GOBIN
	$(GO) install -trimpath ./cmd/coco

lint: ## vet, staticcheck, gofumpt, and the Windows and no-cgo builds
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	@files="$$($(GO) tool gofumpt -l .)"; if [ -n "$$files" ]; then echo "not formatted; run make fmt:"; echo "$$files"; exit 1; fi
	GOOS=windows GOARCH=amd64 CGO_ENABLED=0 $(GO) build -o /dev/null ./cmd/coco
	CGO_ENABLED=0 $(GO) build -o /dev/null ./cmd/coco

fmt: ## format every Go file
	$(GO) tool gofumpt -w .

# The packages whose tests take longest begin first: else they run alone at the end. Tests of processes mostly wait: more of them run at a time than there are cores.
LONGEST = ./node ./cmd/coco ./internal/sim ./gov/decide

test: ## run every Go test
	$(GO) test -timeout 30m -parallel 4 $(LONGEST) ./...

short: ## run every test but the long ones
	$(GO) test -short $(LONGEST) ./...

race: ## run the short tests under the race detector, of the packages that start goroutines
	@.ci/race

cover: ## write coverage.html
	$(GO) test -coverpkg=./... -coverprofile=coverage.out ./...
	$(GO) tool cover -html=coverage.out -o coverage.html

FUZZTIME ?= 10s
fuzz: ## run every fuzz test for FUZZTIME (10s), or those of ONLY
	@FUZZTIME=$(FUZZTIME) .ci/fuzz

SEEDS ?= 200
FIRST ?= 1
sim: ## break whole simulated networks in SEEDS (200) ways, from seed FIRST (1; 0 draws one) on
	$(GO) run ./internal/sim/cmd -seed $(FIRST) -seeds $(SEEDS)

MUTANTS ?=
mutants: ## break a copy of the code in each way of internal/sim/mutate, or in those of MUTANTS (-tests: traps of keys), and see who notices
	$(GO) run ./internal/sim/mutate $(MUTANTS)

TIMES ?= 3
test-faults: build ## break real processes, links and disks TIMES (3) times each (Linux, root)
	COCO_FAULTS="$(CURDIR)/coco" COCO_FAULTS_TIMES=$(TIMES) $(GO) test -v -count 1 -timeout 15m ./test/faults

KILLS ?= 200
test-kills: ## kill starts of a network at KILLS (200) random moments
	$(GO) test -v -count 1 -timeout 30m -run 'KilledAtAnyMoment' ./cmd/coco -kills $(KILLS)

CHANGES ?= 100000
test-years: ## run a network of CHANGES (100000) votes, a tenth as many epochs and a hundredth of restarts (15 GB, half an hour)
	GOGC=25 $(GO) test -v -count 1 -timeout 5h -run TestANetworkOfManyYears ./node -changes $(CHANGES) -epochs $$(($(CHANGES) / 10)) -rejoins $$(($(CHANGES) / 100))

ACTORS ?= 50
NODES ?= 3
test-actors: ## make a committee of ACTORS (50) members with NODES (3) nodes, share it anew, and say what that costs
	$(GO) test -v -count 1 -timeout 30m -run TestACommitteeOfManyMembers ./node -actors $(ACTORS) -actors-nodes $(NODES)

test-deploy: ## run a node by the container file and by the systemd unit that are shipped (Linux, root)
	CGO_ENABLED=0 $(GO) build -trimpath -o coco ./cmd/coco
	COCO_DEPLOY="$(CURDIR)/coco" $(GO) test -v -count 1 -timeout 10m ./test/deploy

test-web3: build ## run unmodified ethers, viem, Hardhat and Foundry against `coco up` (needs Node.js and npm)
	cd test/web3 && npm ci --no-audit --no-fund && COCO="$(CURDIR)/coco" npm test

test-browser: build ## run the page of examples/sign-in in Chromium against `coco up --closed` (needs Node.js, npm, and chromium or CHROMIUM=/path/to/it)
	cd test/web3 && npm ci --no-audit --no-fund && COCO="$(CURDIR)/coco" node run.mjs closed.browser.mjs

bench: build ## measure ERC-20 transfers, plain transfers and kv writes on three nodes
	./coco bench erc20 --nodes 3
	./coco bench transfer --nodes 3
	./coco bench kv --nodes 3

ci: ## what the build server runs
	.ci/run

clean: ## remove what builds leave behind
	rm -f coco coco.exe coverage.out coverage.html
