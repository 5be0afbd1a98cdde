"""The board: ``fuseboard serve``, or ``streamlit run leaderboard/server.py`` with FUSEBOARD_DATABASE_URL set."""

from pathlib import Path

import streamlit as st

from leaderboard.contents import NAME, PAGES
from leaderboard.session import plain
from leaderboard.store import StoreError

HERE = Path(__file__).parent

page = st.navigation(
    [st.Page(f"pages/{page.file}.py", title=page.title, default=page is PAGES[0]) for page in PAGES],
    position="top",
)
st.set_page_config(page_title=f"{page.title} · {NAME}", page_icon="📊", layout="wide")
st.logo(str(HERE / "logo.svg"))
st.html(HERE / "board.css")
try:
    page.run()
except StoreError as error:  # a database that went away after it was opened
    st.error(plain(str(error)))
