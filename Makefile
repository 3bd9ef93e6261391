# Everything here is also what .ci/run does. `make help` lists it; `make check` is green at every commit.
SHELL := /bin/bash

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
# Built from source in under a minute on two cores, then cached by Go.
LINT    := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
ROUNDS  ?= 20
ATTACK  ?= 4
DURATION ?= 1m
WAITING ?= 500000
BULK    ?= 120000
SEEDS   ?= 1000
FUZZTIME ?= 5s
FUZZ    ?= ./...
INTEROP ?= .
BENCH   ?=

# A place in memory for temporary files, where there is one with room from which programs may be run: tests sync a lot.
MEMORY  = $(shell m=/dev/shm; d=$$(mktemp -d -p $$m 2>/dev/null) && [ "$$(df -Pk $$d | awk 'NR == 2 {print $$4}')" -gt 4000000 ] && \
  install -m 755 /bin/true $$d/ && $$d/true 2>/dev/null && echo $$m; rm -rf "$$d")

.PHONY: help
help: ## list what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | sort | while IFS=$$'\t' read -r a b; do printf '  %-10s %s\n' "$$a" "$$b"; done

.PHONY: build
build: ## the released binary: static, stripped, with its version
	CGO_ENABLED=0 go build -trimpath -ldflags='$(LDFLAGS)' -o dinkymail .

.PHONY: check
check: fmt vet lint test ## what every commit must pass

.PHONY: fmt
fmt: ## fail when a file is not as gofmt writes it
	@files=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); if [ -n "$$files" ]; then echo "not gofmt: $$files"; exit 1; fi

.PHONY: vet
vet: ## go vet, the tagged suites included
	go vet ./...
	go vet -tags interop,crash ./internal/...

.PHONY: lint
lint: ## golangci-lint as .golangci.yml says; shellcheck of the scripts where it is installed
	$(LINT) run ./...
	@if command -v shellcheck >/dev/null; then shellcheck -x scripts/*.sh scripts/dinkymail .ci/run .ci/install; \
	  else echo "shellcheck is not installed: scripts not checked"; fi

.PHONY: test
test: ## all tests that need nothing but Go, with their files in memory where there is such a place
	@m="$(MEMORY)"; export TMPDIR="$${m:-$${TMPDIR:-/tmp}}"; set -x; go test ./...

.PHONY: race
race: ## the same under the race detector
	go test -race ./...

.PHONY: fuzz
fuzz: ## the fuzz targets of FUZZ (./...), each for FUZZTIME (5s)
	scripts/fuzz.sh $(FUZZTIME) $(FUZZ)

.PHONY: interop
interop: ## real programs around it: mail clients and servers, Chromium, cron, PHP, check_mailq, shells, Prometheus
	go test -tags interop -count=1 -timeout 20m -v -run '$(INTEROP)' ./internal/interop

.PHONY: power
power: ## power loss at any moment, in SEEDS (1000) stores with some dozens of outages each
	cd queue/boltstore && POWER_SEEDS=$(SEEDS) go test -count=1 -timeout 6h -run TestPowerLoss

.PHONY: crash
crash: ## kill -9 under load, ROUNDS (20) times, and a disk that is full, torn or read-only: no acknowledged message may be lost
	ROUNDS=$(ROUNDS) go test -tags crash -count=1 -timeout 60m -v ./internal/crash

.PHONY: hostile
hostile: ## hostile clients on every door, ATTACK (4) seconds each, while others send
	ATTACK=$(ATTACK) go test -tags crash -count=1 -timeout 20m -run TestHostile -v ./internal/survival

.PHONY: soak
soak: ## DURATION (1m; a night: 30m) of load and faults; memory, goroutines and descriptors stay flat
	DURATION=$(DURATION) go test -tags crash -count=1 -timeout 3h -run TestSoak -v ./internal/survival

.PHONY: fair
fair: ## what a mailing of BULK (120000) messages leaves of the lane to a contact form and to others
	BULK=$(BULK) go test -tags crash -count=1 -timeout 60m -run TestFair -v ./internal/survival

.PHONY: scale
scale: ## rate, memory, start time, pages and a purge with WAITING (500000) messages in the queue
	WAITING=$(WAITING) go test -tags crash -count=1 -timeout 60m -run TestScale -v ./internal/survival

# What takes longer than a commit may wait, about six hours. A step that fails does not keep the others from being made.
NIGHT := "scale WAITING=1000000" "soak DURATION=30m" "crash ROUNDS=100" "power SEEDS=5000" "fair" "hostile ATTACK=10" "fuzz FUZZTIME=10m"

.PHONY: nightly
nightly: ## the long form of every suite: a million waiting, 30 min of soak, 100 kills, 5000 power losses, 10 min a fuzz target
	@failed=; for step in $(NIGHT); do echo "===== make $$step"; $(MAKE) --no-print-directory $$step || failed="$$failed, $$step"; done; \
	  if [ -n "$$failed" ]; then echo "failed: $${failed#, }"; exit 1; fi; echo "all passed"

.PHONY: bench
bench: ## Dinkymail against a tuned Postfix; BENCH=-short for a trial
	BENCH_COMMAND='make bench' scripts/bench.sh $(BENCH)

.PHONY: image
image: ## the container image from the Dockerfile's final stage, with buildah, without a registry; tried with podman
	scripts/image-test.sh
	scripts/image.sh
