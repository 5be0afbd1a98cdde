"""YAML from strangers: data only, with limits on size, nesting and aliases, and the line of everything in it.

Limits hold before anything is built, so that a hostile file costs no more than reading `SIZE` bytes of it.
"""

import math
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SIZE = 32 * 1024  # bytes; the longest preset has 3 KB
NESTING = 24  # lists and mappings inside each other
ALIASES = 8  # uses of *names
NODES = 4000  # values and keys, each use of an alias counted whole
LARGEST = 2**53  # whole numbers that every reader of JSON keeps exactly
DIGITS = 40  # characters of a number
TEXT = 4000  # characters of one text
PLAIN = {"null", "bool", "int", "float", "str", "seq", "map"}
DIRECTION = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # reorder what is shown

Place = tuple[str | int, ...]


class YamlError(ValueError):
    """A text that is refused.

    Args:
        message: what came and what is accepted.
        line: from 1; None where the fault is of the whole.
        path: keys and indices down to the place, as far as it was read.
    """

    def __init__(self, message: str, line: int | None = None, path: Place = ()):
        super().__init__(message)
        self.message, self.line, self.path = message, line, path


@dataclass(frozen=True)
class Document:
    """What a text says, and where.

    Args:
        data: made of dict, list, str, int, float, bool and None; keys are texts.
        lines: path of keys and indices -> line, from 1; a value has the line of its key.
    """

    data: Any
    lines: dict[Place, int]

    def line(self, path: Place) -> int:
        """Line of the place, or of the nearest place around it."""
        return next((self.lines[path[:n]] for n in range(len(path), -1, -1) if path[:n] in self.lines), 1)


def read_text(path: Path) -> str:
    """The text of a file that is small enough to be looked at.

    Raises:
        YamlError: for a file over the limit, or not in UTF-8.
        OSError: for one that cannot be read.
    """
    with open(path, "rb") as file:
        content = file.read(SIZE + 1)
    if len(content) > SIZE:
        raise YamlError(f"is longer than {SIZE // 1024} KiB, the limit for a spec.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise YamlError(f"not UTF-8: byte {content[error.start]:#04x}. Save it as UTF-8.", line) from None


def parse(text: str) -> Document:
    """Read one YAML document.

    Raises:
        YamlError: with the line, for anything but small plain data.
    """
    if len(text) > SIZE or len(text.encode("utf-8", "surrogatepass")) > SIZE:
        raise YamlError(f"is longer than {SIZE // 1024} KiB, the limit for a spec.")
    for number, line in enumerate(text.split("\n"), 1):
        _printable(line.rstrip("\r"), number, ())
    try:
        _within_limits(text)
        node = yaml.compose(text, Loader=LOADER)
    except YamlError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = " ".join(part for part in (error.context, error.problem) if part)
        raise YamlError(f"not YAML: {said}.", mark.line + 1 if mark else None) from None
    except yaml.YAMLError as error:
        raise YamlError(f"not YAML: {' '.join(str(error).split())}") from None
    except ValueError as error:  # an escape for a character that there is not
        raise YamlError(f"not YAML: {error}.") from None
    if node is None:
        raise YamlError("holds nothing.", 1)
    builder = _Builder()
    return Document(builder.build(node, ()), builder.lines)


LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _within_limits(text: str) -> None:
    """Walk the events, which builds nothing."""
    depth = aliases = nodes = documents = 0
    for event in yaml.parse(text, Loader=LOADER):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > NESTING:
                raise YamlError(f"nested deeper than {NESTING} levels.", line)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
            if aliases > ALIASES:
                raise YamlError(f"more than {ALIASES} aliases (*{event.anchor[:20]}). Write the value again.", line)
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise YamlError("a second document (---). A spec is one.", line)
        nodes += isinstance(event, yaml.NodeEvent)
        if nodes > NODES:
            raise YamlError(f"more than {NODES} values and keys.", line)


class _Builder:
    """Plain data from YAML's nodes; aliases count, and nest, as what they stand for."""

    def __init__(self):
        self.lines: dict[Place, int] = {}
        self._nodes = 0

    def build(self, node: yaml.Node, path: Place, line: int | None = None) -> Any:
        line = line or node.start_mark.line + 1
        self.lines.setdefault(path, line)
        self._nodes += 1
        if self._nodes > NODES or len(path) > NESTING:
            what = f"{NODES} values" if self._nodes > NODES else f"{NESTING} levels"
            raise YamlError(f"its aliases unfold to more than {what}.", line, path)
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if isinstance(node, yaml.SequenceNode) and kind == "seq":
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode) and kind == "map":
            return self._mapping(node, path)
        if isinstance(node, yaml.ScalarNode):
            return _scalar(kind, node.value, line, path)
        raise YamlError(f"tag {shown(node.tag)} is not accepted; a spec is plain data.", line, path)

    def _mapping(self, node: yaml.MappingNode, path: Place) -> dict[str, Any]:
        found = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise YamlError("a key that is a list or a mapping. Keys are names.", line, path)
            key = _printable(key_node.value, line, path)
            if len(key) > DIGITS:
                raise YamlError(f"key {shown(key)} is longer than {DIGITS} characters.", line, path)
            if key in found:
                before = self.lines[*path, key]
                raise YamlError(f"key {shown(key)} stands twice, in lines {before} and {line}.", line, (*path, key))
            self.lines[*path, key] = line
            found[key] = self.build(value_node, (*path, key), line)
        return found


def _scalar(kind: str, text: str, line: int, path: Place) -> Any:
    if kind == "str":
        return _printable(text, line, path)
    if kind == "null":
        return None
    if kind == "timestamp":
        return text
    if kind not in PLAIN:
        raise YamlError(f"tag !!{shown(kind)} is not accepted; a spec is plain data.", line, path)
    if len(text) > DIGITS:
        raise YamlError(f"{shown(text)} is longer than {DIGITS} characters, the limit for a number.", line, path)
    try:
        value = yaml.SafeLoader("").construct_object(yaml.ScalarNode(f"tag:yaml.org,2002:{kind}", text))
    except (ValueError, KeyError, IndexError):
        raise YamlError(f"{shown(text)} is no {kind}.", line, path) from None
    if kind == "float" and not math.isfinite(value):
        raise YamlError(f"{shown(text)} is not a finite number.", line, path)
    if kind == "int" and abs(value) > LARGEST:
        raise YamlError(f"{shown(text)} is beyond 2^53, the largest whole number that is accepted.", line, path)
    return value


def _printable(text: str, line: int, path: Place) -> str:
    """The text, if a page, a terminal and a database can all show it."""
    if len(text) > TEXT:
        raise YamlError(f"a text of {len(text)} characters; the limit is {TEXT}.", line, path)
    if text.isascii() and text.isprintable():
        return text
    for character in text:
        wrong = unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t"
        if wrong or character in DIRECTION:
            raise YamlError(f"character U+{ord(character):04X} is not accepted: it cannot be shown.", line, path)
    return text


def shown(value: Any) -> str:
    """A value as an error shows it: on one line, and short."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text)} characters)"
