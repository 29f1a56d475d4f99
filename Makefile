# `make` alone lists the targets.
VENV ?= .venv
# The Python of a new virtual environment, such as 3.12; the newest that is found by default.
VENV_PYTHON ?=
# The address of `make run`, which takes a free port if this one is busy.
HOST ?= 127.0.0.1
PORT ?= 8000
IMAGE ?= cloud-invoicing
# More arguments for pytest, such as ARGS="tests/invoices -x".
ARGS ?=

BIN := $(VENV)/bin
# Tests start hundreds of processes, which load compiled modules in two thirds of the time.
export PYTHONDONTWRITEBYTECODE :=
# Test processes: two more than processors, since many tests wait for servers. All share one database
# server, so that more than eight gain nothing.
PROCESSES := $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2) + 2 )))
PYTEST_OPTIONS := -n $(PROCESSES) --maxprocesses 8
# A run of one folder is over before further processes have started.
QUICK_OPTIONS := $(if $(ARGS),,-n $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2) --maxprocesses 8)
PYTHONS := 3.11 3.12 3.13

ifeq ($(CI),true)
export NO_COLOR := 1
export PY_COLORS := 0
export TERM := dumb
PYTEST_OPTIONS += --color=no
endif

.DEFAULT_GOAL := help
.PHONY: help run test quick test-all tests lint format typecheck lock messages migrate revision openapi image install \
	check-locks bench bench-quick docs faults licences audit coverage

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

run: ## Run the service on this machine, with embedded servers and demonstration data.
	@tools/install $(VENV) requirements/local.txt
	@$(BIN)/python -m app run --host $(HOST) --port $(PORT) --stop-with-parent

install: ## Create the virtual environment for development.
	@tools/install $(VENV) requirements/dev.txt $(VENV_PYTHON)
	@tools/install $(VENV) requirements/rules.txt

# The types are checked beside the tests, which leave the processors idle at times: by one process,
# since those of mypy must start within three seconds.
test: lint ## Check everything that a change must pass.
	@$(MAKE) --no-print-directory --jobs=2 MYPY_OPTIONS=--num-workers=0 typecheck tests

quick: install ## Check style and types, and run the tests that need no server; ARGS=tests/billing for one folder.
	$(BIN)/ruff check
	$(BIN)/ruff format --check --quiet
	PYTHONPATH=. $(BIN)/lint-imports --no-logo >/dev/null || PYTHONPATH=. $(BIN)/lint-imports --no-logo
	$(BIN)/mypy
	$(BIN)/python -m pytest -q $(QUICK_OPTIONS) -m 'quick and not slow' $(ARGS)

tests: install
	$(BIN)/python -m pytest $(PYTEST_OPTIONS) -m 'not slow' $(ARGS)

coverage: install ## Measure which lines and branches the tests reach.
	$(BIN)/python -m pytest $(PYTEST_OPTIONS) -m 'not slow' --cov --cov-report=term $(ARGS)

test-all: lint typecheck ## Run all tests, also slow ones, on every Python that is installed.
	@set -e; for version in $(PYTHONS); do \
		if ! tools/find-python $$version >/dev/null 2>&1; then \
			echo "Python $$version is not installed: left out."; continue; \
		fi; \
		echo "Python $$version:"; \
		tools/install $(VENV)-$$version requirements/dev.txt $$version; \
		tools/install $(VENV)-$$version requirements/rules.txt; \
		$(VENV)-$$version/bin/python -m pytest $(PYTEST_OPTIONS) -m '' $(ARGS); \
	done

lint: install licences ## Check style, formatting, imports between packages, and licences.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	PYTHONPATH=. $(BIN)/lint-imports --no-logo

licences: install
	tools/licences $(BIN) requirements/service.txt

audit: licences ## Look for known vulnerabilities in the locked packages. Needs the network.
	@tools/install $(VENV) requirements/audit.txt
	tools/audit $(BIN) requirements/audit.txt requirements/bench.txt requirements/dev.txt

format: install ## Format the code, and fix style where that is automatic.
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

typecheck: install ## Check the types.
	$(BIN)/mypy $(MYPY_OPTIONS)

lock: install ## Write the lock files and check them; ARGS=--upgrade takes newer versions.
	PATH="$(CURDIR)/$(BIN):$$PATH" tools/lock $(ARGS)
	tools/check-locks

messages: install ## Bring the texts of the documents up to date; ARGS=es adds a language.
	$(BIN)/python tools/messages $(ARGS)

check-locks: ## Check that the lock files install with the oldest pip of each Python.
	tools/check-locks

migrate: install ## Migrate the database at DATABASE_URL.
	$(BIN)/python -m app migrate

revision: install ## Write a migration for changed models; MESSAGE="its purpose".
	$(BIN)/alembic revision --autogenerate --message "$(MESSAGE)"

docs: ## Build the documentation site in var/site; a broken link fails.
	@tools/install $(VENV) requirements/docs.txt $(VENV_PYTHON)
	$(BIN)/properdocs build --quiet

openapi: install ## Write openapi.json, the committed contract.
	$(BIN)/python -m app openapi > openapi.json.new
	mv openapi.json.new openapi.json

bench: ## Measure the service, in 25 minutes; ARGS=--fresh generates the data again, ARGS=--large adds a bill of 10,000,000 rows. Needs wrk.
	@tools/install $(VENV) requirements/bench.txt
	$(BIN)/python -m benchmarks run $(ARGS)

bench-quick: ## Check the central figures, in 3 minutes; ARGS="--beside COMMIT" compares builds. Needs wrk.
	@tools/install $(VENV) requirements/bench.txt
	$(BIN)/python -m benchmarks run --quick $(ARGS)

faults: install ## Break the service under load, and count losses; ARGS="--case NAME" or --quick.
	$(BIN)/python -m faults run $(ARGS)

image: ## Build the container image.
	docker build --tag $(IMAGE) .
