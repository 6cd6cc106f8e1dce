# The project's commands. `make help` lists them; each one first installs what it needs into .venv.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

IS_NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,\
	$(shell $(name) $(IS_NEW_ENOUGH) && echo $(name))))
REQUIREMENTS := requirements/dev.txt
STAMP := .venv/installed-$(shell cksum < $(REQUIREMENTS) | tr -dc '0-9')
BIN := .venv/bin
# The scanners pin other versions than the tools do.
SCANNERS := requirements/scan.txt
SCANNERS_STAMP := .venv/scanners/installed-$(shell cksum < $(SCANNERS) | tr -dc '0-9')
ARCH ?= $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x86_64)
PACKAGES := .
# How many processes run the tests: two for each of two cores. With more, tests of short deadlines may be late.
WORKERS ?= 4
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --no-loadscope-reorder
# Each process would compile the tests anew, and each program that a test starts the modules.
unexport PYTHONDONTWRITEBYTECODE
PINS ?= --upgrade
PIN = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras \
	--no-emit-index-url --no-header --no-annotate $(PINS)

.PHONY: help run demo test test-quick layers check audit bench fuzz format pins layer release clean

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | column -t -s "$$(printf '\t')"

run: $(STAMP) ## the registry and a function on this machine, until Ctrl-C
	@exec $(BIN)/python -m local run

demo: $(STAMP) ## the same story, then stop everything; exits 0 only if each step did what it should
	@exec $(BIN)/python -m local demo

test: layers ## all the tests; PYTEST_ARGS="-k checks -x" are pytest's
	$(PYTEST) $(PYTEST_ARGS)

test-quick: layers ## the tests that take a minute altogether: unit and contract, without the slow ones
	$(PYTEST) -m "not slow" tests/unit tests/contract $(PYTEST_ARGS)

# The tests use both layers. A test has no time to compile what is not in the cache yet.
layers: $(STAMP)
	@for arch in x86_64 arm64; do $(BIN)/python layer/build.py --arch $$arch; done

check: $(STAMP) $(SCANNERS_STAMP) ## format, lint, types, import rules, template lint and scan
	$(BIN)/ruff format --check $(PACKAGES)
	$(BIN)/ruff check $(PACKAGES)
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports
	$(BIN)/cfn-lint infra/template.yaml
	.venv/scanners/bin/python -m checkov.main --config-file infra/checkov.yaml --file infra/template.yaml
	git ls-files -z --cached --others --exclude-standard | xargs -0 $(BIN)/python .ci/check_files.py

audit: $(SCANNERS_STAMP) ## known vulnerabilities of the pinned packages; asks the package index
	for list in */requirements.txt; do \
		echo "$$list:" && .venv/scanners/bin/python -m pip_audit --disable-pip --require-hashes --requirement $$list; done

bench: $(STAMP) ## the benchmarks, as tables; BENCH="name ..." for some of them
	@$(BIN)/python -m bench $(BENCH)

fuzz: $(STAMP) ## bent inputs into every parser, under both interpreters; FUZZ_INPUTS=1000000
	@$(BIN)/python -m tests.fuzz $(FUZZ_INPUTS)

format: $(STAMP) ## put the code into shape
	$(BIN)/ruff check --fix-only $(PACKAGES)
	$(BIN)/ruff format $(PACKAGES)

# The functions' lists take their versions from the development list: the tests run what ships.
pins: $(STAMP) ## pin the newest versions in all requirements lists; PINS="" keeps the pins that still fit
	$(PIN) requirements/dev.in --output-file requirements/dev.txt
	$(PIN) requirements/scan.in --output-file requirements/scan.txt
	for list in $(wildcard */requirements.in); do \
		case $$list in bench/*|layer/*) constraint=() ;; *) constraint=(--constraint requirements/dev.txt) ;; esac; \
		$(PIN) $$list "$${constraint[@]}" --output-file "$${list%.in}.txt"; \
	done

layer: $(STAMP) ## build/layer/<arch>/ and build/service-discovery-layer-<arch>.zip; ARCH=x86_64|arm64
	$(BIN)/python layer/build.py --arch $(ARCH) --output build/layer/$(ARCH) \
		--zip build/service-discovery-layer-$(ARCH).zip

release: $(STAMP) ## build/release/: layers, functions, template, command line, bills of materials, checksums
	@PYTHONPATH=.:layer $(BIN)/python -m release build/release

clean: ## remove what the commands made here; the layer's cache stays
	rm -rf .venv .aws-sam build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# Two commands at once: one installs, the other waits for it. The list is whole and pinned by hash, so
# pip resolves nothing (with hashes it takes a pin with more extras than were asked for as another one).
$(STAMP): $(REQUIREMENTS)
	$(if $(PYTHON),,$(error Python 3.11 or later is needed, and none is on the PATH))
	@exec 9> .venv.lock && flock 9 && if ! test -e $@; then \
		echo "installing the tools into .venv (once, a minute) ..." && rm -rf .venv \
		&& { $(PYTHON) -m venv .venv || { rm -rf .venv; \
			echo "python -m venv failed; on Debian: apt-get install python3-venv" >&2; exit 1; }; } \
		&& PIP_USER=0 $(BIN)/pip install --quiet --disable-pip-version-check --no-deps \
			--require-hashes -r $(REQUIREMENTS) && touch $@; fi

$(SCANNERS_STAMP): $(SCANNERS) | $(STAMP)
	@exec 9> .venv.lock && flock 9 && if ! test -e $@; then \
		echo "installing the scanners into .venv/scanners (once, some minutes) ..." \
		&& rm -rf .venv/scanners && .venv/bin/python -m venv .venv/scanners \
		&& PIP_USER=0 .venv/scanners/bin/pip install --quiet --disable-pip-version-check --no-deps \
			--require-hashes -r $(SCANNERS) && touch $@; fi
