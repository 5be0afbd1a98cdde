import numpy as np
import pytest

from protocols.examples import DataError
from protocols.split import read_split

IDS = ("a", "b", "c", "d")


def split(tmp_path, text):
    path = tmp_path / "split.csv"
    path.write_text(text)
    return path


def test_parts(tmp_path):
    parts = read_split(split(tmp_path, "id,part\nc,train\na,test\nb,validation\n"), IDS, folds=None, fold=None)
    assert {part: index.tolist() for part, index in parts.items()} == {"train": [2], "validation": [1], "test": [0]}


@pytest.mark.parametrize("fold", (1, 2, 3))
def test_the_fold_after_the_test_fold_validates(tmp_path, fold):
    parts = read_split(split(tmp_path, "id,fold\na,1\nb,2\nc,3\nd,3\n"), IDS, folds=3, fold=fold)
    of = {1: [0], 2: [1], 3: [2, 3]}
    assert parts["test"].tolist() == of[fold]
    assert parts["validation"].tolist() == of[fold % 3 + 1]
    assert sorted(np.concatenate(list(parts.values()))) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("text", "said"),
    (
        ("id,part\nz,train\n", r":2: id 'z' is not in the data"),
        ("id,part\na,train\na,test\n", r":3: id 'a' stands here twice"),
        ("id,part\na,dev\n", r":2: part 'dev'; accepted: train, validation, test"),
        ("name,part\na,train\n", "wanted \\['id', 'part'\\]"),
        ("id,part\na,train\nb,test\n", "no example in part 'validation'"),
    ),
)
def test_a_bad_split_is_refused(tmp_path, text, said):
    with pytest.raises(DataError, match=said):
        read_split(split(tmp_path, text), IDS, folds=None, fold=None)


def test_a_missing_split_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such split file"):
        read_split(tmp_path / "none.csv", IDS, folds=None, fold=None)
