# make setup | demo | test | lint | docs | bench
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test lint docs bench clean

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: setup
	$(BIN)/blindspot demo

test: lint
	$(BIN)/python -m pytest -n 2 -m "not slow"

# mypy does not follow the editable install's import hook: show it the packages under their real names.
lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	mkdir -p .typecheck/blindspot && ln -sf $(patsubst %,../../%,$(wildcard blindspot/*.py blindspot/py.typed)) .typecheck/blindspot/
	for name in agents cli graphs storage tools; do ln -sfn ../../$$name .typecheck/blindspot/$$name; done
	ln -sfn ../tests/support .typecheck/support
	MYPYPATH=.typecheck $(BIN)/mypy -p blindspot
	MYPYPATH=.typecheck $(BIN)/mypy tests

# The reference of settings and commands.
docs: setup
	$(BIN)/python docs/reference.py

bench: setup
	for file in benchmarks/*.py; do $(BIN)/python $$file || exit 1; done

clean:
	rm -rf .venv .typecheck .mypy_cache .ruff_cache .pytest_cache build dist *.egg-info
