"""Answers of the store that all visitors of the board share until new results come in."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
import streamlit as st
from pydantic import BaseModel

from leaderboard import queries
from protocols.review import Review
from protocols.spec import ProtocolSpec
from protocols.suite import Suite

MOST = 64  # answers kept; the largest, all robustness scores of a protocol, takes a few megabytes

P = ParamSpec("P")
R = TypeVar("R")


def remembered(function: Callable[Concatenate[sa.Engine, P], R]) -> Callable[Concatenate[sa.Engine, P], R]:
    """The same function, computed once for all visitors and anew when runs or evaluations came in.

    Each caller gets a copy of its own. Visitors who ask at the same time wait for the first one's answer.

    Args:
        function: takes the store first.
    """
    name = f"{function.__code__.co_filename}:{function.__qualname__}"  # every page's module is __main__

    @wraps(function)
    def asked(engine: sa.Engine, *args: P.args, **kwargs: P.kwargs) -> R:
        return _answer(function, engine, name, str(engine.url), queries.stamp(engine), args, kwargs)

    return asked


def _told(model: BaseModel) -> str:
    return model.model_dump_json(warnings=False)  # protocols of older manifests are not validated


@st.cache_data(
    show_spinner=False,
    max_entries=MOST,
    hash_funcs={ProtocolSpec: _told, Review: _told, Suite: repr},
)
def _answer(_function, _engine, name: str, address: str, stamp: tuple, args: tuple, kwargs: dict):
    """What starts with an underscore is no part of the key."""
    return _function(_engine, *args, **kwargs)
