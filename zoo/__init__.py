"""METHODS: every method by name. Reading this table imports no torch."""

from difflib import get_close_matches
from importlib import import_module

from zoo.cards import EVIDENCE, STAGES, Method, Size

__all__ = ["EVIDENCE", "METHODS", "MODALITIES", "STAGES", "Method", "Size", "build", "method", "takes"]

MODALITIES = ("audio", "video", "text")
# One module of zoo.cards each, in the order in which methods are listed.
FAMILIES = (
    "generic",
    "mult",
    "mbt",
    "joint_cross_attention",
    "recursive_joint_attention",
    "hierarchical",
    "contextual",
    "tensor_fusion",
    "memory",
    "spiking",
)
METHODS: dict[str, Method] = {
    card.name: card for family in FAMILIES for card in import_module(f"zoo.cards.{family}").CARDS
}


def method(name: str) -> Method:
    """The card of a method.

    Raises:
        KeyError: naming the nearest known method.
    """
    if name not in METHODS:
        near = get_close_matches(name, METHODS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise KeyError(f"No method {name!r} in zoo.METHODS.{hint} Known: {', '.join(METHODS)}.")
    return METHODS[name]


def takes(card: Method, available: tuple[str, ...], *, aligned: bool = True) -> tuple[str, ...]:
    """Modalities that a method uses of those a protocol gives, in the order of ``MODALITIES``.

    Args:
        aligned: whether the protocol's streams have equal steps.

    Raises:
        ValueError: if the method cannot take part; the message is the reason a board shows for the skip.
    """
    used = tuple(m for m in MODALITIES if m in card.modalities and m in available)
    if len(used) < card.at_least:
        some = f"at least {card.at_least} of " if card.at_least < len(card.modalities) else ""
        raise ValueError(f"it needs {some}{', '.join(card.modalities)}; the protocol gives {', '.join(available)}.")
    if card.aligned and not aligned and len(used) > 1:
        raise ValueError(f"it fuses step by step, and the protocol's {' and '.join(used)} have unequal steps.")
    return used


def build(name: str, *, features: dict[str, int | tuple[int, ...]], outputs: int, per_step: bool = False, **settings):
    """Instantiate a method: ``build("mult", features={"audio": 40, "video": 432}, outputs=10)``.

    Args:
        features: D_m of each modality that is present, or the shape of one step where a method takes raw
            frames.
        outputs: K classes or targets.
        per_step: True for (B, T, K) output, one score vector for each step.
        settings: keyword arguments of the class, as a method spec names them.

    Returns:
        An ``nn.Module`` whose ``forward(inputs, masks)`` gives (B, K) or (B, T, K).

    Raises:
        ValueError: for settings that the class does not take, or cannot work with.
    """
    module, cls = method(name).target.split(":")
    kind = getattr(import_module(module), cls)
    try:
        return kind(features, outputs, per_step=per_step, **settings)
    except TypeError as error:
        raise ValueError(f"{name}: {error}. See the constructor of {module}.{cls}.") from None
