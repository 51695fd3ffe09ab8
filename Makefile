# `make help` lists what can be made. Everything runs without questions, and a second run does only what is new.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VERSION   := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS   := -s -w -X main.version=$(VERSION)

# Passed to `holdfast serve` by `make run`, for example: make run ARGS='--data /srv/holdfast --rows 1000000 --volume 50G'
ARGS      ?=
# Passed to `go test` by `make test`, for example: make test TESTFLAGS='-run Wake -v'
TESTFLAGS ?=
# Packages that `make test` tests, and how many of them at a time: each may run PostgreSQL servers.
PACKAGES  ?= ./...
PARALLEL  ?= 2
# PostgreSQL that the tests run against, a directory of programs: make test PG=/usr/lib/postgresql/17/bin
PG        ?=
ifneq ($(PG),)
export HOLDFAST_TEST_PG := $(PG)
endif
# How long each fuzz target runs.
FUZZTIME  ?= 1m
# Passed to a benchmark or the soak test.
BENCHARGS ?=

.PHONY: help
help: ## List what can be made
	@awk -F':.*## ' '/^[a-z%-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## Install what is missing, build, and serve with a sample project until Ctrl-C
	@scripts/install.sh run
	@$(MAKE) build
	@exec bin/holdfast serve --sample shop $(ARGS)

.PHONY: build
build: ## Build bin/holdfast, a static binary
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/holdfast ./cmd/holdfast

.PHONY: test
test: ## Install what the tests need and run them all, real PostgreSQL included
	@scripts/install.sh run test
	go test -timeout 50m -p $(PARALLEL) $(TESTFLAGS) $(PACKAGES)

.PHONY: race
race: ## Run all tests with the race detector
	@scripts/install.sh run test
	go test -race -timeout 50m -p $(PARALLEL) $(TESTFLAGS) $(PACKAGES)

.PHONY: lint
lint: ## Check format, vet, staticcheck and the arrows of the house
	@scripts/install.sh lint
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
		if [ -n "$$unformatted" ]; then echo "not formatted with gofmt:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	.tools/staticcheck ./...
	bash -n scripts/*.sh .ci/run
	go test .

.PHONY: console
console: ## Build the web console from its sources, and test it; commit what it changes in console/dist
	cd console && npm ci --no-audit --no-fund --loglevel=error
	cd console && npm run gen && npm run lint && npm test && npm run build
	go test ./console

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME each
	@scripts/fuzz.sh $(FUZZTIME)

.PHONY: soak
soak: ## Run the long test of history: moments of a busy, often killed server come back exactly (SOAK=8h)
	go test ./internal/history -run RandomMoments -soak $(or $(SOAK),1h) -timeout 0 -v

# A benchmark is a program in bench/. It compares with a peer in the same run and prints ratios.
bench-%: ## Run one benchmark: make bench-wake, bench-gateway, ...
	@[ -d bench/$* ] || { echo "there is no benchmark $*; there are: $$(ls bench 2>/dev/null | tr '\n' ' ')" >&2; exit 1; }
	@scripts/install.sh run test
	@$(MAKE) build
	go run ./bench/$* $(BENCHARGS)

# History has two: backups and restores, and copies of a running branch. BRANCHARGS='-sizes 0.2,2' goes to the second.
BRANCHARGS ?=
.PHONY: bench-history
bench-history:
	@scripts/install.sh run test
	@$(MAKE) build
	go run ./bench/history $(BENCHARGS)
	go run ./bench/branch $(BRANCHARGS)

.PHONY: clean
clean: ## Remove what was built; data directories and .tools stay
	rm -rf bin
