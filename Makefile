# make run      build and start the broker on port 4730
# make test     install what the tests need, then run all of them
# make build    build bin/gearloop, one file that needs no other (BIN=FILE builds another one)
# make install  install it below PREFIX (/usr/local); DESTDIR=DIR puts DIR before that, for packages
# make install-gearmand  the same, with a link that has the name of the C server (docs/gearmand.md)
# make deb      build the packages of Debian, gearloop and gearloop-gearmand, in DEB (bin/deb)
# make image    build the container image gearloop with ENGINE (podman; docker does as well)
# make lint     go vet, golangci-lint, gofmt (which make test has, too), builds and go vet for other systems
# make test-raced  real clients and browsers, and the other servers, beside a server with the race detector: for a release
# make fuzz     fuzz the codec, the scheduler, a whole connection and the HTTP guard, FUZZTIME each
# make crash    kill a server CYCLES times under load and see that it keeps its promise; the store alone, too
# make cluster-test  brokers that share a database, with everything that can fail failing often (some 25 minutes;
#               SEEDS=1000 for fewer runs of the simulation)
# make bench    measure beside the other servers; writes the figures of BENCHMARKS.md
#               (ROUNDS=1 SECONDS=0.3 for a first look; SCENARIOS=deep,echo for some, which writes nothing)
# make bench-check  what has become slower since the results in docs/bench: exit status 1, a line for each scenario
# make bench-growth  CPU per job over functions, connections, sleepers, queued jobs and listeners; draws into docs/bench
# make bench-durable  durable jobs beside other servers
# make bench-shared  two brokers that share a database, beside the database alone; writes into BENCHMARKS.md
# make bench-peers  the same jobs through what people would take instead: beanstalkd, Redis, NATS, RabbitMQ (which
#               scripts/peers-deps.sh installs); writes into BENCHMARKS.md. PEERS=gearloop,redis measures some, which writes nothing
# make bench-parts  Go benchmarks of the parts alone
# make cluster  PostgreSQL with two standbys and two brokers that share it, on this machine, until Ctrl-C
# make profile  profiles of a server under load: where time goes, what is waited for, what the heap holds
#               (SCENARIO=deep PROFILE_SECONDS=5 ARGS='--loops 2'; the files go to profiles/)
# make pgo      record the CPU profile by which "make build" guides the compiler, cmd/gearloop/gearloop.pgo; on a
#               quiet machine

GO       ?= go
BIN      ?= bin/gearloop
PREFIX   ?= /usr/local
DESTDIR  ?=
DEB      ?= bin/deb
ENGINE   ?= podman
FUZZTIME ?= 10m
MINIMIZE ?= 60s
CYCLES   ?= 1000
SEEDS    ?= 20000
ARGS     ?=
ROUNDS   ?= 3
SECONDS  ?= 1
SCENARIO ?= deep
# How many packages with the race detector are tested at a time: one more than processors, as some of them mostly wait.
PACKAGES ?= $(shell expr $$(nproc 2>/dev/null || echo 2) + 1)
PROFILE_SECONDS ?= 5

# Every fuzz target, as package:name.
FUZZ = codec:FuzzNext codec:FuzzCommand sched:FuzzHandle reactor:FuzzConnection httpgate:FuzzGuard httpgate:FuzzPage internal/acl:FuzzParse internal/proxyproto:FuzzParse store/transfer:FuzzRead

# Packages that are tested with the race detector: those that share memory. The others drive a server from outside; the one that
# RACED drives is built with the detector (GEARLOOP_TEST_RACE) only in make test-raced, as make test would take too long. All
# tests, and the server that they drive, are built with the tag "invariants": the program checks itself while it runs
# (internal/invariants).
# Those that take longest come first.
INSIDE  = ./store/... ./sched/... ./reactor/... ./admin/... ./api/... ./codec/... ./internal/... ./httpgate/... ./web/... ./cmd/...
# Packages with tests of which the race detector sees a sample (test/sample): those run a second time, whole, without it.
SAMPLED = $(shell grep -rl --include='*_test.go' '"gearloop/test/sample"' . | xargs -n 1 dirname | sort -u)
RACED   = ./test/peers/... ./test/difftest/... ./test/browser/... ./test/clienttest/...
OUTSIDE = ./test/systest/... ./packaging/... $(RACED) ./test/clustertest/... ./test/papers/... ./bench/... ./examples/... ./test/cluster/...

