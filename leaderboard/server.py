"""The server of the board: Streamlit's own, with the first paint of each page before it.

``python -m leaderboard`` starts it.
"""

from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from leaderboard.first_paint import FirstPaint

app = st.App(Path(__file__).with_name("app.py"), middleware=[Middleware(FirstPaint)])
