# Front end to meson. Works without root if the packages are installed already.
#
#   make run                 train MBPO on InvertedPendulum (TASK=hopper for Hopper)
#   make test                build and run all tests
#   make build               build every program into build/bin/
#   make build MUJOCO=3.17.0 the same with a MuJoCo of PyPI, into build-mujoco-3.17.0/bin/;
#                            or MUJOCO=DIR: an unpacked release, or an installed package
#   make test-clang, test-asan, test-tsan, test-all

TASK ?= inverted_pendulum
SEED ?= 1
ARGS ?=

# MuJoCo in place of the installed one: a directory, or a version that pip downloads.
MUJOCO ?=
ifneq ($(MUJOCO),)
BUILD ?= build-mujoco-$(notdir $(MUJOCO:%/=%))
ifneq ($(wildcard $(MUJOCO)/include/mujoco/mujoco.h),)
MUJOCO_DIR := $(abspath $(MUJOCO))
else
MUJOCO_DIR := $(CURDIR)/$(BUILD)/pypi/mujoco
endif
SETUP += -Dmujoco_dir=$(MUJOCO_DIR)
WITHOUT := libmujoco-dev
endif

BUILD ?= build
JOBS ?= $(shell nproc)
PIP ?= python3 -m pip

.PHONY: run test build packages test-clang test-asan test-tsan test-all clean

run: build
	$(BUILD)/bin/spur run $(TASK) --seed $(SEED) $(ARGS)

build: packages $(BUILD)/build.ninja
	@deploy/build $(BUILD) $(JOBS)

test: build
	@deploy/run-tests $(BUILD)

packages:
	@deploy/install-packages

$(CURDIR)/$(BUILD)/pypi/mujoco:
	@$(PIP) install --quiet --no-deps --target $(BUILD)/pypi mujoco==$(MUJOCO)

$(BUILD)/build.ninja: | $(MUJOCO_DIR)
	@echo "spur: configuring $(BUILD)"
	@meson setup $(BUILD) $(SETUP) >/dev/null || { meson setup $(BUILD) $(SETUP); exit 1; }

test-clang:
	@$(MAKE) --no-print-directory packages PACKAGES=clang
	@CC=clang $(MAKE) --no-print-directory test BUILD=build-clang

# Sanitizers slow programs down about three times, so the time limits of tests are raised.
test-asan:
	@$(MAKE) --no-print-directory test BUILD=build-asan SETUP="-Db_sanitize=address,undefined -Db_lundef=false" \
	    TEST_ARGS="--timeout-multiplier 4"

test-tsan:
	@TSAN_OPTIONS="suppressions=$(CURDIR)/tests/tsan.supp" $(MAKE) --no-print-directory test BUILD=build-tsan SETUP="-Db_sanitize=thread -Db_lundef=false" \
	    TEST_ARGS="--timeout-multiplier 6 --suite threads"

test-all: test test-clang test-asan test-tsan

clean:
	rm -rf build build-clang build-asan build-tsan build-mujoco-*

export TEST_ARGS PACKAGES WITHOUT