# The program is linked statically, without the C library, and knows its commit but not where it was built.
REVISION = $(shell git describe --always --dirty --exclude '*' --abbrev=12 2>/dev/null)
TRIM    ?= -trimpath
# A CPU profile that "make pgo" recorded guides the compiler; PGO=off builds without it. It is not called default.pgo,
# which every go command uses: go vet, go test and builds for other systems would compile all packages once more.
PGO     ?= cmd/gearloop/gearloop.pgo
BUILD    = CGO_ENABLED=0 $(GO) build $(TRIM) -pgo=$(PGO) -ldflags '-X main.revision=$(REVISION)$(STRIP)'

# golangci-lint has staticcheck, and the rules of .golangci.yml. Its modules are apart, so that the program's stay few.
LINT = $(GO) tool -modfile=tools/go.mod golangci-lint

# Systems that the program is built for in lint, beside the one that this runs on.
OTHERS = linux/arm64 darwin/arm64 freebsd/amd64

.PHONY: build install install-gearmand run test test-deps test-inside test-outside lint fuzz bench bench-durable bench-parts profile clean

build:
	$(BUILD) -o $(BIN) ./cmd/gearloop

# Does not build when there is a program: root, who installs it, may have no Go.
install:
	test -x $(BIN) || $(MAKE) build
	install -d '$(DESTDIR)$(PREFIX)/bin'
	install -m 0755 $(BIN) '$(DESTDIR)$(PREFIX)/bin/gearloop'
	@$(BIN) version

install-gearmand: install
	install -d '$(DESTDIR)$(PREFIX)/sbin'
	ln -sf ../bin/gearloop '$(DESTDIR)$(PREFIX)/sbin/gearmand'

.PHONY: deb
# Without debug information, which traces of a panic do not need.
deb:
	$(MAKE) --no-print-directory build BIN=$(DEB)/gearloop STRIP=' -s -w'
	GO='$(GO)' scripts/deb.sh $(DEB) $(DEB)/gearloop

.PHONY: image image-files
image: image-files
	$(ENGINE) build -t gearloop -f Containerfile bin/image

# What Containerfile copies.
image-files:
	rm -rf bin/image
	mkdir -p bin/image/jobs bin/image/run
	$(MAKE) --no-print-directory build BIN=bin/image/gearloop STRIP=' -s -w'

run: build
	$(BIN) serve $(ARGS)

.PHONY: cluster
# One program, not go run: Ctrl-C has to reach only what ends all others.
cluster: build
	$(GO) build -o bin/cluster ./test/cluster
	@bin/cluster -program $(BIN)

# The race detector clears its shadow of large allocations by mapping new pages, each of which costs a page fault. With this
# threshold it writes zeros instead, which takes a third of the time.
export GORACE ?= clear_shadow_mmap_threshold=268435456

test: test-deps check test-inside test-outside fuzz-short

test-deps:
	scripts/test-deps.sh

test-inside:
	$(GO) test -race -tags invariants -timeout 20m -p $(PACKAGES) $(INSIDE)
	sampled=$$(scripts/sampled.sh $(SAMPLED)) && $(GO) test -tags invariants -timeout 20m -p $(PACKAGES) -run "$$sampled" $(SAMPLED)

test-outside:
	$(GO) test -tags invariants -timeout 20m $(OUTSIDE)
	cd bench/peers && $(GO) vet . && $(GO) test .

.PHONY: test-raced
test-raced: test-deps
	GEARLOOP_TEST_RACE=1 $(GO) test -tags invariants -timeout 20m $(RACED)

.PHONY: fuzz-short
# By number, not by time: a fuzzer that is stopped by the clock now and then reports that as a failure. And with little
# minimizing: that of one large input of the HTTP gateway took a minute, as each run of it takes half a second.
fuzz-short:
	@$(MAKE) --no-print-directory fuzz FUZZTIME=2000x MINIMIZE=20x

