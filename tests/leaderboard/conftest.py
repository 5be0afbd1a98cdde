"""Real bundles in the runner's layout, and a real PostgreSQL, for the tests of the board."""

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa
from pyarrow import parquet

from leaderboard import store
from protocols.metrics.robustness import area, retention, worst
from protocols.record import Record, to_jsonl
from protocols.spec import ProtocolSpec, committed
from protocols.suite import Suite, suites
from tests.servers import postgresql
from zoo.spec import entries

SPEC = {
    "name": "unit-test",
    "version": 1,
    "title": "A protocol of the tests",
    "description": "Numbers made up by the tests of the board; nothing was measured.",
    "dataset": "synthetic",
    "target": "label",
    "inputs": {"audio": "steps", "video": "steps"},
    "split": "synthetic/default",
    "metrics": ["accuracy", "macro_f1"],
    "select_on": "validation",
    "conditions": ["clean", "audio/missing", "video/missing"],
    "absence": "zeros",
    "seeds": 5,
    "budget": {
        "learning_rate": 0.001,
        "weight_decay": 0.0,
        "batch_size": 8,
        "epochs": 3,
        "patience": 3,
        "clip_norm": 1.0,
    },
}
FINDING = {
    "condition": pa.string(),
    "metric": pa.string(),
    "value": pa.float64(),
    "n": pa.int64(),
    "reason": pa.string(),
}


def protocol(**changes) -> ProtocolSpec:
    return ProtocolSpec.model_validate({**SPEC, **changes})


class Bundles:
    """Writes bundles below ``root`` as the runner does."""

    def __init__(self, root: Path):
        self.root = root
        root.mkdir()

    def add(
        self,
        method: str = "late-test",
        seed: int = 0,
        accuracy: float = 0.5,
        *,
        base: str = "late",
        spec: ProtocolSpec | None = None,
        fold: int | None = None,
        status: str = "completed",
        reason: str | None = None,
        created: str = "2026-01-02T03:04:05+00:00",
        code: str = "c0de",
        settings: dict | None = None,
        fingerprint: str = "f1f1",
        values: dict[tuple[str, str], float] | None = None,
        run: str | None = None,
        parameters: int = 1234,
    ) -> Path:
        """One run; ``values`` maps (condition, metric) to a value, by default made from ``accuracy``."""
        spec = spec or protocol()
        identity = f"{method}{seed}{fold}{code}{settings}{fingerprint}{spec.key}"
        run = run or hashlib.sha256(identity.encode()).hexdigest()[:16]
        if values is None:
            values = {}
            for index, condition in enumerate(spec.conditions):
                values[condition, "accuracy"] = accuracy * 0.9**index
                values[condition, "accuracy/majority_class"] = 0.25
                values[condition, "macro_f1"] = accuracy * 0.8
        split = "test" if fold is None else f"test/fold{fold}"
        records = [
            Record(
                method=method,
                protocol=spec.key,
                split=split,
                condition=condition,
                metric=metric,
                value=value,
                n=200,
                seed=seed,
                origin="measured",
                source=code,
                run=run,
                created=created,
            )
            for (condition, metric), value in values.items()
        ]
        folder = self.root / spec.key / method / run
        folder.mkdir(parents=True, exist_ok=True)
        files = {}
        if status == "completed":
            files["records.jsonl"] = to_jsonl(records)
            files["history.csv"] = "epoch,train_loss,validation_loss,validation_accuracy,seconds\n" + "".join(
                f"{epoch},{1.4 / epoch},{1.5 / epoch},{accuracy * epoch / 3},0.5\n" for epoch in (1, 2, 3)
            )
        for name, text in files.items():
            (folder / name).write_text(text)
        manifest = {
            "schema_version": 1,
            "run": run,
            "status": status,
            "reason": reason,
            "method": {"name": method, "method": base, "settings": settings or {}},
            "protocol": spec.model_dump(mode="json"),
            "fold": fold,
            "seed": seed,
            "data": {"dataset": spec.dataset, "target": spec.target, "fingerprint": fingerprint},
            "code": code,
            "fuseboard": "0.1.0",
            "commit": None,
            "versions": {"python": "3.11", "torch": "2", "numpy": "2"},
            "hardware": {"cpu": "test", "cores": 2, "device": "cpu"},
            "parameters": parameters,
            "attention": [{"query": "audio", "key": "video", "layers": 2, "heads": 4, "over": "steps"}],
            "epochs": 3,
            "best_epoch": 3,
            "seconds": {"load": 0.1, "fit": 2.5, "evaluate": 0.2},
            "peak_memory_bytes": 10**8,
            "created": created,
            "files": {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()},
        }
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=2))
        return folder

    def measure(
        self,
        folder: Path,
        findings: dict[tuple[str, str], float | str],
        *,
        n: int = 200,
        suite: str | None = None,
        code: str = "e7a1",
        created: str = "2026-03-04T05:06:07+00:00",
        exhibits: list[dict] | None = None,
        **more,
    ) -> Path:
        """The evaluation of a run that `add` wrote.

        ``findings`` maps (condition, metric) to a value, or to the reason why there is none.
        """
        columns = {
            "condition": [condition for condition, _ in findings],
            "metric": [metric for _, metric in findings],
            "value": [None if isinstance(found, str) else float(found) for found in findings.values()],
            "n": [n] * len(findings),
            "reason": [found if isinstance(found, str) else None for found in findings.values()],
        }
        place = folder / "evaluation"
        place.mkdir(exist_ok=True)
        table = pa.table(columns, schema=pa.schema([(name, FINDING[name]) for name in columns]))
        parquet.write_table(table, place / "findings.parquet", compression="zstd")
        if exhibits is not None:
            (place / "exhibits.json").write_text(json.dumps(exhibits))
        files = {name: place / name for name in ("findings.parquet", "exhibits.json") if (place / name).is_file()}
        told = {
            "schema_version": 1,
            "run": folder.name,
            "suite": suite or f"{folder.parts[-3]}/suite1",
            "code": code,
            "created": created,
            "seconds": {"robustness": 1.5},
            "fuseboard": "0.1.0",
            "files": {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()},
            **more,
        }
        (place / "evaluation.json").write_text(json.dumps(told, indent=2))
        return place

    def opened(
        self,
        run: str,
        method: str = "late-test",
        protocol: str = "unit-test@1",
        seed: int = 0,
        at: str = "2026-01-02T03:04:05+00:00",
    ):
        line = {"run": run, "method": method, "protocol": protocol, "split": "test", "seed": seed, "opened": at}
        with open(self.root / "ledger.jsonl", "a") as ledger:
            ledger.write(json.dumps(line) + "\n")


