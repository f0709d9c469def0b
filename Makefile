# What a developer types. Everything lands in .venv; Debian's packages only where a target needs them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin

# Some containers switch bytecode off; every start would then be four times slower.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help dev check test bench contract demo packages
.DELETE_ON_ERROR:

help:
	@echo "make demo        a conversation through all of it, then try it yourself (ONCE=1: only the scene)"
	@echo "make test        install what the tests need, and run them (ARGS=… goes to pytest)"
	@echo "make check       ruff, mypy, the import contracts"
	@echo "make bench       the benchmarks, as JSON lines"
	@echo "make contract    what the SMS side asks of its providers, held against their own descriptions"
	@echo "make dev         .venv with everything for development"
	@echo "make packages    Debian's packages that the tests need"

dev: $(VENV)/.dev

# Two stamps: the demo does not wait for mypy and hypothesis.
$(VENV)/.dev: pyproject.toml
	@tools/make-venv.sh $(VENV) $(PYTHON) "[dev]"
	@touch $(VENV)/.run $@

$(VENV)/.run: pyproject.toml
	@tools/make-venv.sh $(VENV) $(PYTHON) ""
	@touch $@

packages:
	@tools/install-packages.sh test

check: dev
	$(RUN)/ruff check .
	$(RUN)/mypy
	$(RUN)/lint-imports

test: dev packages
	$(RUN)/python -m tests.support.fetch_twilio_contract
	$(RUN)/python -m tests.support.fetch_converse
	$(RUN)/pytest -n 2 --dist loadfile $(ARGS)

bench: dev
	@tools/install-packages.sh demo
	$(RUN)/python -m bench.first
	$(RUN)/python -m bench.email
	$(RUN)/python -m bench.sms
	$(RUN)/python -m bench.xmpp

contract: dev
	@$(RUN)/python -m tests.support.fetch_twilio_contract
	@$(RUN)/python -m tests.support.contract_tour

demo: $(VENV)/.run
	@tools/install-packages.sh demo
	@$(RUN)/python -m bridge.demo.scene $(if $(ONCE),--once)
