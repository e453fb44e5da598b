# Eilbote: make builds, make run shows, make test proves. See README.md.
SHELL := /bin/bash
BUILD ?= build

.PHONY: all run test asan tsan fuzz lint fmt bench install deb clean deps
all: deps
	@tools/build $(BUILD)
