"""What a card says of a method. Its modules hold one family's cards each; none of them imports torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

EVIDENCE = ("parity", "code-read", "paper-read", "derived-from-abstract", "generic")
STAGES = ("none", "early", "intermediate", "late", "hybrid")


@dataclass(frozen=True)
class Size:
    """A parameter count that can be checked: build ``preset`` with these widths and count.

    Args:
        source: who computed or printed the number.
    """

    preset: str
    features: Mapping[str, int | tuple[int, ...]]
    outputs: int
    parameters: int
    source: str

    def __str__(self) -> str:
        shapes = {m: (d,) if isinstance(d, int) else d for m, d in self.features.items()}
        widths = ", ".join(f"{m} {'×'.join(map(str, shape))}" for m, shape in shapes.items())
        return f"{self.parameters:,} as {self.preset} with {widths} and {self.outputs} outputs ({self.source})"


@dataclass(frozen=True)
class Method:
    """The card of a method.

    Args:
        target: ``"module:Class"``, imported only by ``build``.
        title: as people call it.
        paper: authors, year, identifier; "ours" for a baseline without one.
        summary: one sentence: what is fused, where and how.
        modalities: what it can take. ``at_least`` of them must be there.
        at_least: fewest modalities it works with; 1 for a unimodal baseline.
        fusion_stage: one of ``STAGES``.
        attention: attention family, "none" where there is none.
        equations: of the paper, that the implementation follows; what it computes where there is no paper.
        code: official code lines it follows, with repository and commit; empty where none was read.
        differs: every known difference from paper and code.
        evidence: "parity" (weights imported from the authors' code, outputs equal), "code-read",
            "paper-read", "derived-from-abstract", or "generic" for an architecture without one paper.
        presets: specs in ``zoo/specs`` that a board ranks. The first is what the method's name alone means;
            presets that a specific input shape or size keeps off the boards are not listed.
        aligned: True where all streams must have the same steps.
        sizes: parameter counts that the tests hold the presets to.
        exceptions: rules of the contract tests that the method breaks by its nature -> why.
    """

    name: str
    target: str
    title: str
    paper: str
    summary: str
    modalities: tuple[str, ...]
    at_least: int
    fusion_stage: str
    attention: str
    equations: str
    code: str
    differs: tuple[str, ...]
    evidence: str
    presets: tuple[str, ...]
    aligned: bool = False
    sizes: tuple[Size, ...] = ()
    exceptions: Mapping[str, str] = field(default_factory=dict)

    @property
    def inputs(self) -> str:
        """What it takes, in words."""
        few = f"; at least {self.at_least}" if self.at_least < len(self.modalities) else ""
        return ", ".join(self.modalities) + few + ("; equal steps in all of them" if self.aligned else "")
