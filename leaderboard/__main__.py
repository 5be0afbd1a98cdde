"""``python -m leaderboard``: serve the board with everything imported before the first visitor comes.

Further arguments go to Streamlit: ``python -m leaderboard --server.port=8501``.
"""

import ctypes
import sys
from pathlib import Path

ARENAS, M_ARENA_MAX = 2, -8  # of glibc's malloc.h


def main() -> None:
    # Each of fifty visitors has a thread, and each thread would keep what it freed for itself.
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # not on macOS
        libc.mallopt(M_ARENA_MAX, ARENAS)
    # Not needed here: the pages need them, and a first visitor would wait seconds for them.
    import jinja2  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import scipy.special  # noqa: F401
    from streamlit.runtime.pages_manager import PagesManager
    from streamlit.web.cli import main as streamlit

    from leaderboard import charts, clips, export, film, session  # noqa: F401
    from protocols.papers import keys, paper

    for key in keys():  # checked once, and kept
        paper(key)

    # Known to Streamlit only once app.py has run: a shared link that opens first would get the pages without it.
    PagesManager.uses_pages_directory = False
    sys.argv = ["streamlit", "run", str(Path(__file__).with_name("server.py")), *sys.argv[1:]]
    streamlit()


if __name__ == "__main__":
    main()
