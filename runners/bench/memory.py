"""One training step in a fresh process: reads a case on standard input, prints the growth of memory in bytes."""

import resource
import sys
from pathlib import Path

import torch

from runners.bench import Case, Trained, plain


def resident() -> int:
    """The largest resident set so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # of this program alone; what getrusage tells starts with the parent's
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) * 1024
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024


def main() -> None:
    """Build, then step once."""
    torch.set_num_threads(1)
    case = Case.from_json(sys.stdin.read())
    model = case.model()
    if sys.argv[1] == "plain step":
        model = plain(case)(model)
    trained = Trained(model, case.data())
    before = resident()
    trained.step()
    print(resident() - before)


if __name__ == "__main__":
    main()