def robustness(suite: Suite, spec: ProtocolSpec, clean: float, slope: float) -> dict[tuple[str, str], float | str]:
    """Findings of a model that loses ``slope`` with every severity, and ``2 slope`` without a modality."""
    found = {}
    for metric in spec.metrics:
        for sweep, severities in suite.sweeps.items():
            curve = np.array([max(clean - slope * rank, 0.0) for rank in range(1, len(severities) + 1)])
            found |= {(f"{sweep}/{s}", metric): score for s, score in zip(severities, curve, strict=True)}
            found[sweep, f"area/{metric}"] = area(curve, clean)
            found[sweep, f"worst/{metric}"] = worst(curve)
            found[sweep, f"retention/{metric}"] = retention(curve, clean)
        found |= {(condition, metric): clean - 2 * slope for condition in suite.conditions}
        found["clean", metric] = clean
    return found


def cost(parameters: int, milliseconds: float) -> dict[tuple[str, str], float | str]:
    """Findings of a model of some size and speed on a machine that reports no energy."""
    return {
        ("clean", "parameters"): parameters,
        ("clean", "flops"): 100.0 * parameters,
        ("clean", "latency_p50"): milliseconds / 1e3,
        ("clean", "latency_p95"): milliseconds / 800,
        ("clean", "throughput"): 2e4 / milliseconds,
        ("clean", "peak_memory"): 2**20 + 8.0 * parameters,
        ("clean", "energy"): "this device reports no energy",
    }


@pytest.fixture
def spec() -> ProtocolSpec:
    return protocol()


METHODS = {  # preset -> clean score, loss a severity, parameters, milliseconds
    "mult-paper": (0.90, 0.06, 1_200_000, 9.0),
    "cross_attention": (0.86, 0.05, 300_000, 4.0),
    "late_fusion": (0.84, 0.08, 100_000, 2.5),
    "early_fusion": (0.80, 0.09, 400_000, 3.0),
    "audio_only": (0.70, 0.10, 50_000, 1.5),
}


def evaluate(bundles: Bundles, key: str = "grid-digit-noisy@1", runs: int = 3) -> None:
    """Made-up evaluated runs under the names of a real protocol; run k scores k percent more."""
    spec, suite = committed()[key], suites()[key]
    for method, (clean, slope, parameters, milliseconds) in METHODS.items():
        preset = entries()[method]
        for number, (seed, fold) in enumerate(spec.runs(runs)):
            score = clean + number / 100
            found = robustness(suite, spec, score, slope)
            own = {key: value for key, value in found.items() if key[0] in spec.conditions}
            more = {"spec": spec, "fold": fold, "values": own, "settings": preset.settings, "parameters": parameters}
            folder = bundles.add(method, seed, base=preset.method, **more)
            rest = {key: value for key, value in found.items() if key not in own}
            bundles.measure(folder, rest | cost(parameters, milliseconds + number / 10), n=250, suite=suite.key)


@pytest.fixture(scope="session", name="evaluate")
def evaluate_fixture():
    return evaluate


@pytest.fixture(scope="session")
def bundles_at() -> type[Bundles]:
    return Bundles


@pytest.fixture
def bundles(tmp_path) -> Bundles:
    return Bundles(tmp_path / "bundles")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory) -> Path:
    """A store with its tables; a copy of it starts faster than a migration."""
    path = tmp_path_factory.mktemp("store") / "board.db"
    store.connect(f"sqlite:///{path}").dispose()
    return path


@pytest.fixture
def engine(empty_store, tmp_path):
    shutil.copy(empty_store, tmp_path / "board.db")
    engine = store.connect(f"sqlite:///{tmp_path}/board.db")
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def postgres_server():
    """Address of a throwaway PostgreSQL: the machine's own server, else the one from PyPI."""
    if shutil.which("initdb") and shutil.which("pg_ctl"):
        with postgresql() as server:
            yield server.url
        return
    try:
        import pgserver
    except ImportError:
        pytest.skip("no PostgreSQL: neither initdb and pg_ctl on PATH nor the pgserver package")
    with tempfile.TemporaryDirectory() as folder:
        server = pgserver.get_server(folder)
        yield server.get_uri()
        server.cleanup()


@pytest.fixture
def postgres_url(postgres_server, request) -> str:
    """Address of an empty database of this test's own."""
    address = sa.make_url(postgres_server).set(drivername="postgresql+psycopg")
    name = "t" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:20]
    admin = sa.create_engine(address, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    yield address.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')
    admin.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, tmp_path) -> str:
    """Each supported database in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/either.db"
    return request.getfixturevalue("postgres_url")
