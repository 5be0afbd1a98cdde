"""Ray, joined or started on this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runners.bundle import RunError
from runners.cluster import joined


def test_a_cluster_that_does_not_answer_is_told_at_once():
    with pytest.raises(RunError, match="No Ray cluster answers at '127.0.0.1:1'.*Connection refused.*ray start --head"):
        with joined("127.0.0.1:1"):
            pytest.fail("joined a cluster that is not there")


LISTENING = """
import os, signal
from pathlib import Path
from runners.cluster import joined

def stop(*_): pass
signal.signal(signal.SIGTERM, stop)
mine, parents, sockets = {os.getpid()}, {}, set()
with joined("local") as ray:
    ray.get(ray.remote(lambda: 1).remote())
    assert signal.getsignal(signal.SIGTERM) is stop
    for path in Path("/proc").glob("[0-9]*/stat"):
        parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    while more := {pid for pid, parent in parents.items() if parent in mine} - mine:
        mine |= more
    for pid in mine:
        sockets |= {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            local, state, inode = (row.split()[column] for column in (1, 3, 9))
            if state == "0A" and f"socket:[{inode}]" in sockets:  # LISTEN
                print(local.partition(":")[0])
caught = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("SigCgt"))
assert int(caught.split()[1], 16) >> signal.SIGTERM - 1 & 1
"""


@pytest.mark.ray
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="sockets are read from Linux's /proc")
def test_a_ray_of_this_machine_alone_listens_on_loopback_and_leaves_the_answer_to_sigterm():
    own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run([sys.executable, "-c", LISTENING], env=own, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loopback = {"0100007F", "0" * 16 + "FFFF00000100007F", "0" * 24 + "01000000"}  # IPv4, the same in IPv6, ::1
    assert len(done.stdout.split()) > 3 and set(done.stdout.split()) <= loopback
