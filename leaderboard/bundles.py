"""Reading result bundles: one folder a run, written whole by the runner."""

import hashlib
import io
import json
import math
import re
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocols.record import KEY, Record, read_jsonl

SCHEMA_VERSION = 1
EVALUATION = "evaluation"  # folder in a bundle, replaced whole whenever the run is measured again
FINDING = {"condition": "string", "metric": "string", "value": "double", "n": "int64", "reason": "string"}


class BundleError(ValueError):
    """A bundle that cannot be trusted: what is wrong and what to do."""


@dataclass(frozen=True)
class Bundle:
    """One run as rows.

    Args:
        row: for the table of runs, all but its folder.
        records: for the table of records.
        reasons: condition, metric and reason of each metric that is undefined for this run.
    """

    row: dict[str, Any]
    records: list[dict[str, Any]]
    reasons: list[dict[str, Any]]


@dataclass(frozen=True)
class Evaluation:
    """What was measured of a finished run.

    Args:
        row: for the table of evaluations.
        source: what its records carry.
        values: condition, metric, value and n of each number.
        reasons: condition, metric and reason of each metric that is undefined for this run.
    """

    row: dict[str, Any]
    source: str
    values: list[dict[str, Any]]
    reasons: list[dict[str, Any]]


def find_bundles(root: Path) -> list[Path]:
    """``<protocol>/<method>/<run>`` folders below a root, sorted; names with a leading dot are work in progress."""
    root = Path(root)
    found = (path for path in root.glob("*/*/*") if path.is_dir())
    return sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(root).parts))


def read_bundle(folder: Path, unless: Container[str] = frozenset()) -> Bundle | None:
    """Read and check one bundle.

    Args:
        unless: SHA-256 of manifests that need no reading; None is returned for them.

    Raises:
        BundleError: if a file is missing, altered, or does not belong to the run.
    """
    with _trusting("manifest.json", "Remove the folder and run the method again."):
        text = (folder / "manifest.json").read_bytes()
        digest = hashlib.sha256(text).hexdigest()
        if digest in unless:
            return None
        manifest = _understood("manifest.json", text)
        row = _row(manifest, folder) | {"manifest_sha256": digest, "manifest": text.decode()}
        if row["status"] != "completed":
            return Bundle(row, [], [])
        reasons = [{name: r[name] for name in ("condition", "metric", "reason")} for r in manifest.get("undefined", [])]
        return Bundle(row, _records(manifest, row, folder), reasons)


def read_evaluation(folder: Path, unless: Container[str] = frozenset()) -> Evaluation | None:
    """Read and check what was measured of the run whose bundle this is; None where nothing was yet.

    Args:
        unless: SHA-256 of evaluation.json files that need no reading; None is returned for them, too.

    Raises:
        BundleError: if a file is missing, altered, or does not belong to the run.
    """
    again = f"Measure the run again: fuseboard evaluate {folder.name}"
    with _trusting("evaluation.json", again):
        if not (folder / EVALUATION / "evaluation.json").is_file():
            return None
        text = (folder / EVALUATION / "evaluation.json").read_bytes()
        digest = hashlib.sha256(text).hexdigest()
        if digest in unless:
            return None
        told = _understood("evaluation.json", text)
        protocol = str(told["suite"]).rpartition("/")[0]
        if (protocol, told["run"]) != (folder.parts[-3], folder.parts[-1]):
            raise BundleError(f"evaluation.json is of run {told['run']} and suite {told['suite']}. {again}")
        row = {
            "run": told["run"],
            "suite": told["suite"],
            "code": told["code"],
            "created": told["created"],
            "evaluation_sha256": digest,
            "evaluation": text.decode(),
        }
        content = (folder / EVALUATION / "findings.parquet").read_bytes()
        _same("findings.parquet", content, told["files"], again)
        return Evaluation(row, f"fuseboard {told['fuseboard']}, code {told['code']}", *_findings(content))


def read_exhibits(folder: Path) -> list[dict[str, Any]]:
    """The single examples whose saliency was kept, none where the run was not measured or kept none.

    Raises:
        BundleError: if the file was altered or cut short.
    """
    again = f"Measure the run again: fuseboard evaluate {folder.name}"
    with _trusting("evaluation.json", again):
        place = folder / EVALUATION
        if not (place / "exhibits.json").is_file():
            return []
        content = (place / "exhibits.json").read_bytes()
        _same("exhibits.json", content, json.loads((place / "evaluation.json").read_bytes())["files"], again)
        return json.loads(content)


@contextmanager
def _trusting(name: str, remedy: str) -> Iterator[None]:
    """Say of any file that cannot be used what is wrong with it, and what to do."""
    try:
        yield
    except FileNotFoundError as error:
        raise BundleError(f"{Path(error.filename).name} is missing. {remedy}") from None
    except KeyError as error:
        raise BundleError(f"{name} lacks {error}. {remedy}") from None
    except (TypeError, ValueError, OSError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"cannot be read: {error}. {remedy}") from None


def _understood(name: str, text: bytes) -> dict[str, Any]:
    told = json.loads(text)
    if told["schema_version"] != SCHEMA_VERSION:
        raise BundleError(
            f"{name} has schema version {told['schema_version']}; this fuseboard reads {SCHEMA_VERSION}. "
            "Update fuseboard."
        )
    return told


