"""Parts of a few rows that a test writes down itself."""

import numpy as np
import pytest

from protocols.batches import Part, Standardiser
from protocols.examples import Examples, Stream
from protocols.presentation import Presenter
from protocols.spec import committed


@pytest.fixture
def presenter_of():
    """Modality -> arrays (T_i, D) -> a Presenter of exactly these rows, which count as standardised.

    Fields of the protocol can be changed by name.
    """

    def make(streams: dict[str, list[np.ndarray]], labels=None, classes=("no", "yes"), **changed) -> Presenter:
        made, plain = {}, {}
        for m, rows in streams.items():
            stops = np.cumsum([len(x) for x in rows])
            values = np.concatenate(rows).astype(np.float32)
            made[m] = Stream(values, stops - [len(x) for x in rows], stops, values.shape[1])
            plain[m] = Standardiser(np.zeros(values.shape[1], np.float32), np.ones(values.shape[1], np.float32))
        count = len(stops)
        labels = np.zeros(count, dtype=np.int64) if labels is None else labels
        told = labels, tuple(classes), made, "planted", changed.get("task", "classification")
        examples = Examples(tuple(f"clip{i}" for i in range(count)), *told)
        spec = committed()["synthetic@1"].model_copy(update={"conditions": ("clean",)} | changed)
        return Presenter(Part(spec, examples, np.arange(count), plain))

    return make
