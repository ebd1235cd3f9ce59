# What a developer does often. All of it works on a fresh clone.
.DEFAULT_GOAL := help
BIN := .venv/bin

.PHONY: help quickstart test fast lint format types bench dist clean

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 14

quickstart: ## Set up, and profile the demo images on 4 ranks
	scripts/quickstart

test: ## Set up, lint, check types, run all tests
	scripts/test

fast: ## The same without the slow tests
	scripts/test --fast

lint: $(BIN)/ruff ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(BIN)/ruff ## Mend style and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(BIN)/ruff ## Check types
	$(BIN)/mypy

bench: $(BIN)/ruff ## Compare with other programs on the same layers
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m benchmarks

dist: $(BIN)/ruff ## Build a source archive and a wheel in dist/
	rm -rf dist
	$(BIN)/python -c "import setuptools.build_meta as build; build.build_sdist('dist')"
	$(BIN)/python -m pip wheel --no-deps -w dist dist/*.tar.gz

clean: ## Remove everything that was made here, the virtual environment too
	rm -rf .venv .venv-validators .setup.* build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache

$(BIN)/ruff:
	scripts/test --setup-only
