"""Attention maps laid out over the cells of a model's inputs. A cell is one step of one modality.

Maps come with labels, ``query<-key/layer``. A side is a modality, streams side by side (``audio+video``,
``audio+bottleneck``), or a stream that the method names itself. How they are read:

- Sides of modalities, and of modalities and ``bottleneck``, are cut at the modalities' steps. Tokens that are no
  steps (``Tokens``) stand before them if they are class tokens, and after the last if they are the bottleneck.
- ``audio+video`` with as many columns as the longer stream has steps is one stream made of both at every step. Its
  maps do not tell the modalities apart: a reason in place of a rollout.
- ``bottleneck`` and class tokens are blocks of their own, which start empty: what they are learned to hold is of no
  modality. Where several modalities write the bottleneck in one round, it is their mean.
- ``<m> memory`` reads what cross-modal layers made of m. In such a model each ``m<-k`` stack works on a copy of m,
  so that other queries still find m as it was; the memory begins as the mean of the copies.
- A stream that only queries (``global``, ``audio pooling``) starts empty. A stream that is a key but that no map
  makes (``fused`` of a sum, ``video map``) is a reason.
- ``:modalities`` columns read every modality at the query's own step. ``:features`` maps have no steps: a reason.
  The columns of ``:edges`` maps are the edges of a graph, whose vertices no map makes: a reason.
- Maps are applied in the order in which they are computed. Those of one round read what was there before it: all
  self-attention, or all attention between streams, with one layer number.
- A map of one row rewrites the class token, or the last real step where there is none.
- The prediction rests equally on every stream that no other stream reads afterwards: on its class token, else on
  the mean of its real steps, or on the step that is predicted.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from protocols.metrics import Undefined
from protocols.metrics.attention import Round, rollout

BOTTLENECK, MEMORY = "bottleneck", " memory"
NO_MAP = "the model computes no attention map"


def middle(length: int | np.ndarray) -> int | np.ndarray:
    """The step that stands for an example in which every step is predicted, by the example's real steps."""
    return length // 2


@dataclass(frozen=True)
class Label:
    """``query<-key/layer:over``; see ``Subject.recorder``."""

    query: tuple[str, ...]
    key: tuple[str, ...]
    layer: str
    over: str
    name: str  # without the layer

    @classmethod
    def read(cls, text: str, modalities: tuple[str, ...]) -> "Label":
        """A side is split at its plus signs only if all parts are modalities or the bottleneck."""
        where, _, over = text.partition(":")
        sides, _, layer = where.rpartition("/")
        split = []
        for side in sides.split("<-"):
            parts = tuple(side.split("+"))
            split.append(parts if set(parts) <= {*modalities, BOTTLENECK} else (side,))
        return cls(split[0], split[1], layer, over, f"{sides}:{over}" if over else sides)


@dataclass(frozen=True)
class Tokens:
    """What a model adds to the steps: class tokens before a modality's, and bottleneck tokens.

    Args:
        whole: True for a model that takes no padding, as one that cuts its own patches: none of its cells is any.
    """

    classes: Mapping[str, int]
    bottleneck: int
    whole: bool = False


class Cells:
    """The cells of one batch.

    Args:
        masks: m -> (B, T_m) bool.
    """

    def __init__(self, masks: Mapping[str, np.ndarray], tokens: Tokens):
        self.masks, self.tokens = masks, tokens
        self.real = {
            m: np.pad(mask, ((0, 0), (tokens.classes[m], 0)), constant_values=True) for m, mask in masks.items()
        }
        self.count = len(next(iter(masks.values())))
        self.real[BOTTLENECK] = np.ones((self.count, tokens.bottleneck), bool)

    def cut(self, side: tuple[str, ...], width: int) -> dict[str, slice]:
        """Which rows or columns of a map belong to which stream.

        Raises:
            Undefined: where streams are joined at every step, or tokens are left over.
        """
        if len(side) == 1 and (width == 1 or side[0] not in self.real):
            return {side[0]: slice(0, width)}
        wanted = {s: self.real[s].shape[1] for s in side}
        if sum(wanted.values()) == width:
            ends = np.cumsum(list(wanted.values())).tolist()
            return {s: slice(end - wanted[s], end) for s, end in zip(side, ends, strict=True)}
        name = "+".join(side)
        if BOTTLENECK not in side and width == max(self.masks[m].shape[1] for m in side):
            raise Undefined(f"{name} are joined at every step: a map over the steps does not tell them apart")
        raise Undefined(f"a map of {name} has {width} cells, and its streams have {sum(wanted.values())}")

    def owner(self, stream: str) -> str | None:
        """The modality that a stream is, or was made of alone."""
        return next((m for m in self.masks if stream == m or stream.startswith(f"{m} ")), None)

    def real_of(self, side: tuple[str, ...], width: int) -> np.ndarray:
        """(B, width) bool: which rows or columns of a side are no padding.

        Raises:
            Undefined: where that is not known.
        """
        if width == 1:
            return np.ones((self.count, 1), bool)
        if set(side) <= set(self.real):
            if sum(self.real[s].shape[1] for s in side) == width:
                return np.concatenate([self.real[s] for s in side], 1)
            if BOTTLENECK not in side:  # joined at every step, as long as the longest
                lengths = np.max([self.masks[m].sum(1) for m in side], 0)
                if width == max(self.masks[m].shape[1] for m in side):
                    return np.arange(width) < lengths[:, None]
        owner = self.owner(side[0])
        if owner is not None:
            for known in (self.real[owner], self.masks[owner]):
                if known.shape[1] == width:
                    return known
        first, *others = self.masks.values()
        if first.shape[1] == width and all(np.array_equal(first, other) for other in others):
            return first  # equal steps in all modalities, and one row for each
        if self.tokens.whole:
            return np.ones((self.count, width), bool)
        raise Undefined(f"which of the {width} cells of {'+'.join(side)} are padding is not known")


