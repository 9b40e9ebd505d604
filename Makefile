# Every target sets up what it needs by itself; a machine with Python 3.11 to 3.13 and make is enough.

VENV ?= .venv
# The first Python that fits. Choose another one: make test PYTHON=python3.12 VENV=.venv-3.12
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$python && break; \
	done)

BIN := $(VENV)/bin
READY := $(VENV)/.ready
MEMBERS := $(patsubst %/pyproject.toml,%,$(wildcard libs/*/pyproject.toml services/*/pyproject.toml))
SOURCES := $(wildcard libs/*/src services/*/src)
# mypy takes each folder of tests by itself: their files are called alike, and it knows a module by its name.
TESTS := $(wildcard libs/*/tests services/*/tests) $(wildcard tests bench demo examples web/e2e)
INTEGRATION := tests/integration
# make test: how many processes share the tests. Most of them wait, so there may be more than cores; 0 is one process,
# one test after the other.
WORKERS ?= 3
# A file stays in one process. Those that take longest come first, so that none of them is left over for the end; the
# paths are in that order, too.
PARALLEL = -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# make chaos: how many runs, and the seed of the first.
RUNS ?= 20
SEED ?= 1
# The pages of the browser. With them make dev has something to look at; without npm it runs all the same.
NPM := $(shell command -v npm)
WEB_READY := web/node_modules/.ready
WEB_BUILT := web/dist/index.html
WEB_SOURCES := $(shell find web/src web/public web/scripts -type f) \
	$(addprefix web/,index.html package.json package-lock.json tsconfig.json vite.config.ts)
# Tests of the browser drive a Chromium that is there: a downloaded one would be another 400 MB.
export PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD = 1
# make fuzz: how long to attack HTTP; ten thousand frames for each minute.
MINUTES ?= 10
# Tests of libs/stack that hold for embedded and for containerised servers alike.
EITHER_BACKEND := libs/stack/tests/test_nats_permissions.py libs/stack/tests/test_either_backend.py
# What is about the servers is also shown with those from containers; the rest is about our services, or damages the
# servers' data in ways that containers do not offer.
IN_CONTAINERS := $(patsubst %,$(INTEGRATION)/test_%.py,main_path lessons bad_input faults scaled_out others_fail_here)

# Every process of a test stack is a Python that starts anew. Without compiled modules at hand each would compile all it
# imports, which is most of what a stack's start takes. They are kept beside the environment, not among the sources, and
# also where the shell says that Python shall write none.
export PYTHONDONTWRITEBYTECODE =
export PYTHONPYCACHEPREFIX ?= $(abspath $(VENV))/pycache

.DEFAULT_GOAL := help
.PHONY: help setup dev demo test test-unit test-integration test-containers test-web test-web-unit screenshots web chaos fuzz bench lint format lock up down clean

help: ## Show this help
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(READY): requirements.lock requirements-bootstrap.lock pyproject.toml $(MEMBERS:%=%/pyproject.toml)
	@test -n "$(PYTHON)" || { echo "error: Python 3.11, 3.12 or 3.13 is needed; name it: make PYTHON=/path/to/python"; exit 1; }
	@echo "[1/4] virtual environment $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@echo "[2/4] uv, the installer"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock
	@echo "[3/4] every dependency, by hash"
	@$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r requirements.lock
	@echo "[4/4] our own packages, editable"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(MEMBERS:%=-e ./%)
	@touch $@

setup: $(READY) ## Make the virtual environment (every other target does, too)

$(WEB_READY): web/package.json web/package-lock.json
	@test -n "$(NPM)" || { echo "error: Node 20 or newer with npm is needed for the pages"; exit 1; }
	@echo "pages: what they are made of"
	@cd web && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(WEB_BUILT): $(WEB_READY) $(WEB_SOURCES)
	@echo "pages: building"
	@cd web && npm run --silent build -- --logLevel warn
	@touch $@

web: $(WEB_BUILT) ## Build the pages of the browser into web/dist

dev: $(READY) $(if $(NPM),$(WEB_BUILT)) ## Run everything on this machine with demo accounts; data survives in .natter/dev
	@$(BIN)/python -m stack dev --with-parent

