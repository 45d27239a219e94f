# What people run. `make help` lists it.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
BENCH := .venv-bench/bin
PROJECT ?= examples/shop
PIP_AUDIT := pip-audit@2.10.1
AUDIT ?= pypi
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 20
export ROWCAST_PROJECT := $(abspath $(PROJECT))
# This variable makes every process that imports aws_cdk compile 3.5 s of Python anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long bench bench-full check reference captures docs docs-check lock audit sbom lint-template format bootstrap synth deploy destroy clean

help: ## List the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: .venv/ready ## Make the environment .venv, with the command `rowcast` in it

.venv/ready: requirements.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Rowcast needs Python 3.11 or later; name one with PYTHON=…"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Rowcast needs Python 3.11 or later, and $(PYTHON) is older; name one with PYTHON=…"; exit 2; }
	@command -v node >/dev/null || { echo "Rowcast needs Node 20 or later: the AWS CDK runs on it."; exit 2; }
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' || { echo "Rowcast needs Node 20 or later, and this is $$(node --version): the AWS CDK runs on it."; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep -o '^uv==[^ ;]*' requirements.txt)"
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

node_modules/ready: package.json package-lock.json
	npm ci --no-audit --no-fund --loglevel=error
	@touch $@

demo: setup ## Tell the whole story on examples/shop, in the embedded AWS
	@$(BIN)/python -m workbench.demo

test: setup node_modules/ready ## Run all tests but the long sweeps
	$(BIN)/pytest -n 2 --dist loadfile -m "not long"

test-long: setup node_modules/ready ## Run the long sweeps too
	$(BIN)/pytest -n 2 --dist loadfile --hypothesis-profile=random

bench: .venv-bench/ready node_modules/ready ## Measure the small sizes against peers and limits: docs/benchmarks.md
	$(BENCH)/python -m bench --report

bench-full: .venv-bench/ready node_modules/ready ## Measure the large sizes too, going on where it was broken off
	$(BENCH)/python -m bench --report
	$(BENCH)/python -m bench --size full --resume --report

# The peers need an environment of their own: they are larger than all the rest.
.venv-bench/ready: requirements.txt bench/requirements.txt pyproject.toml .venv/ready
	$(PYTHON) -m venv .venv-bench
	$(BIN)/uv pip install --quiet --python $(BENCH)/python --require-hashes -r requirements.txt -r bench/requirements.txt
	$(BIN)/uv pip install --quiet --python $(BENCH)/python --no-deps --no-build-isolation -e .
	@touch $@

check: setup node_modules/ready ## Format, lint, types, architecture, templates
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/infra -m "not emulator"

reference: setup ## Write anew the pages and pictures of docs that are made from the code
	$(BIN)/python -m workbench.docs.reference

captures: setup ## Take anew the pictures of what commands print, in docs/captures
	$(BIN)/python -m workbench.docs.captures
	$(BIN)/python -m workbench.docs.checks

docs: .cache/docs/ready ## Build the documentation as a site in build/site; a broken link or anchor fails
	@rm -rf build/docs build/site && mkdir -p build/docs && cp -R docs build/docs/pages && mv build/docs/pages/zensical.toml build/docs/
	.cache/docs/bin/zensical build --strict --config-file build/docs/zensical.toml
	@mv build/docs/site build/site

docs-check: docs .cache/browser/ready ## Look at every page of the site in a real browser; screenshots in build/docs-check
	@node .cache/browser/check.mjs build/site build/docs-check

.cache/browser/ready: $(wildcard workbench/docs/browser/*)
	@mkdir -p .cache/browser && cp workbench/docs/browser/* .cache/browser/
	npm ci --prefix .cache/browser --no-audit --no-fund --loglevel=error
	@touch $@

.cache/docs/ready: .venv/ready docs/requirements.txt
	$(BIN)/uv venv --quiet --clear .cache/docs
	$(BIN)/uv pip install --quiet --python .cache/docs/bin/python --require-hashes -r docs/requirements.txt
	@touch $@

lock: setup ## Pin anew what the *.in files ask for
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --python-version 3.11 --custom-compile-command "make lock" requirements.in -o requirements.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --python-version 3.11 --custom-compile-command "make lock" docs/requirements.in -o docs/requirements.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --python-version 3.11 --custom-compile-command "make lock" --no-annotate -c requirements.txt infra/lint/requirements.in -o infra/lint/requirements.txt
	for layer in core engine postgres; do $(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --python-version 3.11 --custom-compile-command "make lock" --no-annotate -c requirements.txt layers/$$layer/requirements.in -o layers/$$layer/requirements.txt; done
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --python-version 3.11 --custom-compile-command "make lock" --no-annotate -c requirements.txt bench/requirements.in -o bench/requirements.txt

audit: setup ## Ask for known weaknesses of everything that is locked: PyPI, or with AUDIT=osv OSV
	@$(BIN)/python -m workbench.audit $(PIP_AUDIT) $(AUDIT)

sbom: setup ## List what the layers hold, in build/sbom (CycloneDX)
	@$(BIN)/python -m workbench.sbom build/sbom

.cache/cfn-lint/ready: .venv/ready infra/lint/requirements.txt
	$(BIN)/uv venv --quiet --clear .cache/cfn-lint
	$(BIN)/uv pip install --quiet --python .cache/cfn-lint/bin/python --require-hashes -r infra/lint/requirements.txt
	@touch $@

lint-template: synth .cache/cfn-lint/ready ## Let cfn-lint judge the template of PROJECT
	.cache/cfn-lint/bin/cfn-lint --config-file infra/lint/cfnlintrc.yaml -- cdk.out/*.template.json

format: setup ## Put the code into its form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bootstrap: setup node_modules/ready ## Prepare the region of the current AWS credentials for the CDK, once
	npx cdk bootstrap

synth: setup node_modules/ready ## Make the template of PROJECT (default: examples/shop) in cdk.out
	npx cdk synth --quiet

deploy: setup node_modules/ready ## Deploy PROJECT into the account of the current AWS credentials
	npx cdk deploy

destroy: setup node_modules/ready ## Take the deployment of PROJECT away; the bucket and the tables stay
	npx cdk destroy

clean: ## Remove what these commands made
	rm -rf .venv .venv-bench node_modules cdk.out .cache build .pytest_cache .mypy_cache .ruff_cache .hypothesis
