"""Shared answers: one for all who ask the same, a new one when results come in."""

from leaderboard import queries, store
from leaderboard.remembered import remembered


def test_an_answer_is_kept_until_results_come_in_and_no_caller_can_spoil_it(engine, bundles, spec):
    asked = []

    def scores(engine, spec, metric, least=0.0):
        asked.append((metric, least))
        values = queries.seeds(engine, spec, metric, "clean")["value"]
        return sorted(values[values >= least])

    kept = remembered(scores)
    bundles.add(seed=0, accuracy=0.5)
    store.ingest(engine, bundles.root)
    first = kept(engine, spec, "accuracy")
    assert first == [0.5]
    first.append("spoilt")
    assert kept(engine, spec, "accuracy") == [0.5] and asked == [("accuracy", 0.0)]
    assert kept(engine, spec, "accuracy", least=0.6) == []  # other arguments are another question
    assert kept(engine, spec, "macro_f1") == [0.4]
    bundles.add(seed=1, accuracy=0.7)
    store.ingest(engine, bundles.root)
    assert kept(engine, spec, "accuracy") == [0.5, 0.7]
    assert len(asked) == 4
