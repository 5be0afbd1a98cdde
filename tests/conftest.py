"""Settings that every test shares: real stores in temporary folders, one torch thread, one local Ray."""

import os

# Before anything imports torch, ray or mlflow.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # else Ray takes a cluster's 127.0.0.1 for an outside address
os.environ["RAY_worker_niceness"] = "0"  # else Ray's workers starve where tests of other files run beside them
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["NUMBA_DISABLE_JIT"] = "1"  # of the shap oracle: compiling takes longer than computing

from pathlib import Path

import pytest

SHARED = {"grid_digit": "GRID"}  # fixtures that take long to make: all who use one run in the same process


def pytest_collection_modifyitems(items):
    """Which tests may run side by side: those of different files, but never two that start a Ray."""
    for item in items:
        shared = [group for fixture, group in SHARED.items() if fixture in item.fixturenames]
        group = "Ray" if item.get_closest_marker("ray") else (shared or [str(item.path)])[0]
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The real data sets, or a skip that says why."""
    if not (root := os.environ.get("FUSEBOARD_DATA_ROOT")):
        pytest.skip("FUSEBOARD_DATA_ROOT is not set: no real data to test with")
    return Path(root)


@pytest.fixture(scope="session")
def mlflow_template(tmp_path_factory) -> Path:
    """An MLflow database with its schema: making one takes seconds, copying one does not."""
    from runners.tracking import connect

    path = tmp_path_factory.mktemp("mlflow") / "template.db"
    connect(f"sqlite:///{path}")
    return path
