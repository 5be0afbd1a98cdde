"""The settings that each method takes, read off its class without importing it: reading a signature costs no torch.

Names, types and defaults come from the constructor, meanings from its docstring.
"""

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from zoo import METHODS

LARGEST = 1_000_000  # of a whole number: more layers or units than any method has
Whole = Annotated[int, Field(ge=0, le=LARGEST)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=0, lt=1)]
WORDS = {"int": Whole, "float": Number, "bool": bool, "str": str, "Any": Any}
WORDS |= {"dict": dict, "list": list, "Sequence": list, "None": None}
GIVEN = "per_step"  # by the protocol's task, never by a spec


@dataclass(frozen=True)
class Setting:
    """One keyword of a method's constructor.

    Args:
        annotation: its type as the code writes it.
        required: whether it has no default.
        meaning: what the docstring says of it.
    """

    name: str
    annotation: str
    required: bool
    meaning: str

    @property
    def choices(self) -> tuple[str, ...]:
        """The words that a setting of type ``str`` takes, as the docstring quotes them."""
        found = tuple(re.findall(r'"(\w+)"', self.meaning)) if self.annotation == "str" else ()
        return found if len(found) > 1 else ()

    @cached_property
    def adapter(self) -> TypeAdapter:
        """Checks a value as YAML gives it: no text for a number, no 1 for true."""
        return TypeAdapter(Literal[self.choices] if self.choices else self._type())

    def _type(self) -> Any:
        names = WORDS | ({"float": Rate} if self.name.endswith("dropout") else {})
        return _typed(ast.parse(self.annotation, mode="eval").body, names)


def _typed(node: ast.expr, names: dict[str, Any]) -> Any:
    """The type that an annotation names; one that says more than names, ``|`` and subscripts is left to the class."""
    if isinstance(node, ast.Name):
        return names.get(node.id, Any)
    if isinstance(node, ast.Constant) and node.value is None:
        return None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _typed(node.left, names) | _typed(node.right, names)
    if isinstance(node, ast.Subscript):
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        outer = _typed(node.value, names)
        if outer in (dict, list) and len(inner) == (2 if outer is dict else 1):
            return outer[tuple(_typed(part, names) for part in inner)]
    return Any


@cache
def settings_of(method: str) -> dict[str, Setting]:
    """Name -> setting of a method of the zoo, in the order of its constructor."""
    module, name = METHODS[method].target.split(":")
    return {s.name: s for s in _constructor(module, name) if s.name != GIVEN}


def _constructor(module: str, name: str) -> list[Setting]:
    tree = _tree(module)
    kind = next((n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name), None)
    if kind is None:  # imported from a module of ours
        source = next(
            n.module for n in tree.body if isinstance(n, ast.ImportFrom) and name in [a.name for a in n.names]
        )
        return _constructor(source, name)
    init = next(n for n in kind.body if isinstance(n, ast.FunctionDef) and n.name == "__init__")
    named = [*init.args.args[1:], *init.args.kwonlyargs, *filter(None, [init.args.kwarg])]
    meanings = _meanings(ast.get_docstring(kind) or "", [a.arg for a in named])
    found = [
        Setting(a.arg, ast.unparse(a.annotation), default is None, meanings.get(a.arg, ""))
        for a, default in zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)
    ]
    if init.args.kwarg:  # handed on whole to a part of the method
        found += _constructor(module, _receiver(init, init.args.kwarg.arg))
    return found


def _receiver(init: ast.FunctionDef, keywords: str) -> str:
    """The class that a constructor calls with ``**keywords``."""
    for node in ast.walk(init):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if any(k.arg is None and isinstance(k.value, ast.Name) and k.value.id == keywords for k in node.keywords):
                return node.func.id
    raise TypeError(f"nothing takes **{keywords}")


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(Path(find_spec(module).origin).read_text(encoding="utf-8"))


def _meanings(docstring: str, names: Sequence[str]) -> dict[str, str]:
    """What the ``Args:`` of a docstring say of each name; ``a, b: text`` is said of both."""
    block = re.search(r"^Args:\n((?:[ ]{4}.*\n?|\n)+)", docstring, re.M)
    if not block:
        return {}
    text = " ".join(block.group(1).split())
    one = "|".join(map(re.escape, sorted(names, key=len, reverse=True))) or "(?!)"
    heads = list(re.finditer(rf"(?:^|(?<=\. ))((?:{one})(?:, (?:{one}))*): ", text))
    found = {}
    for head, after in zip(heads, [*heads[1:], None], strict=True):
        said = text[head.end() : after.start() if after else None].strip()
        found |= dict.fromkeys(head.group(1).split(", "), said)
    return found
