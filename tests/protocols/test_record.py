import json
import math

import pytest

from protocols.record import FIELDS, Record, read_jsonl, to_jsonl

GOOD = {
    "method": "mult-paper",
    "protocol": "synthetic@1",
    "split": "test",
    "condition": "clean",
    "metric": "accuracy",
    "value": 0.5,
    "n": 10,
    "seed": 0,
    "origin": "measured",
    "source": "fuseboard 0.1.0",
    "run": "0123456789abcdef",
    "created": "2026-01-01T00:00:00+00:00",
}


def test_a_record_survives_a_file(tmp_path):
    records = [Record(**GOOD), Record(**GOOD | {"condition": "audio/missing", "value": 1 / 3})]
    path = tmp_path / "records.jsonl"
    path.write_text(to_jsonl(records))
    assert list(read_jsonl(path)) == records
    assert list(json.loads(path.read_text().splitlines()[0])) == list(FIELDS)


@pytest.mark.parametrize(
    ("wrong", "said"),
    (
        ({"value": math.nan}, "accuracy is nan"),
        ({"value": math.inf}, "finite"),
        ({"origin": "guessed"}, "measured, published"),
        ({"n": 0}, "n = 0"),
    ),
)
def test_what_is_no_record_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        Record(**GOOD | wrong)


@pytest.mark.parametrize("line", ("{", "[]", '{"method": "x"}', '{"value": NaN}'))
def test_a_bad_line_is_named(tmp_path, line):
    path = tmp_path / "records.jsonl"
    path.write_text(to_jsonl([Record(**GOOD)]) + line + "\n")
    with pytest.raises(ValueError, match=r"records\.jsonl:2: not a record"):
        list(read_jsonl(path))
