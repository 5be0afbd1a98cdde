"""Work ahead: in order, never further than it may, errors in their places."""

import threading

import pytest

from protocols.ahead import ahead


def test_everything_comes_in_order_and_not_too_early():
    begun, taken = [], 0

    def make(item):
        begun.append(item)
        return item * item

    for taken, made in enumerate(ahead(make, range(20), threads=3, most=4)):
        assert made == taken * taken and len(begun) <= taken + 5
    assert taken == 19 and sorted(begun) == list(range(20))


def test_an_error_comes_where_its_item_would():
    coming = ahead(lambda item: 1 // item, [2, 1, 0, 1], threads=2, most=2)
    assert [next(coming), next(coming)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(coming)


def test_who_leaves_early_waits_for_what_runs_only():
    made, go_on = [], threading.Event()

    def make(item):
        go_on.wait(30)
        made.append(item)
        return item

    go_on.set()
    coming = ahead(make, range(1000), threads=2, most=2)
    assert next(coming) == 0
    coming.close()
    assert len(made) <= 4
