# make demo: set-up and the main job on the embedded data.   make test: set-up and the tests.   make test-slow: those that take long.
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal --durations 20

.PHONY: demo test test-slow lint clean

demo: .venv/package
	$(BIN)/multimodal-tf demo

test: .venv/test lint
	$(PYTEST) -m "not slow" $(PYTEST_ARGS)

test-slow: .venv/test
	$(PYTEST) -m slow $(PYTEST_ARGS)

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/bin/pip:
	$(PYTHON) -m venv .venv || { echo "make: $(PYTHON) cannot make a virtual environment; on Debian: apt install python3-venv"; exit 1; }

.venv/package: .venv/bin/pip setup.py constraints.txt
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/test: .venv/package
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

clean:
	rm -rf .venv runs build dist *.egg-info
