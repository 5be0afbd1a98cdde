import shutil

import pytest
import yaml

from protocols.spec import load
from runners.settings import Settings


@pytest.fixture
def settings(tmp_path, mlflow_template):
    """Settings of one test: folders of its own, a copy of the MLflow template."""
    shutil.copy(mlflow_template, tmp_path / "mlflow.db")
    return Settings.resolve(
        data_root=tmp_path / "data",
        cache_root=tmp_path / "cache",
        bundle_root=tmp_path / "bundles",
        database_url=f"sqlite:///{tmp_path}/board.db",
        tracking_url=f"sqlite:///{tmp_path}/mlflow.db",
    )


@pytest.fixture
def short(tmp_path):
    """The embedded protocol with a budget for tests: name, path of its file."""
    raw = load("synthetic@1").model_dump(mode="json")
    raw["name"] = "short"
    raw["conditions"] = ["clean", "text/missing"]
    raw["budget"] |= {"epochs": 4, "batch_size": 100}
    path = tmp_path / "short.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path
