# make demo: the whole path on the data that ship with the package.   make test: lint, types, tests.
# make test-slow: the tests that take long.   make test-changed: the tests of what a change touches.
# make docs: the site, in build/site.   make fuzz MINUTES=10 SEED=3: mutated files through each decoder.
PYTHON ?= python3
BIN := .venv/bin
# Python compiles the few modules that are used when they are; all of them take half a minute
INSTALL := $(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal --durations 20
# a file's tests share trainings: one process runs them all, and the longest files come first.
# They wait for processes of their own: three at once for two cores
SLOW := --numprocesses $$((3 * $$($(BIN)/python -c 'import os; print(os.cpu_count())') / 2)) \
	--dist loadfile --no-loadscope-reorder

.PHONY: demo test pytest test-slow test-changed fuzz docs lint clean

demo: .venv/package
	$(BIN)/multimodal-tf demo

# two at once: mypy takes one core
test: .venv/test
	$(MAKE) --jobs 2 lint pytest

pytest: .venv/test
	$(PYTEST) -m "not slow" $(PYTEST_ARGS)

test-slow: .venv/test
	$(PYTEST) -m slow $(SLOW) --save-notebooks=docs/notebooks $(PYTEST_ARGS)

# the first call runs every test and notes what each of them executes
test-changed: .venv/test
	$(BIN)/python -m pytest --testmon-forceselect -m "not slow" $(PYTEST_ARGS)

# MINUTES are of each decoder; findings are files in findings/
MINUTES ?= 1
SEED ?= 0
fuzz: .venv/test
	PYTHONPATH=tests $(BIN)/python -m fuzz.campaign --minutes $(MINUTES) --seed $(SEED) $(FUZZ_ARGS)

docs: .venv/docs docs/notebooks
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# executed, with their pictures; takes some ten minutes
docs/notebooks: notebooks/*.ipynb | .venv/test .venv/docs
	$(BIN)/jupyter nbconvert --to notebook --execute --output-dir $@ notebooks/*.ipynb

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/bin/pip:
	$(PYTHON) -m venv .venv || { echo "make: $(PYTHON) cannot make a virtual environment; on Debian: apt install python3-venv"; exit 1; }

.venv/package: .venv/bin/pip setup.py constraints.txt
	$(INSTALL) .
	touch $@

# each installs the package, too
.venv/test: .venv/bin/pip setup.py constraints.txt
	$(INSTALL) '.[test]'
	touch .venv/package $@

.venv/docs: .venv/bin/pip setup.py constraints.txt
	$(INSTALL) '.[docs]'
	touch .venv/package $@

clean:
	rm -rf .venv runs build dist docs/notebooks *.egg-info
