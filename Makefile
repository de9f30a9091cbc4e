# The commands of this repository. `make` alone lists them.

ifndef PYTHON
PYTHON := $(firstword $(shell .ci/pythons))
endif
CARGO ?= cargo
DEMO := .venv
TEST := .venv-test
# pytest's workers; each starts servers of its own.
JOBS ?= 2
export PYO3_PYTHON = $(abspath $(PYTHON))
# The extension module is not linked with libpython, which many Pythons lack; maturin sets the same.
export PYO3_BUILD_EXTENSION_MODULE = 1
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help demo wheel test test-rust test-python test-pythons test-other-pythons test-gunicorn test-uvicorn soak autobahn lint fuzz bench docs clean python cargo

help:
	@echo 'make demo           build the server and serve examples/flask on http://127.0.0.1:8000'
	@echo 'make wheel          build the wheel as it is to be shipped, in dist/; minutes, needs llvm-profdata'
	@echo 'make test           set everything up and run every test (Rust and Python)'
	@echo 'make test-rust      the Rust tests alone'
	@echo 'make test-python    the end-to-end tests alone; PYTEST="-k NAME" chooses'
	@echo 'make test-pythons   a wheel and the bridge tests on each CPython found (3.10 to 3.14)'
	@echo 'make test-gunicorn  the end-to-end tests against gunicorn, where both must agree'
	@echo 'make test-uvicorn   the ASGI tests against uvicorn, where both must agree'
	@echo 'make soak           long runs: traffic that changes for two minutes; SOAK_SECONDS=30, PYTEST="-k NAME"'
	@echo 'make autobahn       Autobahn'"'"'s cases for WebSockets (half an hour; needs Python 2.7); AUTOBAHN="--case 9.*" chooses'
	@echo 'make lint           rustfmt, clippy with warnings denied, and generated files up to date'
	@echo 'make fuzz           hostile bytes for every parser at the edge; SECONDS=60 for each, FUZZ=NAME for one'
	@echo 'make bench          compare speed and memory with other servers (minutes; needs wrk)'
	@echo 'make docs           write the generated documents again'
	@echo 'make clean          remove what these commands made'
	@echo 'PYTHON=/path/to/python3 chooses the interpreter; now: $(PYTHON)'

cargo:
	@command -v $(CARGO) >/dev/null || { echo 'Rust is missing. Install it from https://rustup.rs and try again.' >&2; exit 1; }
	@command -v cc >/dev/null || { echo 'A C compiler is missing. Try: apt-get install build-essential' >&2; exit 1; }

python:
	@test -n '$(PYTHON)' || { \
	    if test -n "$$(.ci/pythons --all)"; then \
	        echo 'Python cannot make a virtual environment. Try: apt-get install python3-venv' >&2; \
	    else \
	        echo 'No CPython 3.10 to 3.14 found. Try: apt-get install python3 python3-venv' >&2; \
	    fi; exit 1; }

# An environment is made anew when its list of needs changes.

$(DEMO)/.ready: examples/requirements.txt | python
	$(PYTHON) -m venv --clear $(DEMO)
	$(DEMO)/bin/pip install -q maturin==1.16.0 -r examples/requirements.txt
	@touch $@

$(TEST)/.ready: tests/requirements.txt | python
	$(PYTHON) -m venv --clear $(TEST)
	$(TEST)/bin/pip install -q -r tests/requirements.txt
	@touch $@

