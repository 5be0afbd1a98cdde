"""The server of the board: Streamlit's own, with the first paint of each page before it.

``python -m leaderboard`` starts it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from leaderboard import first_ranking
from leaderboard.first_paint import FirstPaint


@asynccontextmanager
async def ready(_: st.App) -> AsyncIterator[None]:
    """Reads the ranking that most visitors open with, so that the first of them need not wait for it either."""
    reading = asyncio.get_running_loop().run_in_executor(None, first_ranking.html, {})
    reading.add_done_callback(lambda done: done.exception())  # the page itself says what is wrong with a store
    yield


app = st.App(Path(__file__).with_name("app.py"), middleware=[Middleware(FirstPaint)], lifespan=ready)
