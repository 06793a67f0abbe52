# What can I run here? `make help` says it. Nothing needs to be installed by hand before:
# the first target that needs .venv makes it.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo serve test test-browser test-matrix screenshots fuzz chaos long-run pruning costs screens cluster bench bench-report lint wheel clean
.DELETE_ON_ERROR:

# Most tests wait for other processes most of the time. Few are handed out at once: the last ones
# of a run are quick, and whoever is free takes them.
SIDE_BY_SIDE := -n 3 --dist load --maxschedchunk 4

NEW_ENOUGH := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
# The first of the names that is there and runs a Python that will do.
find_python = $(firstword $(foreach name,$(1),$(shell $(name) -c '$(NEW_ENOUGH)' 2>/dev/null && command -v $(name))))

PYTHON = $(call find_python,python3 python3.13 python3.12 python3.11 python)
PYENV_3_13 = $(lastword $(sort $(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/3.13*/bin/python)))
PYTHON_3_13 := $(call find_python,python3.13 $(PYENV_3_13))

help:  ## Say what can be run (this)
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

demo: .venv/installed  ## Upload a real video and follow it to the audit log (VIDEO=path, BROKER_URL=…, DATABASE_URL=…)
	@.venv/bin/python manage.py demo $${VIDEO:+--video "$$VIDEO"}

serve: .venv/installed  ## The example site, with a worker beside it
	@.venv/bin/python manage.py serve

test: .venv/installed  ## All tests; PYTEST_ARGS="tests/unit -k topics" for some
	.venv/bin/pytest $(SIDE_BY_SIDE) $(PYTEST_ARGS)

test-browser: .venv/installed  ## The tests in a real browser, Chromium, which are among all tests too
	.venv/bin/pytest -n 2 --dist loadfile tests/browser $(PYTEST_ARGS)

test-matrix: $(if $(PYTHON_3_13),.venv-3.13/installed)  ## The tests on Python 3.13 with the newest Django, without the long ones
ifeq ($(PYTHON_3_13),)
	@echo 'Skipped: no Python 3.13, neither as python3.13 nor in ~/.pyenv/versions.'
else
	.venv-3.13/bin/pytest $(SIDE_BY_SIDE) -m 'not browser and not faults' $(PYTEST_ARGS)
endif

SECONDS = 60
fuzz: .venv-fuzz/installed  ## Look for messages that break the door (SECONDS=60); what is found goes to var/fuzz
	@mkdir -p var/fuzz/corpus
	.venv-fuzz/bin/python -m tests.fuzzing.fuzz var/fuzz/corpus tests/fuzzing/cases -artifact_prefix=var/fuzz/ -max_total_time=$(SECONDS) -max_len=65536 -timeout=20

chaos: .venv/installed  ## Kill everything and check the books (BROKER=sqlite|postgres|rabbitmq|redis MINUTES=10 SEED=7 EVENTS=… KILLS=…)
	.venv/bin/python -m benchmarks.chaos $(if $(BROKER),--broker $(BROKER)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(if $(EVENTS),--events $(EVENTS)) $(if $(KILLS),--kills $(KILLS))

long-run: .venv/installed  ## Send many events through one worker and watch its memory (EVENTS=200000 BROKER=postgres|rabbitmq)
	.venv/bin/python -m benchmarks.long_run $(if $(BROKER),--broker $(BROKER)) $(if $(EVENTS),--events $(EVENTS))

lint: .venv/installed  ## ruff, mypy, import-linter, and no migration forgotten
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python manage.py makemigrations --check --dry-run

pruning: .venv/installed  ## How much pruning slows a loaded worker (DATABASE=postgres|sqlite)
	.venv/bin/python -m benchmarks.pruning $(if $(DATABASE),--database $(DATABASE))

costs: .venv-bench/installed  ## How much processor time an event costs, by stage and program (EVENTS=20000)
	.venv-bench/bin/python -m benchmarks.costs $(if $(EVENTS),--events $(EVENTS))

screens: .venv-bench/installed  ## How fast each page of the admin is beside ten million rows (DATABASE=postgres|sqlite ROWS=10000000)
	.venv-bench/bin/python -m benchmarks.screens $(if $(DATABASE),--database $(DATABASE)) $(if $(ROWS),--rows $(ROWS))

cluster: .venv/installed  ## Kill nodes of a RabbitMQ cluster of three under load, and check the books (RATE=500)
	.venv/bin/python -m benchmarks.cluster $(if $(RATE),--rate $(RATE))

bench: .venv-bench/installed  ## Measure beside the alternatives (ONLY=audit,publish REPEATS=3); needs PostgreSQL, RabbitMQ and Redis
	.venv-bench/bin/python -m benchmarks.bench $(if $(ONLY),--only $(ONLY)) $(if $(REPEATS),--repeats $(REPEATS)) $(BENCH_ARGS)

bench-report: .venv-bench/installed  ## Write what was measured into docs/explanation/performance.md
	.venv-bench/bin/python -m benchmarks.bench.report

screenshots: .venv/installed  ## Use the example site for a while and make the pictures of the admin's pages anew (MINUTES=6)
	.venv/bin/python -m tests.browser.screenshots $(if $(MINUTES),--minutes $(MINUTES))

wheel: .venv/installed  ## Build the wheel into dist/
	.venv/bin/python -m build --wheel --no-isolation

clean:  ## Remove what make made, the example site's database and uploads too
	rm -rf .venv .venv-3.13 .venv-bench .venv-fuzz build dist var .pytest_cache .mypy_cache .ruff_cache .hypothesis

# The fuzzer's own environment: it is compiled for few platforms, and nothing else needs it.
.venv-fuzz/installed: pyproject.toml
	@test -n '$(PYTHON)' || { echo 'Python 3.11 or later is needed, with its venv module.' >&2; exit 1; }
	@'$(PYTHON)' -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install -qq --disable-pip-version-check 'atheris~=3.0' 'django~=5.2.0' -e .
	@touch $@

# The peers' own environment, and ours beside them: all on one interpreter, 3.13 where it is there.
.venv-bench/installed: benchmarks/bench/requirements.txt pyproject.toml
	@test -n '$(or $(PYTHON_3_13),$(PYTHON))' || { echo 'Python 3.12 or later is needed, with its venv module.' >&2; exit 1; }
	@'$(or $(PYTHON_3_13),$(PYTHON))' -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install -qq --disable-pip-version-check -r benchmarks/bench/requirements.txt
	@touch $@

.venv-3.13/installed: PYTHON = $(PYTHON_3_13)
.venv/installed .venv-3.13/installed: requirements.txt pyproject.toml
	@test -n '$(PYTHON)' || { echo 'Python 3.11 or later is needed, with its venv module (python3-venv on Debian). If yours has another name: make PYTHON=/path/to/python …' >&2; exit 1; }
	@echo 'Installing into $(@D) with $(PYTHON): about a minute, once.'
	@'$(PYTHON)' -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install -qq --no-compile --disable-pip-version-check -r requirements.txt -e .
	@touch $@
