# The front door. What is built stands in CMakeLists.txt, what is checked in scripts/tally.py.
PRESET ?= release
JOBS   ?= $(shell nproc)
PREFIX ?= /usr/local
DATA   ?= build/data
AMQP   ?= 0.0.0.0:5672
HTTP   ?= 0.0.0.0:15672
SECONDS ?= 300
KILLS  ?= 5000
IMAGES ?= 100000
MUTATIONS ?= 10000

setup = scripts/setup.sh
tally = scripts/tally.py

build: ## build/release/leveretd and build/release/leveret (PRESET=debug for another)
	@$(setup) build
	@test -f build/$(PRESET)/build.ninja || cmake --preset $(PRESET)
	@cmake --build build/$(PRESET) -j $(JOBS)

run: build ## install what is missing, build, start a broker on port 5672 (AMQP=, HTTP=, DATA=, ARGS=)
	@mkdir -p -m 700 $(DATA)
	@exec build/$(PRESET)/leveretd --data-dir $(DATA) --amqp-listen $(AMQP) --http-listen $(HTTP) $(ARGS)

check: ## every test that needs no compiler but C's: unit, property, fault, fuzz, wire, clients, RabbitMQ side by side
	@$(setup) build test
	@$(tally) check

interop: ## clients of every language; a missing toolchain is a visible skip
	@$(setup) build test
	@$(tally) interop

lint: ## layers, bans, format, clang-tidy, generated files
	@$(setup) build lint
	@$(tally) lint

fmt: ## rewrite the sources in the house format
	@tools/lint/format.sh --fix

gen: ## renew generated files
	@scripts/gen.sh

asan tsan: ## the tests under address and undefined-behaviour, or thread sanitizer
	@$(setup) build test
	@$(tally) $@

asan-server tsan-server: ## a broker with its HTTP API under a sanitizer, and the tests that watch neither time nor memory
	@$(setup) build test
	@$(tally) $@

fuzz: ## every fuzz target for SECONDS (300); inputs that reach new code are kept
	@$(setup) build test
	@$(tally) --fuzz-seconds $(SECONDS) fuzz
	@scripts/keep-corpus.sh

crash: ## kill the broker under load KILLS (5000) times, and judge what its clients saw
	@$(setup) build test
	@LV_CRASH_ITERATIONS=$(KILLS) $(tally) crash

powercut: build ## power cuts of the store: IMAGES (100000) of its disk, each opened and compared with what clients know
	@cmake --build build/$(PRESET) -j $(JOBS) --target fault_store_power
	@LV_POWERCUT_IMAGES=$(IMAGES) build/$(PRESET)/test/fault_store_power

corrupt: build ## damage to the store's files: MUTATIONS (10000), one at a time, each held against what its bytes were
	@cmake --build build/$(PRESET) -j $(JOBS) --target fault_store_corrupt
	@LV_CORRUPT_MUTATIONS=$(MUTATIONS) build/$(PRESET)/test/fault_store_corrupt

faults: build ## the n-th call of the disk and the n-th allocation fails, for every n of three scripts (minutes)
	@cmake --build build/$(PRESET) -j $(JOBS) --target fault_store_fault
	@LV_FAULTS=all build/$(PRESET)/test/fault_store_fault

mutants: ## a test of the store's tests: each sync and each check of a checksum left out once, a test must fail (an hour)
	@$(setup) build test
	@test/mutants/mutants.py

cover: ## lines reached by the tests: build/coverage/report/index.html
	@$(setup) build test cover
	@$(tally) cover

bench: build ## measure throughput and latency (docs/performance.md)
	@cmake --build build/$(PRESET) -j $(JOBS) --target relay lv-floor
	@test/bench/run.sh

install: build ## into PREFIX (/usr/local), below DESTDIR if set
	@cmake --install build/$(PRESET) --prefix $(PREFIX)

clean: ## remove everything that was built or downloaded
	@rm -rf build

help: ## this list
	@sed -n 's/^\([a-z -]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 26

.PHONY: build run check interop lint fmt gen asan tsan asan-server tsan-server fuzz crash powercut corrupt faults mutants cover bench install clean help
