# The commands of the house. `make run` and `make test` set up all they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TEST_PROCESSES ?= 2
SOAK ?= budgets/tests/test_invariants.py budgets/tests/test_concurrency.py agents/tests/test_bill.py agents/tests/test_gateway_killed.py tests/test_on_postgres.py
ROUNDS ?= 200
LLM := var/llm
CHAOS ?=
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run test soak test-llm chaos check lint format types docs bench lock doctor clean

run: $(VENV)/.runtime  ## set up, migrate, seed the demo company, start web and workers
	@$(BIN)/python manage.py up

doctor: $(VENV)/.runtime  ## say what is missing on this machine, and how to mend it
	@$(BIN)/python manage.py doctor

test: $(VENV)/.development  ## all tests; what needs a missing server or browser is skipped with its reason
	$(BIN)/python -m pytest -q -n $(TEST_PROCESSES) --dist worksteal

soak: $(VENV)/.development  ## the long tests of money on SQLite and PostgreSQL: 1,000 random lives, 500 faulty calls, 100 processes
	MCC_TEST_SOAK=1 $(BIN)/python -m pytest -q --durations=10 $(SOAK)

test-llm: $(VENV)/.development $(LLM)/.installed  ## a real model of 135 million parameters is the team: minutes, after some more to compile what runs it
	MCC_TEST_LLM=$(CURDIR)/$(LLM)/bin/python $(BIN)/python -m pytest -q -s tests/llm

chaos: $(VENV)/.development  ## kill -9 anything at any moment, ROUNDS times, half of them on PostgreSQL and Redis; see docs/operations.md
	$(BIN)/python -m tests.journeys --rounds $(ROUNDS) $(CHAOS)

check: $(VENV)/.development lint types docs test  ## what CI runs

lint: $(VENV)/.development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python tools/vendor_assets.py --check

types: $(VENV)/.development
	$(BIN)/mypy mcc budgets agents projects githubsync notifications bench

docs: $(VENV)/.development  ## generated pages must be up to date: `make docs-write` mends them
	$(BIN)/python tools/generate_docs.py --check

docs-write: $(VENV)/.development
	$(BIN)/python tools/generate_docs.py

bench: $(VENV)/.development  ## measure, side by side
	$(BIN)/python -m bench

format: $(VENV)/.development
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(VENV)/.development  ## compile the requirements to exact versions
	$(BIN)/pip-compile -q --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options -o requirements.txt requirements.in
	$(BIN)/pip-compile -q --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options -o requirements-dev.txt requirements-dev.in

$(LLM)/.installed: tests/llm/requirements.txt
	$(PYTHON) -m venv $(LLM)
	$(LLM)/bin/python -m pip install -q -r tests/llm/requirements.txt
	@touch $@

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.txt | $(VENV)/bin/python
	$(BIN)/pip install -q -r requirements.txt
	@touch $@

$(VENV)/.development: requirements.txt requirements-dev.txt | $(VENV)/bin/python
	$(BIN)/pip install -q -r requirements.txt -r requirements-dev.txt
	@touch $@ $(VENV)/.runtime

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
