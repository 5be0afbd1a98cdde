"""Pages are run inside the test process."""

import sys

import pytest

MAIN = sys.modules["__main__"]


@pytest.fixture(autouse=True)
def main_module_is_put_back():
    """Streamlit makes the page it runs ``__main__``, which a process spawned by a later test would run again."""
    yield
    sys.modules["__main__"] = MAIN
