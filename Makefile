# Eilbote: make builds, make run shows, make test proves. `make help` lists the rest.
SHELL := /bin/bash
# BUILD: directory of the build
BUILD ?= build
# T: fuzz: seconds of all targets together
T ?= 60
# POINTS: torture, torture-powercut: power cuts
POINTS ?= 1000
# ONLY: torture: these parts alone, with commas between them
ONLY ?=
# FAULTS: torture: calls that fail; 0: every one
FAULTS ?= 0
# KILLS: torture: kills of roles
KILLS ?= 2000
# CHANGES: torture: reloads and upgrades
CHANGES ?= 200
# SWAPS: torture: exchanges of certificates
SWAPS ?= 200
# JUMPS: torture: jumps of the clock
JUMPS ?= 80
# ROUNDS: torture: how often each fault at each step of peers
ROUNDS ?= 1
# SEED: torture, sim: repeats a run
SEED ?= $(shell date +%s)
# SEEDS: sim, sim-prove: how many
SEEDS ?= 1000
# FROM: sim: the first seed
FROM ?= 1
# MINUTES: sim: at most; 0: as long as it takes
MINUTES ?= 0
# CONTROL: torture-powercut: takes syncs away, now points must go wrong
CONTROL ?=
# EXECS: fuzz: executions of each target, instead of a time
EXECS ?=
# CORPUS: fuzz: where what is found is kept; empty: ~/.cache/eilbote-fuzz
CORPUS ?=
BUILD_FUZZ = CC=clang tools/build build-fuzz -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false
BUILD_FUZZ_PLAIN = CC=clang tools/build build-fuzz-plain -Dfuzz=true -Db_lundef=false
RUN_FUZZ = tools/fuzz run build-fuzz$(if $(EXECS),-plain) --seconds="$(T)" --execs="$(EXECS)" $(if $(CORPUS),--corpus $(CORPUS))
BUILD_TORTURE = tools/build build-torture -Dbench_hooks=true -Dtorture=true
TORTURE = tests/torture/torture --build build-torture --only="$(ONLY)" --seed="$(SEED)" --faults="$(FAULTS)" --kills="$(KILLS)" --changes="$(CHANGES)" \
	--swaps="$(SWAPS)" --jumps="$(JUMPS)" --rounds="$(ROUNDS)" --points="$(POINTS)"
POWERCUT = tests/torture/powercut --build build-torture --points="$(POINTS)" --control="$(CONTROL)"
# DESTDIR: install: below this directory
DESTDIR ?=

.PHONY: all run test asan tsan analyze sim sim-prove fuzz fuzz-minimise fuzz-coverage torture torture-powercut lint fmt bench install deb clean help
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
fuzz:           ## every fuzz target, T seconds in all, with sanitizers (EXECS=1e8: each that often, without; CORPUS=dir keeps what is found)
	@tools/deps build fuzz && $(RUN_FUZZ) --look && $(if $(EXECS),$(BUILD_FUZZ_PLAIN),$(BUILD_FUZZ)) && $(RUN_FUZZ)
fuzz-minimise:  ## put what fuzzing has found into the tree, as few inputs as reach the same
	@tools/deps build fuzz && $(BUILD_FUZZ_PLAIN) && tools/fuzz minimise build-fuzz-plain $(if $(CORPUS),--corpus $(CORPUS))
fuzz-coverage:  ## line coverage of every parser by the inputs; fails below 90 % of a file
	@tools/deps build fuzz && LLVM_PROFILE_FILE=/dev/null CC=clang tools/build build-coverage -Db_lundef=false -Dc_args='-fprofile-instr-generate -fcoverage-mapping' \
		-Dc_link_args=-fprofile-instr-generate && tools/fuzz coverage build-coverage --missing $(if $(CORPUS),--corpus $(CORPUS))
sim:            ## run the server in a simulated machine, SEEDS times FROM a seed on, for MINUTES at most (SEED=n: that one, with its story)
	@tools/deps build && tools/build $(BUILD) && $(BUILD)/tests/sim/sim \
		$(if $(filter command environment,$(firstword $(origin SEED))),--seed "$(SEED)",--seeds "$(SEEDS)" --from "$(FROM)" --minutes "$(MINUTES)") --jobs $$(nproc)
sim-prove:      ## plant every defect of tests/sim/bugs.c in turn: each is to be caught within SEEDS seeds
	@tools/deps build && tools/build $(BUILD) && $(BUILD)/tests/sim/sim --prove --seeds "$(SEEDS)" --jobs $$(nproc)
torture:        ## the real server under faults, hours of it (root; ONLY=faults,disks,kills,changes,certificates,clocks,peers,overload,powercut; FAULTS, KILLS, CHANGES, SWAPS, JUMPS, ROUNDS, POINTS: how much; SEED)
	@tools/deps build test torture && $(TORTURE) --look && $(BUILD_TORTURE) && $(TORTURE)
torture-powercut: ## cut the power POINTS times on a real ext4 and look for what was acknowledged (root; CONTROL=no-fdatasync takes syncs away)
	@tools/deps build torture && $(POWERCUT) --look && $(BUILD_TORTURE) && $(POWERCUT)
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
	@rm -rf build build-asan build-tsan build-fuzz build-fuzz-plain build-coverage build-torture build-deb build-bench build-peers dist
help:           ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18
	@printf '\nVariables, as they are when nothing is said:\n'
	@sed -n '/^# [A-Z]*: /{N;s/^# [A-Z]*: \(.*\)\n\([A-Z]*\) ?= *\(.*\)/\2=\3\t\1/;s/=$$(shell date +%s)/=(the time)/;p}' $(MAKEFILE_LIST) | expand -t 18
