# Eilbote: make builds, make run shows, make test proves. `make help` lists the rest.
SHELL := /bin/bash
BUILD ?= build
T ?= 60
POINTS ?= 1000
CONTROL ?=
DESTDIR ?=

.PHONY: all run test asan tsan analyze fuzz torture-powercut lint fmt bench install deb clean help
all:            ## build build/eilbote, installing the packages that are missing
	@tools/deps build && tools/build $(BUILD)
run: all        ## demonstrate on 127.0.0.1 and keep serving (ONCE=1: stop after the demonstration)
	@ONCE="$(ONCE)" tools/demo $(BUILD)/eilbote run
test:           ## every test
	@tools/deps build test && tools/build $(BUILD) && tools/run-tests $(BUILD)
asan:           ## every test with the address and undefined behaviour sanitizers
	@tools/deps build test && tools/build build-asan -Db_sanitize=address,undefined && tools/run-tests build-asan
tsan:           ## every test with the thread sanitizer
	@tools/deps build test && tools/build build-tsan -Db_sanitize=thread && tools/run-tests build-tsan
analyze:        ## gcc -fanalyzer, clang-tidy and cppcheck; each finding is explained in tools/analyze.allow
	@tools/deps build analyze && tools/analyze
fuzz:           ## every fuzz target, T seconds in all
	@tools/deps build test && CC=clang tools/build build-fuzz -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false && tools/fuzz build-fuzz $(T)
torture-powercut: ## cut the power POINTS times on a real ext4 and look for what was acknowledged (root; CONTROL=no-fdatasync takes syncs away)
	@tools/deps build torture && tools/build build-torture -Dbench_hooks=true -Dtorture=true && \
		tests/torture/powercut --build build-torture --points $(POINTS) --control "$(CONTROL)"
lint:           ## the house rules
	@tools/deps build test && tools/build $(BUILD) && tools/lint --build $(BUILD)
fmt:            ## bring every C file into the house layout
	@tools/deps build test && git ls-files -z '*.c' '*.h' | xargs -0 -r clang-format-14 -i
bench: all      ## measure against the peers
	@tools/deps build test bench && bench/run $(BUILD)/eilbote
install: all    ## install below DESTDIR
	@DESTDIR="$(DESTDIR)" meson install -C $(BUILD) --no-rebuild --quiet
deb: all        ## a Debian package in dist/
	@tools/deb
clean:          ## remove everything that was built
	@rm -rf build build-asan build-tsan build-fuzz build-torture build-deb build-bench build-peers dist
help:           ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18