fuzz:
	@set -e; for f in $(FUZZ); do \
		echo "fuzzing $$f for $(FUZZTIME)"; \
		$(GO) test -tags invariants -run '^$$' -fuzz "^$${f#*:}$$" -fuzztime $(FUZZTIME) \
			-fuzzminimizetime $(MINIMIZE) ./$${f%:*}; \
	done

.PHONY: crash
crash:
	GEARLOOP_CRASH=$(CYCLES) $(GO) test -tags invariants -count=1 -timeout 60m -v -run 'TestCrash' ./test/systest
	GEARLOOP_CRASH=$(CYCLES) $(GO) test -tags invariants -count=1 -timeout 60m ./store/...

.PHONY: cluster-test
cluster-test: test-deps
	GEARLOOP_CLUSTER=long $(GO) test -tags invariants -count=1 -timeout 60m -v ./test/clustertest
	GEARLOOP_ADOPT=1000000 $(GO) test -tags invariants -count=1 -timeout 10m -v -run TestAdoptsMany ./test/systest
	GEARLOOP_CLUSTER=long $(GO) test -tags invariants -count=1 -timeout 60m ./store/postgres
	GEARLOOP_CLUSTER_SEEDS=$(SEEDS) $(GO) test -count=1 -timeout 60m -v -run '^TestCluster(Simulation|Rules)$$' ./sched

.PHONY: check cross
lint: check cross

check:
	@test -z "$$(gofmt -l . | tee /dev/stderr)" || { echo "run gofmt -w on these files" >&2; exit 1; }
	$(GO) vet ./...
	$(LINT) run --allow-parallel-runners ./...

cross:
	@set -e; for system in $(OTHERS); do \
		echo "building and vetting for $$system"; \
		export CGO_ENABLED=0 GOOS=$${system%/*} GOARCH=$${system#*/}; \
		$(GO) build -o /dev/null ./cmd/gearloop; \
		$(GO) vet ./...; \
	done

bench:
	$(GO) run ./bench/compare -rounds $(ROUNDS) -seconds $(SECONDS) -limit 10m $(if $(SCENARIOS),-scenarios $(SCENARIOS),-write) \
		$(if $(SERVERS),-servers '$(SERVERS)')

# For a person before a release, on a quiet machine.
.PHONY: bench-check
bench-check:
	$(GO) build -o bin/bench-compare ./bench/compare
	bin/bench-compare -check docs/bench/results.json -rounds 5 -seconds 0.5 \
		-servers floor,gearloop-1,gearloop $(if $(SCENARIOS),-scenarios $(SCENARIOS))

.PHONY: bench-growth
bench-growth:
	$(GO) run ./bench/compare -scenarios names,connections,sleeping,queued,queuedmemory,listeners -servers gearloop,c \
		-rounds $(ROUNDS) -plots docs/bench

bench-durable:
	$(GO) run ./bench/durable

.PHONY: bench-shared
# Built, not run by go run: Ctrl-C has to reach it alone, because it ends the servers. With ROUNDS=1, a first look, it
# writes nothing.
bench-shared:
	$(GO) build -o bin/bench-shared ./bench/shared
	bin/bench-shared -rounds $(ROUNDS) $(if $(filter file,$(origin ROUNDS)),-write)

.PHONY: bench-peers
# Built, not run by go run, as bench-shared is. A module of its own has the other servers' clients.
bench-peers: build
	cd bench/peers && $(GO) build -o ../../bin/bench-peers . && $(GO) build -o ../../bin/nats-server github.com/nats-io/nats-server/v2
	bin/bench-peers -program $(BIN) -rounds $(ROUNDS) $(ARGS) $(if $(PEERS),-peers $(PEERS),$(if $(filter file,$(origin ROUNDS)),-write))

bench-parts:
	$(GO) test -run '^$$' -bench 'Codec|Sched|Payload|Gather' -benchmem -timeout 30m ./bench

profile:
	$(GO) run ./bench/profile -scenario $(SCENARIO) -seconds $(PROFILE_SECONDS) -- $(ARGS)

.PHONY: pgo
pgo:
	$(GO) run ./bench/profile -guide cmd/gearloop/gearloop.pgo -seconds $(PROFILE_SECONDS) -- --loops 1

clean:
	rm -rf bin profiles