# $(call wheel,ENVIRONMENT,PROFILE): builds the wheel for the environment's interpreter and installs it there.
define wheel
rm -rf $(1)/wheel
$(1)/bin/maturin build -q --profile $(2) --locked --interpreter $(1)/bin/python --out $(1)/wheel
$(1)/bin/pip install -q --force-reinstall --no-deps $(1)/wheel/*.whl
endef

demo: cargo $(DEMO)/.ready
	@echo 'Building the server, which takes some minutes the first time ...'
	$(call wheel,$(DEMO),release)
	@echo
	@echo 'Serving examples/flask on http://127.0.0.1:8000 with two workers; Ctrl-C ends it. In another terminal:'
	@echo '    curl http://127.0.0.1:8000/'
	@echo '    curl http://127.0.0.1:8000/hello/Ada'
	@echo '    curl --data-binary @Makefile http://127.0.0.1:8000/upload'
	@echo '    curl -N http://127.0.0.1:8000/stream'
	@echo
	@exec $(DEMO)/bin/ferricorn --chdir examples/flask -w 2 -b 127.0.0.1:8000 --access-logfile - app:app

# Built twice: the second time for what the first one was found to execute (benches/train.py).
wheel: cargo $(DEMO)/.ready
	@folder=$$(.ci/profdata) || exit 1; set -x; \
	    PATH="$$folder:$$PATH" $(DEMO)/bin/maturin build -q --release --locked --pgo --interpreter $(DEMO)/bin/python --out dist

test: lint test-rust test-python test-other-pythons

# The tests with an interpreter inside are left out where it has no shared library to link with.
test-rust: cargo | python
	$(CARGO) test --profile ci --locked --workspace --no-fail-fast
	@if $(PYTHON) -c 'from sysconfig import get_config_var as of; open(of("LIBDIR") + "/" + of("LDLIBRARY")); \
	    assert of("LDLIBRARY").endswith(".so")' 2>/dev/null; then set -x; \
	    env -u PYO3_BUILD_EXTENSION_MODULE $(CARGO) test --profile ci --locked -p ferricorn-python --features embed; \
	else echo 'Left out: the tests that embed Python, for $(PYTHON) has no shared library.'; fi

test-python: cargo $(TEST)/.ready
	$(call wheel,$(TEST),ci)
	$(CARGO) build --profile ci --locked -p axum-example
	$(TEST)/bin/pytest tests -n $(JOBS) --dist loadfile -rs $(PYTEST)

test-gunicorn: $(TEST)/.ready
	SERVER_UNDER_TEST=gunicorn $(TEST)/bin/pytest tests -n $(JOBS) --dist loadfile $(PYTEST)

test-uvicorn: $(TEST)/.ready
	SERVER_UNDER_TEST=uvicorn $(TEST)/bin/pytest tests -n $(JOBS) --dist loadfile $(PYTEST)

# What takes minutes, each in a file `soak_*.py`, so that `make test` does not find it.
soak: cargo $(TEST)/.ready
	$(call wheel,$(TEST),ci)
	$(TEST)/bin/pytest tests/soak -o python_files='soak_*.py' -o python_functions='soak_*' -s $(PYTEST)

# Autobahn's suite for WebSockets, 517 cases. It takes half an hour and Python 2.7, so it is no part of `make test`.
autobahn: cargo $(TEST)/.ready
	$(call wheel,$(TEST),ci)
	$(TEST)/bin/python tests/autobahn/run.py $(AUTOBAHN)

# The bridge on each CPython that is found beside the one of `make test`.
test-other-pythons: cargo | python
	.ci/on-each-python --except $(PYTHON) tests/test_wsgi.py tests/test_asgi.py

test-pythons: cargo | python
	.ci/on-each-python tests/test_wsgi.py tests/test_asgi.py tests/test_boot.py tests/test_cli.py

lint: cargo | python
	$(CARGO) fmt --all --check
	$(CARGO) clippy --profile ci --locked --workspace --all-targets -- -D warnings

FUZZ ?= $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))
SECONDS ?= 60

# A workspace of its own, not a part of `make test`; see fuzz/README.md.
fuzz: cargo | python
	@$(CARGO) +nightly --version >/dev/null 2>&1 || { \
	    echo 'Fuzzing needs a nightly Rust. Try: rustup toolchain install nightly' >&2; exit 1; }
	@$(CARGO) fuzz --version >/dev/null 2>&1 || { \
	    echo 'cargo-fuzz is missing. Try: cargo install cargo-fuzz --locked' >&2; exit 1; }
	$(PYTHON) fuzz/seeds.py
	@set -e; for target in $(FUZZ); do \
	    echo "Fuzzing $$target for $(SECONDS) s"; \
	    $(CARGO) +nightly fuzz run $$target -- -dict=fuzz/dictionaries/$$target.dict \
	        -max_len=4096 -timeout=20 -max_total_time=$(SECONDS) -print_final_stats=1 -verbosity=0; \
	done

bench: cargo | python
	$(PYTHON) benches/compare.py

docs: cargo
	$(CARGO) run -q --locked -p ferricorn-config --example generate

clean:
	$(CARGO) clean
	rm -rf $(DEMO) $(TEST) .venv-test-* .venv-autobahn .venv-bench tests/.artifacts dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
