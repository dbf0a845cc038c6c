# teal: two commands do everything on a fresh machine: make demo, make test.
SHELL       := /bin/bash
GO          ?= go
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS     := -s -w -X main.version=$(VERSION)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
PKGS        := ./...
UNIT        := ./cmd/... ./internal/... ./test/lint/... ./test/attacks/... ./test/bench-proxy
RACE        := ./internal/rollout ./internal/sim ./internal/proxy/... ./internal/health ./internal/fleet ./internal/api ./cmd/agent

.PHONY: systemd compose compose-record build test unit race e2e sim attacks check fmt vet lint reference demo bench-swap bench-trust bench-inputs bench-proxy peers flow fuzz fuzz-long deps clean engine tmux

build: ## the binaries, static, into bin/
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/teal-agent ./cmd/agent
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/teal-proxy ./cmd/proxy
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/tealctl ./cmd/ctl

engine: ## a container engine that answers: installed and started when root on Debian or Ubuntu
	@test/engine.sh

tmux: ## the terminal that tests of tealctl use: installed when root on Debian or Ubuntu
	@command -v tmux >/dev/null || { [ "$$(id -u)" = 0 ] && timeout 180 sh -c 'apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends tmux' >&2; } || echo "no tmux: the tests on a real terminal are skipped"

test: engine tmux build ## unit, race, property, sim and end-to-end tests on the real engine
	$(GO) test -count=1 -timeout 30m $(UNIT)
	$(GO) test -count=1 -race -timeout 20m $(RACE)
	$(GO) test -count=1 -timeout 10m ./test/flow
	$(GO) test -count=1 -timeout 20m ./test/fidelity/...
	$(GO) test -count=1 -timeout 30m ./test/e2e/...

unit: ## tests that need no engine, with a part of the crash points
	TEAL_NO_DOCKER=1 $(GO) test -short $(UNIT)

race:
	TEAL_NO_DOCKER=1 $(GO) test -race ./internal/...

sim: ## every crash point, with the coverage table
	$(GO) test -count=1 -v -timeout 60m -run 'TestCrash' ./internal/sim -every

attacks: ## the catalogue of attacks, carried out against real repositories, as a table
	@set -o pipefail; $(GO) test -count=1 -timeout 10m -v -run TestAttacks ./test/attacks | grep -v '^ *\(===\|---\)'

flow: ## two branches of an app release to one staging directory and race each other 50 times
	$(GO) test -count=1 -timeout 10m -v ./test/flow

e2e: engine build
	$(GO) test -count=1 -timeout 20m -v ./test/e2e/...

check: fmt vet lint unit ## before each commit
	TEAL_NO_DOCKER=1 $(GO) test -short -race $(RACE)

fmt:
	@out=$$(gofmt -l cmd internal test); if [ -n "$$out" ]; then echo "not formatted:"; echo "$$out"; exit 1; fi

vet:
	$(GO) vet $(PKGS)

lint:
	$(GO) run $(STATICCHECK) $(PKGS)

compose: engine ## the corpus of Compose files against the Compose SDK, field by field, as a table; its first build takes minutes
	cd test/compose && $(GO) test -count=1 -timeout 30m -v -run TestCorpus .

compose-record: engine ## write Compose's side of the corpus for the tests that do without the SDK
	cd test/compose && $(GO) test -count=1 -timeout 30m -run TestCorpus . -record

reference: ## teal against a real cosign, in both directions, a real gitleaks and OpenSSH's server; the first build takes minutes
	$(GO) test -count=1 -timeout 30m ./test/attest
	@test -x /usr/sbin/sshd || { [ "$$(id -u)" = 0 ] && apt-get update -qq && timeout 300 apt-get install -y -qq --no-install-recommends openssh-server >/dev/null; } || { echo "install openssh-server, or run this as root on Debian or Ubuntu"; exit 1; }
	TEAL_SSHD=/usr/sbin/sshd $(GO) test -count=1 -timeout 10m -run TestRealSSHD ./internal/gitops

systemd: engine build ## the packaged units under a real systemd in a container, with its credentials; root, and minutes the first time
	root=$$(test/systemd/root.sh) && TEAL_SYSTEMD_ROOT=$$root $(GO) test -count=1 -timeout 20m -v ./test/systemd

demo: engine build ## the main job, shown and checked in about a minute; KEEP=1 leaves it running
	$(GO) run ./test/demo

bench-swap: engine build ## 100 swaps under load, and a control run that must fail
	$(GO) run ./test/bench-swap

bench-inputs: ## following Git against go-git and the git program, as ratios
	$(GO) run ./test/bench-inputs

bench-trust: ## verifying evidence against ssh-keygen and encoding/json, as ratios
	$(GO) run ./test/bench-trust

peers: ## the proxies of bench-proxy: installed when root on Debian or Ubuntu
	@test/peers.sh

ROUNDS  ?= 7
SECONDS ?= 1
ARGS    ?=
bench-proxy: peers build ## teal-proxy against nginx, HAProxy and Caddy, as ratios; ROUNDS= and SECONDS= of each, ARGS='-only small'
	$(GO) run ./test/bench-proxy -rounds '$(ROUNDS)' -seconds '$(SECONDS)' $(ARGS)

FUZZTIME ?= 30s
fuzz: ## each fuzz target for FUZZTIME
	@for p in $$($(GO) list ./internal/...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p 2>/dev/null | grep '^Fuzz'); do \
	    echo "== $$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p || exit 1; done; done

FUZZ ?= .
fuzz-long: ## ten minutes for each target that reads bytes from outside: executions, coverage of the accept path
	$(GO) run ./test/fuzz -run '$(FUZZ)' -time 10m -jobs 2

deps: build ## linked modules and sizes of the binaries
	@for b in bin/*; do printf '%-16s %6.1f MB  %3d modules\n' $$b $$(stat -c %s $$b | awk '{print $$1/1e6}') $$($(GO) version -m $$b | grep -c '^[[:space:]]dep'); done

clean:
	rm -rf bin
