"""Suite: what is measured of every finished run of a protocol, beside the protocol's own scores.

A suite stands beside its protocol, not in it: it can grow and rise in version without training anything again. One
file may serve several protocols whose inputs are of the same kinds. Reading a suite imports no torch.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from protocols.corruptions import Condition, parse_condition
from protocols.spec import ProtocolSpec, SpecError, committed

SUITES = Path(__file__).parent / "suites"


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Contribution(Section):
    """Modality contribution.

    Args:
        conditions: under which it is taken; the first is shown first.
        rules: absence rules, the first is the main one.
        draws: partners of the rule ``other_sample``, averaged.
        permutations: of the perceptual score.
        pairs: examples whose every pair EMAP crosses.
        clusters: of the discretisation of PID.
    """

    conditions: tuple[str, ...] = Field(min_length=1)
    rules: tuple[str, ...] = Field(min_length=1)
    draws: int = Field(ge=1)
    permutations: int = Field(ge=1)
    pairs: int = Field(ge=2)
    clusters: int = Field(ge=2)


class Tokens(Section):
    """Token-level MM-SHAP.

    Args:
        items: examples, spread evenly over the part.
        windows: players of each modality, at most its steps.
        permutations: antithetic pairs of each example.
    """

    items: int = Field(ge=1)
    windows: int = Field(ge=1)
    permutations: int = Field(ge=1)


class Attention(Section):
    """Attention behaviour and faithfulness.

    Args:
        items: examples, spread evenly over the part.
        conditions: under which maps are described.
        drifts: sweeps (keys of ``Suite.sweeps``) that perturb one modality while the other's saliency is watched.
        fractions: of cells taken away or kept, for comprehensiveness and sufficiency.
        steps: of the deletion and insertion curves.
        exhibits: examples whose saliency is kept for the board, with every condition of ``conditions``.
    """

    items: int = Field(ge=2)
    conditions: tuple[str, ...] = Field(min_length=1)
    drifts: tuple[str, ...]
    fractions: tuple[float, ...]
    steps: int = Field(ge=2)
    exhibits: int = Field(ge=0)


class Cost(Section):
    """Cost of a forward pass.

    Args:
        repeats: timed passes for latency at batch 1 and for throughput.
    """

    repeats: int = Field(ge=3)


class Suite(Section):
    """Everything that ``fuseboard evaluate`` measures of a run.

    Args:
        protocol: ``name@version`` that it belongs to.
        sweeps: ``<modality>/<corruption>`` -> severities from mild to severe, each with its unit.
        conditions: single conditions beside the sweeps.
    """

    version: int = Field(ge=1)
    protocol: str
    sweeps: Mapping[str, tuple[str, ...]]
    conditions: tuple[str, ...]
    contribution: Contribution
    tokens: Tokens
    attention: Attention
    cost: Cost

    @model_validator(mode="after")
    def names_are_known(self):
        for text in self.all_conditions():
            parse_condition(text)
        for text in (*self.contribution.conditions, *self.attention.conditions):
            parse_condition(text)
        if unknown := [s for s in self.attention.drifts if s not in self.sweeps]:
            near = get_close_matches(unknown[0], self.sweeps, n=1)
            raise ValueError(f"attention.drifts: no sweep {unknown[0]!r}; sweeps: {', '.join(near or self.sweeps)}")
        return self

    @property
    def key(self) -> str:
        """As results carry it: ``grid-digit-noisy@1/suite1``."""
        return f"{self.protocol}/suite{self.version}"

    def sweep(self, name: str) -> tuple[Condition, ...]:
        """The conditions of one sweep, mild to severe."""
        return tuple(parse_condition(f"{name}/{severity}") for severity in self.sweeps[name])

    def all_conditions(self) -> tuple[str, ...]:
        """Every condition that is scored, each once, clean first."""
        swept = [f"{name}/{severity}" for name, severities in self.sweeps.items() for severity in severities]
        return tuple(dict.fromkeys(["clean", *self.conditions, *swept]))

    def chosen(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The conditions that a person asks for, all of them when none is named.

        Raises:
            SpecError: for a condition outside the suite, with the nearest name.
        """
        known = self.all_conditions()
        for name in names:
            if name not in known:
                near = get_close_matches(name, known, n=1, cutoff=0)
                raise SpecError(f"{self.key} has no condition {name!r}. Did you mean {near[0]!r}?")
        return names or known


def read(path: Path) -> list[Suite]:
    """The suite of a file, for each protocol that it names: ``protocol`` is one key or a list of keys.

    Raises:
        SpecError: naming file and field.
    """
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
        keys = told.get("protocol") if isinstance(told, dict) else None
        each = [told | {"protocol": key} for key in keys] if isinstance(keys, list) else [told]
        return [Suite.model_validate(one) for one in each]
    except yaml.YAMLError as error:
        raise SpecError(f"{path}: not YAML: {error}") from None
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'top level'}: {e['msg']}" for e in error.errors())
        raise SpecError(f"{path}: {said}") from None


@cache
def suites() -> dict[str, Suite]:
    """The committed suites, by the protocol that each belongs to."""
    found: dict[str, Suite] = {}
    for path in sorted(SUITES.glob("*.yaml")):
        for suite in read(path):
            if suite.protocol not in committed():
                raise SpecError(f"{path}: no protocol {suite.protocol!r}. Known: {', '.join(committed())}.")
            if suite.protocol in found:
                raise SpecError(f"{path}: {suite.protocol} has a suite already, in another file or twice in this one.")
            found[suite.protocol] = suite
    return found


def suite_of(spec: ProtocolSpec) -> Suite:
    """The suite of a protocol.

    Raises:
        SpecError: if nobody wrote one.
    """
    if spec.key not in suites():
        raise SpecError(f"There is no evaluation suite for {spec.key}. Protocols that have one: {', '.join(suites())}.")
    return suites()[spec.key]
