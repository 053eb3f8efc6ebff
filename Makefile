# Two commands from nothing:  make demo   and   make test
# Each sets up a virtual environment in .venv first, and again whenever the two files below change.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.stamp

.PHONY: demo test check docs format clean

demo: $(STAMP)            ## train on real handwritten digits, judge the result, write a report
	$(BIN)/sparring train cdcgan --data digits --name demo

test: $(STAMP)            ## the whole test suite, on two cores: each test has one thread
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(STAMP)           ## lint, format and types, as pre-commit and CI run them
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(STAMP)            ## the documentation as a site, in site/index.html; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sparring needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	@echo 'setting up $(VENV), once: PyTorch and its kin, about 1 GB; a minute or more'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) site
