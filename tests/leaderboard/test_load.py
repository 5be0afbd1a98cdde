"""A million records: fifty readers at once, each page of the board, and the memory that they take in the server."""

import asyncio
import os
import re
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

import leaderboard
from leaderboard import store
from tests.leaderboard.test_browser import wait_for

MILLION = 1_000_000
READERS = 50
MOST_MEMORY = 500  # MiB in the server
GRID = "grid-digit-noisy@1"
PAGES = ("", "method", "compare", "robustness", "contribution", "attention", "cost", "protocol", "review", "download")


def grow(engine: sa.Engine) -> None:
    """Copies of the runs under other names, first methods of the same protocol, then other protocols."""
    own = sa.select(store.runs.c.run).where(store.runs.c.protocol == GRID).scalar_subquery()
    with engine.begin() as connection:
        rows = connection.scalar(sa.select(sa.func.count()).select_from(store.records))
        for copy in range(1, MILLION // rows + 2):
            key = GRID if copy <= 20 else f"load-{copy % 10}@1"
            other = {
                "run": lambda c, copy=copy: c + sa.literal(f"-{copy}"),
                "method": lambda c, copy=copy: c + sa.literal(f"-{copy}"),
                "bundle": lambda c, copy=copy: c + sa.literal(f"-{copy}"),
                "manifest_sha256": lambda c, copy=copy: c + sa.literal(f"-{copy}"),
                "protocol": lambda c, key=key: sa.literal(key),
                "manifest": lambda c, key=key: sa.func.replace(c, "grid-digit-noisy", key.partition("@")[0]),
            }
            for table in (store.runs, store.records, store.evaluations, store.undefined):
                columns = [other.get(c.name, lambda c: c)(c) for c in table.c]
                mine = sa.select(*columns).where(table.c.run.in_(own), table.c.run.not_like("%-%"))
                connection.execute(sa.insert(table).from_select([c.name for c in table.c], mine))


@pytest.fixture
def million(bundles, evaluate, database_url):
    """Address of a database with a million records in the layout of real ones."""
    evaluate(bundles, GRID, runs=5)
    engine = store.connect(database_url)
    store.ingest(engine, bundles.root)
    grow(engine)
    with engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(store.records)) >= MILLION
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")
    engine.dispose()
    return database_url


class Server:
    """A board, and what it takes."""

    def __init__(self, process: subprocess.Popen, port: int):
        self.process, self.port = process, port

    def most_memory(self) -> float:
        """Largest resident size so far, MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


@contextmanager
def serving(url: str, folder: Path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = {
        "FUSEBOARD_DATABASE_URL": url,
        "FUSEBOARD_BUNDLE_ROOT": str(folder),
        "PYTHONPATH": str(Path(leaderboard.__file__).parents[1]),
    }
    command = [sys.executable, "-m", "leaderboard", f"--server.port={port}"]
    with open(folder / "server.log", "w") as log:
        process = subprocess.Popen(command, env=os.environ | places, stdout=log, stderr=log)
    try:
        wait_for(f"http://127.0.0.1:{port}/_stcore/health", process, folder / "server.log")
        yield Server(process, port)
    finally:
        process.terminate()
        process.wait(timeout=20)


async def read(port: int, page: str) -> tuple[int, list[str]]:
    """Open a page as a browser does: how many elements came, and what went wrong."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
    from websockets.asyncio.client import connect

    elements, trouble, asked = 0, [], BackMsg()
    asked.rerun_script.page_name = page
    address = f"ws://127.0.0.1:{port}/_stcore/stream"
    async with connect(address, subprotocols=["streamlit"], max_size=None, open_timeout=120) as stream:
        await stream.send(asked.SerializeToString())
        while True:
            said = ForwardMsg()
            said.ParseFromString(await stream.recv())
            kind = said.WhichOneof("type")
            if kind == "delta" and said.delta.WhichOneof("type") == "new_element":
                elements += 1
                element = said.delta.new_element
                if element.WhichOneof("type") == "exception":
                    trouble.append(f"{page}: {element.exception.message}")
            elif kind == "page_not_found":
                trouble.append(f"{page}: not found")
            elif kind == "script_finished":
                return elements, trouble


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_fifty_readers_of_a_million_records_meet_no_error(million, tmp_path):
    folder = tmp_path / "served"
    folder.mkdir()

    async def all_at_once(port: int):
        return await asyncio.gather(*(read(port, PAGES[reader % len(PAGES)]) for reader in range(READERS)))

    with serving(million, folder) as server:
        seen = asyncio.run(all_at_once(server.port))
        assert [line for _, trouble in seen for line in trouble] == []
        assert min(elements for elements, _ in seen) > 5
        assert server.most_memory() < MOST_MEMORY