def _same(name: str, content: bytes, files: dict[str, str], remedy: str) -> None:
    if (found := hashlib.sha256(content).hexdigest()) != files[name]:
        raise BundleError(
            f"{name} has SHA-256 {found[:12]}..., its index says {files[name][:12]}...: the file was altered or cut "
            f"short. Restore it, or {remedy[0].lower()}{remedy[1:]}"
        )


def _findings(content: bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Numbers and reasons of a findings.parquet."""
    from pyarrow import parquet

    # A file of a few hundred rows is read at once; the dataset machinery around it would cost six times as much.
    table = parquet.ParquetFile(io.BytesIO(content)).read(use_threads=False)
    if {field.name: str(field.type) for field in table.schema} != FINDING:
        raise BundleError(f"findings.parquet has columns {table.schema.names}; wanted {FINDING}.")
    values, reasons, seen = [], [], set()
    for condition, metric, value, n, reason in zip(*(column.to_pylist() for column in table.columns), strict=True):
        where = f"findings.parquet: {metric} under {condition}"
        if condition is None or metric is None:
            raise BundleError(f"{where}: a finding without a name.")
        if (condition, metric) in seen:
            raise BundleError(f"{where} stands there twice; each finding stands once.")
        seen.add((condition, metric))
        if (value is None) == (reason is None):
            raise BundleError(f"{where} wants either a value or a reason; it has value {value} and reason {reason}.")
        if value is None:
            reasons.append({"condition": condition, "metric": metric, "reason": reason})
        elif not math.isfinite(value) or n is None or n < 1:
            raise BundleError(f"{where} is {value} over n = {n} items; wanted a finite number over at least one.")
        else:
            values.append({"condition": condition, "metric": metric, "value": value, "n": n})
    return values, reasons


def _row(manifest: dict[str, Any], folder: Path) -> dict[str, Any]:
    protocol, method, fold = manifest["protocol"], manifest["method"], manifest["fold"]
    key = f"{protocol['name']}@{protocol['version']}"
    if manifest["status"] not in ("completed", "failed"):
        raise BundleError(f"status is {manifest['status']!r}; accepted: completed, failed.")
    named = (key, method["name"], manifest["run"])
    if folder.parts[-3:] != named:
        raise BundleError(f"the manifest is of {'/'.join(map(str, named))}. Move the folder back to that place.")
    return {
        "run": manifest["run"],
        "status": manifest["status"],
        "reason": manifest["reason"],
        "method": method["name"],
        "base": method["method"],
        "protocol": key,
        "split": "test" if fold is None else f"test/fold{fold}",
        "seed": manifest["seed"],
        "parameters": manifest.get("parameters"),
        "fit_seconds": (manifest.get("seconds") or {}).get("fit"),
        "peak_memory_bytes": manifest.get("peak_memory_bytes"),
        "created": manifest["created"],
        "source": manifest["code"],
        "comparison": _hash(protocol, manifest["data"]["fingerprint"]),
        "variant": _hash(_said(method), manifest["code"]),
    }


def _said(method: dict[str, Any]) -> dict[str, Any]:
    """What a spec says that can move a number: no label, and nothing that a later version could have left open."""
    return {name: value for name, value in method.items() if name != "label" and value is not None}


def _records(manifest: dict[str, Any], row: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    path = folder / "records.jsonl"
    _same(path.name, path.read_bytes(), manifest["files"], "Remove the folder and run the method again.")
    whose = {name: row[name] for name in ("run", "method", "protocol", "split", "seed")}
    seen: set[tuple] = set()
    rows = []
    for record in read_jsonl(path):
        _check(record, whose, seen)
        rows.append(vars(record))  # not asdict: its deep copies cost more than the rest of the ingest
    return rows


def _check(record: Record, whose: dict[str, Any], seen: set[tuple]) -> None:
    for name, wanted in whose.items():
        if getattr(record, name) != wanted:
            raise BundleError(f"a record has {name} {getattr(record, name)!r}; the manifest says {wanted!r}.")
    key = tuple(getattr(record, name) for name in KEY)
    if key in seen:
        raise BundleError(f"two records have the key {', '.join(key)}; each number stands once.")
    seen.add(key)


def read_ledger(root: Path, columns: tuple[str, ...]) -> tuple[list[dict[str, Any]], tuple[tuple[str, str], ...]]:
    """Openings of test splits, and ``(place, why)`` of each line that is none."""
    rows, broken, path = {}, [], Path(root) / "ledger.jsonl"
    if not path.is_file():
        return [], ()
    # A line is complete once its end is written; a writer may be in the middle of the last one.
    for number, line in enumerate(re.findall(r".*\n", path.read_text(encoding="utf-8")), 1):
        try:
            opening = json.loads(line)
            row = {name: opening[name] for name in columns}
        except (KeyError, TypeError, ValueError) as error:
            broken.append((f"ledger.jsonl:{number}", f"not an opening ({error!r}). Wanted {', '.join(columns)}."))
        else:
            rows[tuple(map(str, row.values()))] = row
    # One order for all writers, so that two of them never wait for each other.
    return [rows[key] for key in sorted(rows)], tuple(broken)


def _hash(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
