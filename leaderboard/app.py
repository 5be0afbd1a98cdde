"""The board: ``fuseboard serve``, or ``streamlit run leaderboard/app.py`` with FUSEBOARD_DATABASE_URL set."""

import streamlit as st

st.set_page_config(page_title="Fuseboard", page_icon="📊", layout="wide")
st.navigation(
    [
        st.Page("pages/ranking.py", title="Ranking", icon=":material/leaderboard:", default=True),
        st.Page("pages/compare.py", title="Compare", icon=":material/compare_arrows:"),
        st.Page("pages/method.py", title="Method", icon=":material/hub:"),
        st.Page("pages/robustness.py", title="Robustness", icon=":material/shield:"),
        st.Page("pages/contribution.py", title="Contribution", icon=":material/donut_small:"),
        st.Page("pages/attention.py", title="Attention", icon=":material/visibility:"),
        st.Page("pages/cost.py", title="Cost", icon=":material/speed:"),
        st.Page("pages/protocol.py", title="Protocol", icon=":material/rule:"),
        st.Page("pages/paper.py", title="Paper", icon=":material/article:"),
        st.Page("pages/review.py", title="Review", icon=":material/menu_book:"),
        st.Page("pages/download.py", title="Download", icon=":material/download:"),
        st.Page("pages/submit.py", title="Submit", icon=":material/upload:"),
        st.Page("pages/submissions.py", title="Submissions", icon=":material/list_alt:"),
    ],
    position="top",
).run()