demo: $(READY) ## Play real dialogues through a fresh stack, or through TARGET=http://host:port
	@$(BIN)/python -m bench.demo $(if $(TARGET),--target $(TARGET)) $(ARGS)

test: $(READY) ## Run unit and integration tests; WORKERS=0 for one after the other
	@$(BIN)/pytest $(PARALLEL) tests services libs bench $(ARGS)

test-unit: $(READY) ## Run the tests that stand beside the sources and the documents
	@$(BIN)/pytest $(PARALLEL) services libs bench tests/docs $(ARGS)

test-integration: $(READY) ## Run the black-box tests against real NATS and Postgres
	@$(BIN)/pytest $(PARALLEL) $(INTEGRATION) $(ARGS)

test-containers: $(READY) ## Run those that are about the servers with NATS and Postgres from containers
	@BACKEND=containers $(BIN)/pytest $(EITHER_BACKEND) $(IN_CONTAINERS) $(ARGS)

test-web: $(READY) test-web-unit ## Run the browser's tests: test-web-unit, then Chromium against a real stack
	@cd web && NATTER_PYTHON=$(abspath $(BIN)/python) npm run --silent e2e -- $(ARGS)

test-web-unit: $(WEB_BUILT) ## Run the browser's tests that need no server: types, style, units, size
	@cd web && npm run --silent types -- --check
	@cd web && npm run --silent lint
	@cd web && npm test --silent
	@cd web && npm run --silent size

screenshots: $(READY) $(WEB_BUILT) ## Take a picture of each page, light and dark, desktop and phone, into web/screenshots
	@cd web && NATTER_PYTHON=$(abspath $(BIN)/python) npm run --silent screenshots -- $(ARGS)

chaos: $(READY) ## Play RUNS seeded runs from SEED on while faults fire; exit 0 only if nothing is lost or wrong
	@$(BIN)/python -m tests.chaos --runs $(RUNS) --seed $(SEED) $(ARGS)

fuzz: $(READY) ## Attack sockets and HTTP for MINUTES with whatever may come; exit 0 only if every answer is documented
	@$(BIN)/python -m tests.fuzz --minutes $(MINUTES) $(ARGS)

bench: $(READY) ## Measure, and add a line to bench/results.ndjson
	@$(BIN)/python -m bench.latency $(ARGS)

lint: $(READY) ## Check style, types and who imports whom
	@echo "ruff check" && $(BIN)/ruff check .
	@echo "ruff format" && $(BIN)/ruff format --check .
	@echo "mypy" && $(BIN)/mypy $(SOURCES)
	@for tests in $(TESTS); do \
		if find $$tests -name '*.py' | grep -q .; then echo "mypy $$tests"; $(BIN)/mypy $$tests || exit 1; fi; \
	done
	@echo "import-linter" && $(BIN)/lint-imports

format: $(READY) ## Put the code in shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# Versions and hashes only: no address (whoever installs chooses the index) and no path of this machine. Versions that
# still fit stay; newer ones: make lock ARGS=--upgrade
lock: $(READY) ## Renew requirements.lock from the pyproject files
	@cp requirements.lock requirements.lock.new
	@$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
		--no-header pyproject.toml --group dev $(MEMBERS:%=%/pyproject.toml) $(ARGS) --quiet \
		--output-file requirements.lock.new
	@grep -v '^-e file:' requirements.lock.new > requirements.lock && rm requirements.lock.new
	@# What each image installs: the same versions, only what that service needs, and all that its settings may ask for.
	@for service in chat-api ws-edge notifier; do \
		$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
			--no-header --constraint requirements.lock services/$$service/pyproject.toml --all-extras --quiet \
			--output-file services/$$service/requirements.lock.new || exit 1; \
		grep -v '^-e file:' services/$$service/requirements.lock.new > services/$$service/requirements.lock; \
		rm services/$$service/requirements.lock.new; \
	done

up: ## Run the production shape in containers, until everything is healthy
	@docker compose up --build --wait

down: ## Stop those containers; their data stays
	@docker compose down

clean: ## Remove the environment, caches, and .natter with the data of make dev
	@rm -rf $(VENV) .natter web/node_modules web/dist web/test-results web/screenshots .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
