# Every target sets up what it needs, or says what is missing. `scripts/setup` holds the how.

SHELL := /bin/bash
export MILLSTREAM_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/millstream
export CARGO_TARGET_DIR ?= $(CURDIR)/target

BIN := $(CARGO_TARGET_DIR)/debug/millstream

.PHONY: demo test soak bench lint build guests install docs dist dist-test clean

# All targets of all packages, as in `test`: any other choice has other features of shared crates, which would be compiled
# twice.
build:
	@scripts/setup rust
	cargo build --locked --workspace --all-targets

guests:
	@scripts/setup rust guests
	scripts/build-guests

demo: build guests
	@scripts/setup orders
	$(BIN) demo --plugins $(CARGO_TARGET_DIR)/guests --data examples/data
	MILLSTREAM_BIN=$(BIN) MILLSTREAM_GUESTS_DIR=$(CARGO_TARGET_DIR)/guests $(MILLSTREAM_CACHE)/orders/bin/python examples/orders/demo.py

# End-to-end tests side by side: they wait for most of their time.
E2E_WORKERS ?= 2

test: build guests
	@scripts/setup python java clients s3 docs
	MILLSTREAM_GUESTS_DIR=$(CARGO_TARGET_DIR)/guests cargo test --locked --workspace --no-fail-fast
	PATH="$(MILLSTREAM_CACHE)/tools/bin:$$PATH" MILLSTREAM_BIN=$(BIN) MILLSTREAM_GUESTS_DIR=$(CARGO_TARGET_DIR)/guests \
		$(MILLSTREAM_CACHE)/venv/bin/python -m pytest -n $(E2E_WORKERS) --dist worksteal tests/e2e

# Every parser of bytes from outside, fed with mutated ones for FUZZ_SECONDS each; the tests whose names begin with "mutated", or that say so.
FUZZ_SECONDS ?= 600

# Beside it the server is killed KILLS times under real clients, and compared with Apache RocketMQ.
KILLS ?= 20

soak: build guests
	@scripts/setup python apache
	MILLSTREAM_FUZZ_SECONDS=$(FUZZ_SECONDS) cargo test --locked --workspace --no-fail-fast mutated -- --test-threads=2
	KILLS=$(KILLS) MILLSTREAM_BIN=$(BIN) $(MILLSTREAM_CACHE)/venv/bin/python -m pytest tests/e2e/test_rocketmq_kills.py
	MILLSTREAM_BIN=$(BIN) $(MILLSTREAM_CACHE)/venv/bin/python -m pytest tests/e2e -m soak

bench: guests
	@scripts/setup apache
	cargo build --locked --release -p millstream -p millstream-bench
	$(CARGO_TARGET_DIR)/release/millstream-bench $(BENCH)

# The release binary, stripped, in PREFIX/bin.
PREFIX ?= /usr/local

install:
	@scripts/setup rust
	cargo build --locked --release -p millstream
	install -d $(DESTDIR)$(PREFIX)/bin
	strip --strip-unneeded -o $(DESTDIR)$(PREFIX)/bin/millstream $(CARGO_TARGET_DIR)/release/millstream

# The documentation as a site, in target/docs: with search, and without requests to anybody.
docs:
	@scripts/setup docs
	PATH="$(MILLSTREAM_CACHE)/tools/bin:$$PATH" scripts/docs

# What people download, in dist/; and what comes of it in clean roots.
dist:
	@scripts/setup rust dist
	scripts/dist

dist-test:
	@scripts/setup dist
	scripts/dist-test

lint:
	@scripts/setup rust lint
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

clean:
	cargo clean
