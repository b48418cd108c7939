# Front end to meson. Works without root if the packages are installed already.
#
#   make run                 train MBPO on InvertedPendulum (TASK=hopper for Hopper)
#   make test                build and run all tests
#   make build               build every program into build/bin/
#   make test-clang, test-asan, test-tsan, test-all

TASK ?= inverted_pendulum
SEED ?= 1
ARGS ?=

BUILD ?= build
JOBS ?= $(shell nproc)

.PHONY: run test build packages test-clang test-asan test-tsan test-all clean

run: build
	$(BUILD)/bin/spur run $(TASK) --seed $(SEED) $(ARGS)

build: packages $(BUILD)/build.ninja
	@ninja -C $(BUILD) -n | grep -q "no work to do" || ninja -C $(BUILD) -j $(JOBS) --quiet

test: build
	@deploy/run-tests $(BUILD)

packages:
	@deploy/install-packages

$(BUILD)/build.ninja:
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
	rm -rf build build-clang build-asan build-tsan

export TEST_ARGS PACKAGES
