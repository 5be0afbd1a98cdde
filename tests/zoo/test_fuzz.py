"""Generated bad specs are each refused, fast and in little memory. FUSEBOARD_FUZZ=10000 runs all of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
COUNT = int(os.environ.get("FUSEBOARD_FUZZ", "330"))


def test_bad_specs_are_refused_fast_and_in_little_memory(tmp_path):
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("fuzz_specs.py")), str(COUNT), str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["not_refused"] == []
    assert told["slowest_seconds"] < 1.0, told["slowest"]
    assert told["peak_mib"] < 300
    assert told["answers"] > 20 or COUNT < 300
