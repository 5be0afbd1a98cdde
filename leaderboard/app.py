"""The board: ``fuseboard serve``, or ``streamlit run leaderboard/app.py`` with FUSEBOARD_DATABASE_URL set."""

import streamlit as st

st.set_page_config(page_title="Fuseboard", page_icon="📊", layout="wide")
st.navigation(
    [
        st.Page("pages/ranking.py", title="Ranking", icon=":material/leaderboard:", default=True),
        st.Page("pages/method.py", title="Method", icon=":material/hub:"),
        st.Page("pages/download.py", title="Download", icon=":material/download:"),
    ],
    position="top",
).run()
