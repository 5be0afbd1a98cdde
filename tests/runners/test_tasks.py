"""Remote tasks; what they do on a cluster that loses nodes is in `test_cluster_faults.py`."""

import pytest

from runners.tasks import _as_raised


def test_what_a_signals_handler_raised_comes_out_of_compiled_code_as_it_was():
    stopped = KeyboardInterrupt("told to stop")
    with pytest.raises(KeyboardInterrupt, match="told to stop"), _as_raised():
        raise SystemError("returned a result with an exception set") from stopped
    with pytest.raises(SystemError, match="of its own"), _as_raised():
        raise SystemError("of its own")
