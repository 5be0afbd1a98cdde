"""The board: ``fuseboard serve``, or ``streamlit run leaderboard/server.py`` with FUSEBOARD_DATABASE_URL set."""

from pathlib import Path

import streamlit as st

from leaderboard.contents import NAME, PAGES

HERE = Path(__file__).parent

page = st.navigation(
    [
        st.Page(f"pages/{page.file}.py", title=page.title, icon=f":material/{page.icon}:", default=page is PAGES[0])
        for page in PAGES
    ],
    position="top",
)
st.set_page_config(page_title=f"{page.title} · {NAME}", page_icon="📊", layout="wide")
st.logo(str(HERE / "logo.svg"))
st.html(HERE / "board.css")
page.run()
