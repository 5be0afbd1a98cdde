# make demo: everything a new user needs, from a bare clone to the board in the browser.
# make test: the same for the tests. Both reuse .venv when pyproject.toml has not changed.

PYTHON ?= python3
SERVE ?= 1
PORT ?= 8501
BIN := .venv/bin
# A few of each kind, so that the demo ends in three minutes; 'all' runs every ranked method.
DEMO := audio_only video_only text_only early_fusion late_fusion cross_attention jca-length-free mbt-small
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
export OMP_NUM_THREADS ?= 1

.PHONY: demo test lint browser clean

demo: .venv/installed-demo
	$(BIN)/fuseboard run $(DEMO) --protocol synthetic@1 --backend ray --no-evaluate
	@if [ "$(SERVE)" != 0 ]; then $(BIN)/fuseboard serve --port $(PORT); fi

test: .venv/installed-test browser lint
	$(BIN)/pytest -n auto --dist loadgroup

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Chromium drives the pages in the browser tests, which skip with a reason where it cannot be had.
browser:
	@command -v chromium >/dev/null || { command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] && \
	  apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } || \
	  echo "Chromium is not here; the browser tests will be skipped."

.venv/bin/uv:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

# torch stands in the same command as the rest: otherwise a newer, far larger build may be chosen.
.venv/installed-demo: pyproject.toml constraints.txt | .venv/bin/uv
	$(BIN)/uv pip install --python $(BIN)/python -c constraints.txt torch==2.13.0 -e ".[ui,media]"
	@touch $@

.venv/installed-test: pyproject.toml constraints.txt | .venv/bin/uv
	$(BIN)/uv pip install --python $(BIN)/python -c constraints.txt torch==2.13.0 -e ".[ui,media,postgres,dev]"
	@touch $@

clean:
	rm -rf .venv .fuseboard
