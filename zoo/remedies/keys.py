"""Every remedy that a spec may name, with its keys. None has a default: what a run did is what its YAML says."""

from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from zoo import MODALITIES

JOINT = "joint"
ROUNDING = 0.01  # how far weights, written with few digits, may sum from 1


class Keys(BaseModel):
    """``target`` is the class around the model, ``paper`` and ``differs`` what a card says of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    target: ClassVar[str]
    paper: ClassVar[str]
    differs: ClassVar[tuple[str, ...]]


class OGMGE(Keys):
    """On-the-fly gradient modulation with generalisation enhancement.

    Args:
        alpha: of k = 1 - tanh(alpha rho); 0.1 to 0.8 in the authors' settings.
        noise: whether the gradients get Gaussian noise (GE).
    """

    target = "zoo.remedies.ogm_ge:OGMGE"
    paper = "Peng et al. 2022, arXiv:2203.15332; code GeWu-Lab/OGM-GE_CVPR2022 at 343dc1d, main.py"
    differs = (
        "All parameters that belong to one modality are modulated; the code takes those of its encoders that have "
        "four dimensions (convolutions).",
        "All epochs are modulated; the code does so in its first half.",
        "The optimiser is the protocol's AdamW, the authors' is SGD. AdamW divides a gradient by its own running size, "
        "so a constant factor has no effect: what is left of k is its change over training, its share in the clipped "
        "norm, and the noise.",
        "Noise has the standard deviation of the unmodulated gradient and reaches every modality, stronger or weaker, "
        "as in the code.",
        "Three modalities: each is held against the mean of the others, and more than one may be modulated (ours).",
    )

    name: Literal["ogm_ge"]
    alpha: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    noise: bool


class GradientBlending(Keys):
    """Gradient-Blending with weights that are given: the offline form.

    Args:
        weights: of the loss of each modality's head and of ``joint``; they sum to 1. They are estimated from a
            training of each modality alone and of the joint network, see ``fuseboard blend``.
    """

    target = "zoo.remedies.gradient_blending:GradientBlending"
    paper = "Wang et al. 2020, arXiv:1905.12681"
    differs = (
        "Weights are given, once for all epochs (offline); the online form, which estimates them anew every few "
        "epochs by trainings of their own, is left out.",
        "A method that has a head for each modality is blended over those; under concatenation each modality gets a "
        "linear head of its own, as in the paper.",
        "Weights are estimated from the protocol's validation part, between the first and the selected epoch of each "
        "training; the paper holds a part of the training set out and takes a fixed number of epochs.",
    )

    name: Literal["gradient_blending"]
    weights: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]]

    @model_validator(mode="after")
    def weights_are_of_heads_and_sum_to_one(self):
        if unknown := [m for m in self.weights if m not in (*MODALITIES, JOINT)]:
            raise ValueError(f"weights: no head {unknown[0]!r}. Known: {', '.join((*MODALITIES, JOINT))}")
        if JOINT not in self.weights or len(self.weights) < 3:
            raise ValueError(f"weights: wanted one for {JOINT} and for each of two modalities or more")
        if abs(sum(self.weights.values()) - 1) > ROUNDING:
            raise ValueError(f"weights: they sum to {sum(self.weights.values()):g}; wanted 1")
        return self


REMEDIES: dict[str, type[Keys]] = {"ogm_ge": OGMGE, "gradient_blending": GradientBlending}


def _named(value: Any) -> Any:
    """Refuse an unknown remedy or key with the nearest one, before the keys' own values are looked at."""
    if not isinstance(value, dict):
        return value
    name = value.get("name")
    if name not in REMEDIES:
        near = get_close_matches(str(name), REMEDIES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"no remedy {name!r}{hint} Known: {', '.join(REMEDIES)}")
    known = REMEDIES[name].model_fields
    for key in value:
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{name} has no key {key!r}{hint} Known: {', '.join(known)}")
    return value


Remedy = Annotated[OGMGE | GradientBlending, Field(discriminator="name")]
NamedRemedy = Annotated[Remedy, BeforeValidator(_named)]
