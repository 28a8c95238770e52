# make demo   sets up everything and plays the bundled mine        make test   sets up everything and runs all checks
# Nothing here is needed to use Minewatch but `make setup`: it makes .venv, and .venv/bin/minewatch is the command.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
KAFKA := $(VENV)/share/kafka
AXE := $(VENV)/share/axe
PACKAGES := stream vision rules disposal console
SOURCES := $(PACKAGES) samples tests
PIP := PYTHONWARNINGS=ignore $(BIN)/python -m pip --disable-pip-version-check --quiet
TESTS ?=

# What CI ran comes first: the versions in constraints.txt are known to install there.
PYTHON ?=
CANDIDATES := python3.11 python3.12 python3.13 python3 python
FITS := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

.PHONY: help
help: ## say what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' Makefile | column -t -s '|' 2>/dev/null \
		|| sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1   \2/p' Makefile

.PHONY: setup
setup: $(VENV)/.ready ## make .venv with the command .venv/bin/minewatch
	@:

.PHONY: demo
demo: setup ## play the bundled mine and serve the console until Ctrl-C
	@exec $(BIN)/minewatch demo

.PHONY: test
test: system setup-test kafka axe lint ## run all checks and all tests (TESTS=path for some)
	@echo "Running the tests"
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(TESTS)

.PHONY: test-unit
test-unit: setup-test ## run the tests that need no server
	@$(BIN)/python -m pytest tests/unit

.PHONY: test-faults
test-faults: setup-test kafka ## bring faults about in a running house, and kill stages 200 times (an hour)
	@$(BIN)/python -m tests.faults all

.PHONY: soak
soak: setup-test ## run the whole house for MINUTES=10 and print how memory, handles, lag and files grow
	@$(BIN)/python -m tests.faults soak --minutes $(or $(MINUTES),10)

.PHONY: lint
lint: setup-test ## check style, types and who imports whom
	@echo "Checking style, types and imports"
	@$(BIN)/ruff check --quiet --no-cache $(SOURCES)
	@$(BIN)/ruff format --quiet --check $(SOURCES) \
		|| { echo "Run '$(BIN)/ruff format $(SOURCES)' and commit what it changes." >&2; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@said=$$($(BIN)/lint-imports 2>&1) || { echo "$$said" >&2; exit 1; }

.PHONY: kafka
kafka: setup ## place the jars of the Kafka for tests and benchmarks
	@if ! command -v mvn >/dev/null; then \
		echo "Kafka's jars need Maven, which is missing here: the tests on Kafka are skipped." >&2; \
		[ "$${CI:-}" != true ]; \
	else $(MAKE) --silent --no-print-directory $(KAFKA)/.ready; fi

.PHONY: bundle
bundle: setup ## write dist/minewatch-….tar, which installs with no network (WHEELS=folder of wheels that come first)
	@echo "Gathering all wheels (about 3 GB the first time)"
	@$(BIN)/python samples/deploy/bundle.py --output dist $(if $(WHEELS),--wheels $(WHEELS))

.PHONY: test-bundle
test-bundle: setup-test bundle ## install that bundle with the network cut off, and watch a clip with it
	@MINEWATCH_TEST_BUNDLE=$$(ls -t dist/minewatch-*.tar | head -n 1) $(BIN)/python -m pytest tests/acceptance/test_bundle.py --durations=0

.PHONY: axe
axe: setup ## place axe-core, which looks for pages that not everybody can use
	@if ! command -v npm >/dev/null; then \
		echo "axe-core needs npm, which is missing here: the tests with it are skipped." >&2; \
		[ "$${CI:-}" != true ]; \
	else $(MAKE) --silent --no-print-directory $(AXE)/.ready; fi

.PHONY: system
system: ## install the system packages that tests need, or name what is missing
	@tests/system.sh

.PHONY: constraints
constraints: ## take the newest versions of everything into constraints.txt
	$(make-venv)
	@echo "Upgrading everything in $(VENV) and writing the versions into constraints.txt"
	@$(PIP) install --upgrade --upgrade-strategy eager --editable '.[test]'
	@$(write-constraints)
	@touch $(VENV)/.ready $(VENV)/.ready-test

.PHONY: clean
clean: ## remove what was built, but no data of a mine
	@rm -rf $(VENV) build dist minewatch.egg-info .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: setup-test
setup-test: $(VENV)/.ready-test

$(VENV)/.ready: pyproject.toml constraints.txt
	$(make-venv)
	@echo "Installing Minewatch into $(VENV) (about 6 GB and three minutes the first time)"
	@$(PIP) install --constraint constraints.txt --editable .
	$(check-opencv)
	@touch $@

$(VENV)/.ready-test: pyproject.toml constraints.txt
	$(make-venv)
	@echo "Installing Minewatch and what its tests need into $(VENV) (about 6 GB and three minutes the first time)"
	@$(PIP) install --constraint constraints.txt --editable '.[test]'
	$(check-opencv)
	@touch $(VENV)/.ready $@

$(KAFKA)/.ready: tests/kafka/pom.xml tests/kafka/log4j2.properties
	@echo "Placing Kafka for the tests into $(KAFKA)"
	@rm -rf $(KAFKA) && mkdir -p $(KAFKA)
	@said=$$(mvn --quiet --batch-mode --file tests/kafka/pom.xml dependency:copy-dependencies \
		-DoutputDirectory=$(CURDIR)/$(KAFKA) 2>&1) || { echo "$$said" >&2; exit 1; }
	@cp tests/kafka/log4j2.properties $(KAFKA)
	@touch $@

$(AXE)/.ready: tests/axe/package.json
	@echo "Placing axe-core for the tests into $(AXE)"
	@rm -rf $(AXE) && mkdir -p $(AXE) && cp tests/axe/package.json $(AXE)
	@said=$$(npm install --prefix $(AXE) --no-audit --no-fund --no-update-notifier --no-package-lock 2>&1) \
		|| { echo "$$said" >&2; exit 1; }
	@touch $@

define make-venv
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		$(find-python) || tests/system.sh venv || true; \
		$(find-python) || { echo "Minewatch needs Python 3.11 or later with its venv module (Debian: python3-venv): \
	install it, or name one by 'make PYTHON=/path/to/python3 ...'." >&2; exit 1; }; \
		echo "Making $(VENV) with $$found"; \
		"$$found" -m venv --clear $(VENV); \
	fi
endef

define find-python
{ found=; for python in $(or $(PYTHON),$(CANDIDATES)); do \
			if "$$python" -c '$(FITS)' 2>/dev/null; then found=$$python; break; fi; \
		done; [ -n "$$found" ]; }
endef

# A bare server lacks two libraries that OpenCV's wheel takes from the system.
define check-opencv
	@$(BIN)/python -c 'import cv2' 2>/dev/null || tests/system.sh OpenGL
endef

define write-constraints
{ sed -n '/^#/p' constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | LC_ALL=C sort --ignore-case; } \
		>$(VENV)/constraints.txt; cp $(VENV)/constraints.txt constraints.txt
endef
