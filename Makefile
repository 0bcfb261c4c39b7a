# Every target makes .venv ready first; that costs nothing when it is. ARGS go to the command: make test ARGS="-k outbox"

PYTHON := .venv/bin/python
RUN := .venv/ready-to-run
DEVELOP := .venv/ready-to-develop

.PHONY: help setup demo test lint check bench build clean

help: ## print this
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

setup: $(DEVELOP) ## make .venv ready to develop

demo: $(RUN) ## run the whole system here, with servers of its own (ARGS: options of `headwater demo`)
	.venv/bin/headwater demo $(ARGS)

test: $(DEVELOP) ## run the tests, two at a time (ARGS: options of pytest; -n 0 for one at a time)
	$(PYTHON) -m pytest -n 2 --dist worksteal $(ARGS)

lint: $(DEVELOP) ## format, style, types and import contracts
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	cd headwater/cli/skeleton && $(CURDIR)/$(PYTHON) -m mypy --cache-dir $(CURDIR)/.mypy_cache/skeleton .
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(PYTHON) -m pyright
	.venv/bin/lint-imports

check: test lint ## tests and linters, as CI does

bench: $(RUN) ## measure speed beside what the servers can give (ARGS: of `headwater bench`)
	.venv/bin/headwater bench $(ARGS)

build: $(DEVELOP) ## build the wheel into dist/
	$(PYTHON) -m hatchling build -t wheel

clean: ## remove .venv, builds and caches
	rm -rf .venv dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . \( -name __pycache__ -o -name .ruff_cache \) -type d -prune -exec rm -rf {} +

$(RUN): pyproject.toml uv.lock .ci/setup
	.ci/setup --no-dev

$(DEVELOP): pyproject.toml uv.lock .ci/setup
	.ci/setup

# A checkout that was moved, or whose Python is gone, has to be set up again whatever the times of the files say.
ifneq "$(shell test -x $(PYTHON) && cat .venv/made-in 2>/dev/null)" "$(CURDIR)"
.PHONY: $(RUN) $(DEVELOP)
endif
