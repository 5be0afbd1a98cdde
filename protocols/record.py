"""The one result schema: a number, and everything needed to know what it is."""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

SCHEMA_VERSION = 1
ORIGINS = ("measured", "published")
# What makes a record unique. `seed` follows from `run`.
KEY = ("run", "method", "protocol", "split", "condition", "metric")


@dataclass(frozen=True, kw_only=True)
class Record:
    """One finite number. Means, ranks and percent signs are queries, not records.

    Args:
        method: name of a method spec, e.g. ``"mult-paper"``.
        protocol: ``name@version`` of a protocol spec.
        split: ``"test"``, or ``"test/fold3"`` where the protocol has folds.
        condition: ``"clean"``, ``"audio/white_noise/0dB"``, ``"video/missing"``.
        metric: key of ``protocols.metrics.METRICS``; what follows a slash qualifies it
            (``"accuracy/majority_class"`` is the accuracy of the majority class).
        value: in the metric's own unit; fractions stay in [0, 1].
        n: scored items behind ``value`` (examples, or steps where each step is labelled).
        seed: None for published numbers.
        origin: ``"measured"`` or ``"published"``.
        source: code version when measured; "paper, table, row" when published.
        run: id of the run that wrote it.
        created: ISO 8601, UTC.

    Raises:
        ValueError: for a value that is not finite, an unknown origin, or no items.
    """

    method: str
    protocol: str
    split: str
    condition: str
    metric: str
    value: float
    n: int
    seed: int | None
    origin: str
    source: str
    run: str
    created: str

    def __post_init__(self):
        where = f"{self.method} on {self.protocol}, {self.condition}"
        if not math.isfinite(self.value):
            raise ValueError(f"{where}: {self.metric} is {self.value}; a record holds finite numbers only.")
        if self.origin not in ORIGINS:
            raise ValueError(f"{where}: origin {self.origin!r} is not one of {', '.join(ORIGINS)}.")
        if self.n < 1:
            raise ValueError(f"{where}: {self.metric} over n = {self.n} items says nothing.")


FIELDS = tuple(field.name for field in fields(Record))


def to_jsonl(records: Iterable[Record]) -> str:
    """One JSON object a line, keys in the order of the fields."""
    return "".join(json.dumps(asdict(record)) + "\n" for record in records)


def read_jsonl(path: Path) -> Iterator[Record]:
    """Records of one file.

    Raises:
        ValueError: naming file and line, for anything that is not a record.
    """
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield Record(**json.loads(line))
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"{path}:{number}: not a record ({error}). Wanted a JSON object with {', '.join(FIELDS)}."
                ) from None
