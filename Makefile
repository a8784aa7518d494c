# Every target sets itself up in .venv: slow once, at once afterwards. More options: make demo ARGS="--port 8000"

PYTHON ?= python3
CONFIG ?= train/configs/finetune.toml
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test lint train screenshot
.DELETE_ON_ERROR:

demo: .venv/app.done  ## opens the page, http://localhost:5000
	$(BIN)/python app.py --open $(ARGS)

test: .venv/tests.done
	$(BIN)/python -m pytest $(ARGS)

lint: .venv/tests.done
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

train: .venv/train.done  ## make train ARGS="--set data.photos=my_photos --resume"
	$(BIN)/python -m train $(CONFIG) $(ARGS)

screenshot: .venv/tests.done
	$(BIN)/python -m tests.screenshot $(ARGS)

.venv/app.done: requirements.txt | $(BIN)/pip
	$(PIP) -r requirements.txt
	@touch $@

.venv/train.done: pyproject.toml | $(BIN)/pip
	$(PIP) -e ".[train]"
	@touch $@

.venv/tests.done: pyproject.toml | $(BIN)/pip
	$(PIP) -e ".[dev]"
	@touch $@

# pip comes last in the making of a venv, so that one broken off half-way is made anew.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv --clear .venv
