"""Lists that came with the data become a split file like any other."""

from protocols.datasets.own_splits import write_split
from protocols.split import read_split


def test_parts_are_read_back(tmp_path):
    path = write_split(tmp_path / "a" / "own.csv", {"c": "test", "a": "train", "b": "validation"}, folds=False)
    assert path.read_text() == "id,part\na,train\nb,validation\nc,test\n"
    parts = read_split(path, ("a", "b", "c", "unlisted"), folds=None, fold=None)
    assert {part: rows.tolist() for part, rows in parts.items()} == {"train": [0], "validation": [1], "test": [2]}


def test_folds_are_read_back(tmp_path):
    path = write_split(tmp_path / "own.csv", {"a": "1", "b": "2", "c": "3"}, folds=True)
    parts = read_split(path, ("a", "b", "c"), folds=3, fold=3)
    assert {part: rows.tolist() for part, rows in parts.items()} == {"train": [1], "validation": [0], "test": [2]}


def test_the_same_lists_leave_the_file_alone(tmp_path):
    path = write_split(tmp_path / "own.csv", {"a": "train"}, folds=False)
    before = path.stat().st_mtime_ns
    assert write_split(path, {"a": "train"}, folds=False).stat().st_mtime_ns == before
    write_split(path, {"a": "test"}, folds=False)
    assert "a,test" in path.read_text() and list(tmp_path.iterdir()) == [path]
