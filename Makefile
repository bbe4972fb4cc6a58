# Everything starts from Python 3.11+ and make alone: each target makes .venv by itself.
# Python 3.11 is preferred: the packaged MongoDB has all its libraries there.
PYTHON ?= $(shell python3.11 -c '' 2>/dev/null && echo python3.11 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
.DEFAULT_GOAL := help
# Every program is started many times: let it be compiled once.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help demo test nightly api pos gate admin bench lint fmt lock clean

help: ## Show what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

demo: $(STAMP) ## Sell, print, scan, admit: the park's main job on real parts
	@$(BIN)/playpark demo

test: lint ## All checks: style, types, imports, tests
	$(BIN)/python -m pytest -n 4 -q

# Some tests take an hour by themselves, such as a till killed at every line: who is done takes over
# from who is not.
nightly: lint ## The same properties with full counts
	PLAYPARK_FULL=1 $(BIN)/python -m pytest -n 2 --dist worksteal -q --timeout 14400 --durations 20

api: $(STAMP) ## The API with its own MongoDB and the demo park on port 48080 (DATA=folder)
	@$(BIN)/playpark api --embedded --demo --data $(or $(DATA),.data/mongo)

# A till that shall print tickets while the server is away needs a key of its own: this one is for
# trying out, and stands here for everybody to read. A real till gets another (docs/running.md).
pos: $(STAMP) ## The cashier's register
	@PLAYPARK_DEVICE_KEY=$${PLAYPARK_DEVICE_KEY:-a-key-for-trying-out-and-never-for-a-real-till} \
		$(BIN)/playpark pos

gate: $(STAMP) ## The gate, camera 0 (GATE_SOURCE=video.avi for a film)
	@$(BIN)/playpark gate --source $(or $(GATE_SOURCE),0)

admin: $(STAMP) ## The back office
	@$(BIN)/playpark admin

bench: $(STAMP) ## Ratios and rates of one run
	@$(BIN)/python -m benchmarks

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/bandit -q -c pyproject.toml -r playpark api terminal gate admin_tui demo qa

fmt: $(STAMP) ## Format and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## Pin the newest allowed packages into requirements.lock
	./scripts/lock.sh

clean: ## Remove the environment, caches and demo data
	rm -rf $(VENV) .data demo-output .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "PlayPark needs Python 3.11 or newer: set PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
		|| { echo "Python lacks its venv module: on Debian, apt install python3-venv" >&2; exit 1; }
	@echo "Installing the packages of requirements.lock (once, about a minute) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--only-binary :all: --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation \
		--no-deps --editable .
	@touch $@
