"""Real servers on loopback that a test may stop and start: PostgreSQL and MLflow."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class PostgreSQL:
    """A throwaway server in a folder of its own; the machine's own PostgreSQL, or a skip."""

    def __init__(self, folder: Path):
        if not (shutil.which("initdb") and shutil.which("pg_ctl")):
            pytest.skip("no PostgreSQL: initdb and pg_ctl are not on PATH")
        who = {}
        if os.geteuid() == 0:  # initdb refuses root
            pwd = pytest.importorskip("pwd")
            try:
                user = pwd.getpwnam("postgres")
            except KeyError:
                pytest.skip("PostgreSQL refuses to run as root, and there is no user postgres")
            who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            os.chown(folder, user.pw_uid, user.pw_gid)
        port = free_port()
        self._quiet = {"cwd": folder, "check": True, "stdout": subprocess.DEVNULL, **who}
        self._data, self._log = str(folder / "data"), str(folder / "log")
        self._options = (
            f"-c listen_addresses=127.0.0.1 -p {port} -c unix_socket_directories={folder} "
            "-c fsync=off -c synchronous_commit=off -c shared_buffers=32MB"
        )
        self.url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        made = ["initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8"]
        subprocess.run([*made, "--locale=C.UTF-8"], **self._quiet)

    def start(self) -> None:
        subprocess.run(["pg_ctl", "-D", self._data, "-o", self._options, "-l", self._log, "-w", "start"], **self._quiet)

    def stop(self) -> None:
        subprocess.run(["pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop"], **self._quiet)


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """A server that runs; gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="fuseboard-pg-"))  # short: it holds a socket
    try:
        made = PostgreSQL(folder)
        made.start()
        yield made
        made.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class MLflow:
    """``mlflow server`` over a SQLite file."""

    def __init__(self, database: Path):
        self._port, self._database, self._process = free_port(), database, None
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        pytest.importorskip("mlflow.server.fastapi_app", reason="mlflow is not here, only its client")
        options = {"--host": "127.0.0.1", "--port": self._port, "--workers": 1}
        options["--backend-store-uri"] = f"sqlite:///{self._database}"
        command = [sys.executable, "-m", "mlflow", "server", "--no-serve-artifacts"]
        command += [str(word) for option in options.items() for word in option]
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with open(self._database.with_suffix(".txt"), "a") as said:
            self._process = subprocess.Popen(
                command, env=os.environ | quiet, stdout=said, stderr=said, start_new_session=True
            )

    def signal(self, number: int) -> None:
        """To the server and all that it has started."""
        if self._process:
            os.killpg(self._process.pid, number)

    def end(self) -> None:
        self.signal(signal.SIGKILL)
        if self._process:
            self._process.wait()


def free_port() -> int:
    """One on which nobody listens now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