Labelled = list[tuple[Label, np.ndarray]]  # maps (B, Tq, Tk), heads averaged, in the order of computation


def received(cells: Cells, maps: Labelled, modality: str) -> np.ndarray:
    """What a modality's cells receive from queries of other streams, averaged over heads, real queries and maps.

    Returns:
        (B, T_m), zero on padding.

    Raises:
        Undefined: where no such map tells the modality's steps.
    """
    found, reasons = [], [f"no other stream attends to {modality}" if maps else NO_MAP]
    for label, weights in maps:
        if modality not in label.key:
            continue
        try:
            found += _from_others(cells, label, weights, modality)
        except Undefined as reason:
            reasons.append(str(reason))
    if not found:
        raise Undefined(reasons[-1])
    return np.mean(found, 0)


def _from_others(cells: Cells, label: Label, weights: np.ndarray, modality: str) -> list[np.ndarray]:
    """(B, T) of one map (B, Tq, Tk), or nothing where all its queries are the modality's own."""
    if label.over:
        raise Undefined(f"the columns of {label.name.partition(':')[0]} are {label.over}, not steps")
    rows, columns = cells.cut(label.query, weights.shape[1]), cells.cut(label.key, weights.shape[2])
    foreign = np.zeros(weights.shape[1], bool)
    for stream, part in rows.items():
        foreign[part] = cells.owner(stream) != modality
    if not foreign.any():
        return []
    asking = (cells.real_of(label.query, weights.shape[1]) & foreign)[:, :, None]
    seen = weights[:, :, columns[modality]][:, :, cells.tokens.classes[modality] :]  # (B, Tq, T)
    return [(seen * asking).sum(1) / asking.sum(1) * cells.masks[modality]]


