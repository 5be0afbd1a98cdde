"""Reading result bundles: one folder a run, written whole by the runner."""

import hashlib
import json
import re
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocols.record import KEY, Record, read_jsonl

SCHEMA_VERSION = 1


class BundleError(ValueError):
    """A bundle that cannot be trusted: what is wrong and what to do."""


@dataclass(frozen=True)
class Bundle:
    """One run as rows: ``row`` for the table of runs (all but its folder), ``records`` for the table of records."""

    row: dict[str, Any]
    records: list[dict[str, Any]]


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
    try:
        text = (folder / "manifest.json").read_bytes()
        digest = hashlib.sha256(text).hexdigest()
        if digest in unless:
            return None
        manifest = json.loads(text)
        if manifest["schema_version"] != SCHEMA_VERSION:
            raise BundleError(
                f"manifest.json has schema version {manifest['schema_version']}; this fuseboard reads "
                f"{SCHEMA_VERSION}. Update fuseboard."
            )
        row = _row(manifest, folder) | {"manifest_sha256": digest, "manifest": text.decode()}
        return Bundle(row, _records(manifest, row, folder) if row["status"] == "completed" else [])
    except FileNotFoundError as error:
        raise BundleError(
            f"{Path(error.filename).name} is missing. Remove the folder and run the method again."
        ) from None
    except KeyError as error:
        raise BundleError(f"manifest.json lacks {error}. Remove the folder and run the method again.") from None
    except (TypeError, ValueError, OSError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"cannot be read: {error}. Remove the folder and run the method again.") from None


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
        "variant": _hash(method, manifest["code"]),
    }


def _records(manifest: dict[str, Any], row: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    path = folder / "records.jsonl"
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != (wanted := manifest["files"]["records.jsonl"]):
        raise BundleError(
            f"records.jsonl has SHA-256 {found[:12]}..., the manifest says {wanted[:12]}...: the file was altered or "
            "cut short. Restore it, or remove the folder and run the method again."
        )
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
