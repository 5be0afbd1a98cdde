"""Method, protocol, seed and data -> one content hash, the run id."""

import ast
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from protocols.corruptions import CORRUPTIONS, parse_condition
from protocols.metrics import metric
from protocols.spec import ProtocolSpec
from zoo import METHODS
from zoo.spec import MethodSpec

ROOT = Path(__file__).parent.parent
PACKAGES = ("zoo", "protocols", "runners")
# What every run goes through. Its method, metrics, corruptions and feature functions are added to these; loaders
# and splits are not, because the fingerprints of what they give are in the run id.
COMMON = ("runners.train", "protocols.batches", "protocols.evaluation", "protocols.split")
# Imported by those, but unable to move a number: tables, texts, refusals.
INERT = frozenset(
    ("zoo", "zoo.spec", "protocols", "protocols.corruptions", "protocols.datasets", "protocols.examples")
    + ("protocols.metrics", "protocols.record", "protocols.spec", "zoo.parts.architecture", "zoo.parts.keys")
    + ("protocols.tasks", "zoo.remedies.keys")
)


@dataclass(frozen=True)
class Experiment:
    """One run, before it happens.

    Args:
        fold: which fold is tested; None where the protocol has none.
        fingerprint: of the examples.
        division: SHA-256 of the split file.
        code: of everything that can move the numbers of this run.
        device: "cpu" or "cuda"; their numbers differ.
    """

    method: MethodSpec
    protocol: ProtocolSpec
    seed: int
    fold: int | None
    fingerprint: str
    division: str
    code: str
    device: str

    @property
    def run(self) -> str:
        """The run id: 16 hexadecimal digits."""
        content = {
            "method": self.method.model_dump(mode="json", exclude={"label"}, exclude_none=True),
            "protocol": self.protocol.model_dump(mode="json", exclude={"title", "description", "seeds"}),
            "seed": self.seed,
            "fold": self.fold,
            "fingerprint": self.fingerprint,
            "division": self.division,
            "code": self.code,
            "device": self.device,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def split(self) -> str:
        """As records name it."""
        return f"test/fold{self.fold}" if self.fold else "test"

    @property
    def folder(self) -> Path:
        """Of the bundle, below the bundle root."""
        return Path(self.protocol.key, self.method.name, self.run)


def numeric_code(method: MethodSpec, protocol: ProtocolSpec, features: Iterable[str]) -> str:
    """Hash of the code that can move this run's numbers: its modules and all they import, without
    docstrings and comments.

    Args:
        features: modules of the functions that turn raw rows into features.
    """
    roots = [*COMMON, METHODS[method.method].target, *features]
    roots += [metric(name).target for name in protocol.metrics]
    if method.remedy:
        roots.append(method.remedy.target)
    for text in (*protocol.conditions, *protocol.training_conditions):
        if (corruption := parse_condition(text).corruption) in CORRUPTIONS:
            roots.append(CORRUPTIONS[corruption].target)
    return code_of(root.split(":")[0] for root in roots)


def code_of(modules: Iterable[str]) -> str:
    """Hash of some modules and all they import, without docstrings and comments."""
    modules = _closure(frozenset(modules))
    return hashlib.sha256("".join(_code(module) for module in sorted(modules)).encode()).hexdigest()[:16]


def _path(module: str) -> Path | None:
    for path in (ROOT / Path(*module.split(".")) / "__init__.py", ROOT / f"{Path(*module.split('.'))}.py"):
        if path.is_file():
            return path
    return None


def _closure(roots: frozenset[str]) -> set[str]:
    found, waiting = set(), [*roots]
    while waiting:
        module = waiting.pop()
        if module in found or module in INERT or module.split(".")[0] not in PACKAGES or _path(module) is None:
            continue
        found.add(module)
        for node in ast.walk(_tree(module)):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                waiting += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_path(module).read_text(encoding="utf-8"))


@cache
def _code(module: str) -> str:
    """The syntax tree as text, the same on every Python version that parses it."""
    return f"{module}:{_text(_tree(module))}\n"


def _text(node) -> str:
    if isinstance(node, list):
        return f"[{','.join(map(_text, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = []
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(value, list) and _is_docstring(value):
            value = value[1:]
        if value not in (None, []):  # newer versions add empty fields
            parts.append(f"{name}={_text(value)}")
    return f"{type(node).__name__}({','.join(parts)})"


def _is_docstring(body: list) -> bool:
    first = body[0] if body else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)


def describe(experiment: Experiment) -> dict:
    """The experiment as the manifest carries it."""
    return {
        "run": experiment.run,
        "method": experiment.method.model_dump(mode="json"),
        "protocol": experiment.protocol.model_dump(mode="json"),
        "fold": experiment.fold,
        "seed": experiment.seed,
        "data": {
            "dataset": experiment.protocol.dataset,
            "target": experiment.protocol.target,
            "fingerprint": experiment.fingerprint,
            "division": experiment.division,
        },
        "code": experiment.code,
    }