class Flow:
    """Maps in the order of computation -> rounds for ``rollout``."""

    def __init__(self, cells: Cells, maps: Labelled):
        self.cells = cells
        self.rounds: list[Round] = []
        self.sizes = {s: real.shape[1] for s, real in cells.real.items()}  # cells of each stream by now
        self.before = dict(self.sizes)  # and when the running round began
        self.copies = {m: [] for m in cells.masks if any(label.query == (m + MEMORY,) for label, _ in maps)}
        self.kind: tuple | None = None
        self.divides = False  # whether some query chooses between streams
        self.reaches = {m: {m} for m in cells.masks} | {BOTTLENECK: set()}  # modalities in each stream by now
        self.reached = dict(self.reaches)
        for label, weights in maps:
            self._add(label, weights)

    def _add(self, label: Label, weights: np.ndarray) -> None:
        if label.over == "features":
            raise Undefined(f"{label.name.partition(':')[0]} mixes features, not steps")
        writes = {query: self._writes(query, label) for query in label.query}
        for key in label.key:
            self._make(key)
        self._open(label, writes)
        current = self.rounds[-1]
        for query, keys in self._blocks(label, weights).items():
            query = writes[query]
            self.divides = self.divides or len(keys) > 1
            self.reaches[query] = self.reaches.get(query, set()).union(*(self.reached[key] for key in keys))
            row = current.blocks.setdefault(query, {})
            for key, block in keys.items():
                row[key] = row[key] + block if key in row else block
            rows = next(iter(keys.values())).shape[1]
            if query in self.before and self.before[query] != rows:
                current.rows[query] = self._one_row(query, rows)
            self.sizes[query] = rows

    def _open(self, label: Label, writes: Mapping[str, str]) -> None:
        """Begin a round unless the map reads what the running one read."""
        kind = (label.query == label.key, label.layer)
        named = not set(label.query) <= set(self.cells.real)  # by the method: it reads what is there by now
        again = (
            kind[0]
            and kind == self.kind
            and any(s in self.rounds[-1].blocks for s in writes.values() if s != BOTTLENECK)
        )
        if kind != self.kind or named or again:
            self.rounds.append(Round({}, rows={}))
            self.kind, self.before, self.reached = kind, dict(self.sizes), dict(self.reaches)

    def _blocks(self, label: Label, weights: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
        """query stream -> key stream -> (B, Tq, Tk)."""
        if label.over == "modalities":
            return self._of_modalities(label, weights)
        rows = self.cells.cut(label.query, weights.shape[1])
        columns = self.cells.cut(label.key, weights.shape[2])
        for key, part in columns.items():
            self._fits(key, part.stop - part.start)
        return {q: {key: weights[:, row, column] for key, column in columns.items()} for q, row in rows.items()}

    def _of_modalities(self, label: Label, weights: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
        """Every modality at the query's own step: diagonal blocks."""
        steps = weights.shape[1]
        for key in label.key:
            self._fits(key, steps)
        blocks = {key: weights[:, :, i, None] * np.eye(steps) for i, key in enumerate(label.key)}
        return dict.fromkeys(label.query, blocks)

    def _writes(self, query: str, label: Label) -> str:
        """The stream that a query's row goes to: the query itself, or its copy where a memory reads it later."""
        if query not in self.copies or label.query != (query,):
            return query
        copy = f"{query} from {'+'.join(label.key)}"
        if copy not in self.copies[query]:
            self.copies[query].append(copy)
            self._hand_on(copy, [query])
        return copy

    def _make(self, key: str) -> None:
        """A memory begins when it is first read.

        Raises:
            Undefined: for a stream that nothing made.
        """
        if key not in self.sizes and self.copies.get(key.removesuffix(MEMORY)):
            self._hand_on(key, self.copies[key.removesuffix(MEMORY)])
        if key not in self.sizes:
            raise Undefined(f"{key!r} is no modality, and no map shows what it is made of")

    def _fits(self, key: str, width: int) -> None:
        if self.before[key] != width:
            raise Undefined(f"a map has {width} columns of {key}, which has {self.before[key]} cells")

    def _hand_on(self, stream: str, sources: list[str]) -> None:
        width = self.sizes[sources[0]]
        self.rounds.append(Round({stream: dict.fromkeys(sources, np.eye(width)[None])}, residual=False))
        self.reaches[stream] = set().union(*(self.reaches[source] for source in sources))
        self.sizes[stream], self.kind = width, None

    def _one_row(self, stream: str, rows: int) -> np.ndarray:
        """(B, 1, cells): the class token, else the last real step."""
        before, owner = self.before[stream], self.cells.owner(stream)
        if rows != 1 or owner is None:
            raise Undefined(f"a map rewrites {rows} of the {before} cells of {stream}")
        real = self.cells.real_of((stream,), before)
        token = stream == owner and self.cells.tokens.classes[owner]
        place = np.zeros(len(real), int) if token else real.sum(1) - 1
        return np.eye(before)[place][:, None]

    def outlets(self) -> list[str]:
        """The streams that no other one reads after they were last written."""
        written, read = dict.fromkeys(self.cells.masks, -1), {}
        for place, one in enumerate(self.rounds):
            for query, keys in one.blocks.items():
                written[query] = place
                for key in keys:
                    if key != query:
                        read[key] = place
        return [s for s, place in written.items() if s != BOTTLENECK and read.get(s, -1) <= place]


def rolled(cells: Cells, maps: Labelled, per_step: bool) -> tuple[dict[str, np.ndarray], str | None]:
    """Share of every input cell in what the prediction attends to, by attention rollout.

    Args:
        per_step: whether the middle step is predicted, not the clip.

    Returns:
        m -> (B, T_m), all cells of an example together 1; and why the modalities' sums say nothing, where the wiring
        alone sets them.

    Raises:
        Undefined: where the maps do not lead from the prediction back to steps.
    """
    if not maps:
        raise Undefined(NO_MAP)
    flow = Flow(cells, maps)
    outlets = flow.outlets()
    out = {s: _read_out(cells, s, flow.sizes[s], per_step) / len(outlets) for s in outlets}
    rows = rollout(flow.rounds, out, [*cells.masks, BOTTLENECK])
    reached = {}
    for m, mask in cells.masks.items():
        row = rows[m][:, 0, cells.tokens.classes[m] :] if m in rows else np.zeros(mask.shape)
        reached[m] = row * mask
    total = sum(x.sum(1) for x in reached.values())[:, None]
    if (total <= 0).any():
        raise Undefined("an example's prediction attends to learned tokens alone")
    fixed = None
    if all(len(flow.reaches[s]) < 2 for s in outlets):
        fixed = "no map joins the modalities"
    elif not flow.divides:
        fixed = "no query divides its weight between streams, so the wiring alone sets the shares"
    return {m: x / total for m, x in reached.items()}, fixed


def _read_out(cells: Cells, stream: str, width: int, per_step: bool) -> np.ndarray:
    """(B, 1, width) weights of the cells of a stream that the prediction rests on."""
    if width == 1 or (stream in cells.masks and cells.tokens.classes[stream]):
        return np.eye(width)[None, :1].repeat(cells.count, 0)
    real = cells.real_of((stream,), width)
    if per_step:
        return np.eye(width)[middle(real.sum(1))][:, None]
    return (real / real.sum(1, keepdims=True))[:, None]
