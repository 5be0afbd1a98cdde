"""The contract that every entry of the boards keeps, or whose card says why it cannot."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import zoo
from protocols.batches import Batch
from runners.criteria import cross_entropy
from runners.train import training_loss
from zoo import METHODS
from zoo.layers import record_attention
from zoo.spec import SPECS, entries, load

WIDTHS = {"audio": 12, "video": 9, "text": 7}
STEPS = {"audio": 11, "video": 5, "text": 8}
LENGTHS = {"audio": (11, 6, 3), "video": (2, 5, 5), "text": (8, 1, 8)}
OUTPUTS = 4
ENTRIES = entries()
LABEL = re.compile(r"[^<:/]+<-[^<:/]+/[0-9]+(:features|:modalities|:edges)?")
# What a card may take exception to, with a reason.
RULES = {"padding", "batch", "parameter-gradient", "modality-gradient", "one-step", "dropout", "per-step"}
RULES |= {"attention-rows", "recording"}
# Modules that hold no method of their own: what methods share, and what reads them.
SHARED = {"__init__", "layers", "streams", "vit", "spiking", "recurrence", "concordance", "narrow_attention"}
SHARED |= {"spec", "guarded_yaml", "signatures", "drafts"}  # of specs, not of models

# With WIDTHS and OUTPUTS, counted by hand. With D = 40 an encoder is 2 (12 D^2 + 13 D) + 2 D = 39,520, an
# embedding 40 (D_m + 1), a head 4 (D_in + 1).
PARAMETERS = {
    "audio_only": 39_520 + 40 * 13 + 4 * 41,
    "video_only": 39_520 + 40 * 10 + 4 * 41,
    "text_only": 39_520 + 40 * 8 + 4 * 41,
    "early_fusion": 39_520 + 40 * 29 + 4 * 41,
    "late_fusion": 3 * 39_520 + 40 * 31 + 3 * 4 * 41,
    "joint_self_attention": 39_520 + 40 * 31 + 3 * 40 + 4 * 41,
    # three streams of two layers, one norm more in the crossing layer (15 D), two last norms, modality vector
    "cross_attention": 3 * (2 * 19_720 + 80 + 80 + 80 + 40) + 40 * 31 + 4 * 121,
    # convolutions, 6 enc(40, 4), 3 enc(80, 4), residual head of width 240, output
    "mult-paper": 40 * (7 + 3 * 12 + 3 * 9)
    + 6 * (4 * 19_720 + 80)
    + 3 * (4 * (12 * 80**2 + 13 * 80) + 160)
    + 2 * (240**2 + 240)
    + 4 * 241,
}


def streams(name: str) -> list[tuple[str, ...]]:
    """Every set of modalities that an entry takes, largest first."""
    card = ENTRIES[name].card
    if card.at_least == len(card.modalities):
        return [card.modalities]
    pairs = [("audio", "video"), ("audio", "text"), ("video", "text")]
    return [card.modalities, *(p for p in pairs if set(p) < set(card.modalities))]


def broken(name: str, rule: str) -> bool:
    """Whether the card declares, with a reason, that a rule does not hold."""
    return rule in ENTRIES[name].card.exceptions


def keeping(rule: str) -> list[str]:
    return [name for name in ENTRIES if not broken(name, rule)]


def cases(rule: str) -> list[tuple[str, tuple[str, ...], bool]]:
    """Entry, modalities, per step or not."""
    return [
        (name, modalities, per_step)
        for name in keeping(rule)
        for modalities in streams(name)
        for per_step in (False, True)
        if not (per_step and broken(name, "per-step"))
    ]


def make(name, modalities, per_step=False, seed=0):
    torch.manual_seed(seed)
    features, spec = {m: WIDTHS[m] for m in modalities}, ENTRIES[name]
    model = zoo.build(spec.method, features=features, outputs=OUTPUTS, per_step=per_step, **spec.settings)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():  # a head that starts at zero would hide everything before it
                parameter.normal_(std=0.1)
    return model.eval()


def batch(name, modalities, per_step=False, seed=1):
    """Right-padded clips of unequal lengths; all streams share T and mask per step and where the method needs it."""
    generator = torch.Generator().manual_seed(seed)
    inputs, masks = {}, {}
    for m in modalities:
        equal = per_step or ENTRIES[name].card.aligned
        steps, lengths = (8, (8, 1, 5)) if equal else (STEPS[m], LENGTHS[m])
        inputs[m] = torch.randn(len(lengths), steps, WIDTHS[m], generator=generator)
        masks[m] = torch.arange(steps) < torch.tensor(lengths)[:, None]
    return inputs, masks


def real(output, masks, per_step):
    """Scores of real steps only: what stands on padding has no meaning."""
    return output[next(iter(masks.values()))] if per_step else output


@pytest.mark.parametrize(("name", "modalities", "per_step"), cases("shape"))
def test_shape_and_finite(name, modalities, per_step):
    inputs, masks = batch(name, modalities, per_step)
    output = make(name, modalities, per_step)(inputs, masks)
    assert output.shape == ((3, 8, OUTPUTS) if per_step else (3, OUTPUTS))
    assert output.isfinite().all()


@pytest.mark.parametrize("garbage", [1e3, float("nan")])
@pytest.mark.parametrize(("name", "modalities", "per_step"), cases("padding"))
def test_padding_changes_nothing(name, modalities, per_step, garbage):
    model, (inputs, masks) = make(name, modalities, per_step), batch(name, modalities, per_step)
    longer = {m: torch.nn.functional.pad(k, (0, 3), value=False) for m, k in masks.items()}
    padded = {m: torch.cat([x, x.new_full((3, 3, x.shape[2]), garbage)], 1) for m, x in inputs.items()}
    padded = {m: x.masked_fill(~longer[m].unsqueeze(-1), garbage) for m, x in padded.items()}
    expected = real(model(inputs, masks), masks, per_step)
    torch.testing.assert_close(real(model(padded, longer), longer, per_step), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("name", "modalities"), [case[:2] for case in cases("batch") if not case[2]])
def test_a_clip_does_not_depend_on_its_batch(name, modalities):
    model, (inputs, masks) = make(name, modalities), batch(name, modalities)
    together = model(inputs, masks)
    turned = model({m: x.flip(0) for m, x in inputs.items()}, {m: k.flip(0) for m, k in masks.items()})
    torch.testing.assert_close(turned.flip(0), together, atol=1e-5, rtol=1e-4)
    for i in range(3):
        lengths = {m: int(k[i].sum()) for m, k in masks.items()}
        alone = model(
            {m: x[i : i + 1, : lengths[m]] for m, x in inputs.items()},
            {m: k[i : i + 1, : lengths[m]] for m, k in masks.items()},
        )
        torch.testing.assert_close(alone[0], together[i], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("name", "modalities", "per_step"), cases("modality-gradient"))
def test_every_modality_reaches_the_output(name, modalities, per_step):
    model, (inputs, masks) = make(name, modalities, per_step), batch(name, modalities, per_step)
    inputs = {m: x.requires_grad_() for m, x in inputs.items()}
    real(model(inputs, masks), masks, per_step).square().sum().backward()
    for m, x in inputs.items():
        assert (x.grad[masks[m]].abs().sum() > 0).item(), m
        assert not x.grad[~masks[m]].any(), f"{m}: padding has a gradient"


@pytest.mark.parametrize(("name", "modalities", "per_step"), cases("parameter-gradient"))
def test_every_parameter_has_a_gradient(name, modalities, per_step):
    model, (inputs, masks) = make(name, modalities, per_step), batch(name, modalities, per_step)
    real(model.train()(inputs, masks), masks, per_step).square().sum().backward()
    dead = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not dead


@pytest.mark.parametrize("name", keeping("one-step"))
def test_one_step_and_a_missing_modality(name):
    modalities = streams(name)[0]
    inputs = {m: torch.randn(2, 1, WIDTHS[m]) for m in modalities}
    masks = {m: torch.ones(2, 1, dtype=torch.bool) for m in modalities}
    model = make(name, modalities)
    assert model(inputs, masks).isfinite().all()
    inputs[modalities[0]] = torch.zeros_like(inputs[modalities[0]])
    assert model(inputs, masks).isfinite().all()


@pytest.mark.parametrize("name", ENTRIES)
def test_seed_decides_weights(name):
    modalities = streams(name)[0]
    one, same, other = (make(name, modalities, seed=s).state_dict() for s in (3, 3, 4))
    assert all(torch.equal(one[k], same[k]) for k in one)
    assert any(not torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("name", ENTRIES)
def test_saved_weights_give_the_same_outputs(name):
    modalities = streams(name)[0]
    inputs, masks = batch(name, modalities)
    first, second = make(name, modalities, seed=3), make(name, modalities, seed=4)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(inputs, masks), second(inputs, masks))


@pytest.mark.parametrize("name", keeping("dropout"))
def test_dropout_only_in_training(name):
    modalities = streams(name)[0]
    model, (inputs, masks) = make(name, modalities), batch(name, modalities)
    assert torch.equal(model(inputs, masks), model(inputs, masks))
    model.train()
    assert not torch.equal(model(inputs, masks), model(inputs, masks))


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_count(name):
    model = make(name, streams(name)[0])
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize(("name", "modalities", "per_step"), cases("recording"))
def test_recording_leaves_the_output(name, modalities, per_step):
    model, (inputs, masks) = make(name, modalities, per_step), batch(name, modalities, per_step)
    plain = model(inputs, masks)
    with record_attention() as maps:
        recorded = model(inputs, masks)
    torch.testing.assert_close(real(recorded, masks, per_step), real(plain, masks, per_step), atol=1e-5, rtol=1e-4)
    assert bool(maps) == (ENTRIES[name].card.attention != "none")
    labels = [label for label, _ in maps]
    assert len(set(labels)) == len(labels)
    for label, weights in maps:
        assert LABEL.fullmatch(label), label
        assert weights.ndim == 4 and weights.shape[0] == 3, label
        if not broken(name, "attention-rows"):
            torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))


@pytest.mark.parametrize("name", ENTRIES)
def test_works_after_inference_mode(name):
    """Cached tables made while evaluating must serve training."""
    from zoo import layers

    layers._sinusoids.cache_clear()
    modalities = streams(name)[0]
    model, (inputs, masks) = make(name, modalities), batch(name, modalities)
    with torch.inference_mode():
        model(inputs, masks)
    labels = torch.zeros(3, dtype=torch.int64)
    training_loss(model.train(), Batch(inputs, masks, labels, np.arange(3)), cross_entropy).backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("name", [n for n in keeping("per-step") if len(streams(n)[0]) > 1])
def test_unequal_steps_are_refused_where_they_must_be_equal(name):
    modalities = streams(name)[0]
    inputs = {m: torch.randn(3, STEPS[m], WIDTHS[m]) for m in modalities}
    masks = {m: torch.ones(3, STEPS[m], dtype=torch.bool) for m in modalities}
    with pytest.raises(ValueError, match=r"equal steps"):
        make(name, modalities, per_step=True)(inputs, masks)
    if ENTRIES[name].card.aligned:
        with pytest.raises(ValueError, match=r"equal steps"):
            make(name, modalities)(inputs, masks)


@pytest.mark.parametrize("name", ENTRIES)
def test_wrong_input_is_named(name):
    modalities = streams(name)[0]
    m = modalities[-1]
    model, (inputs, masks) = make(name, modalities), batch(name, modalities)
    with pytest.raises(ValueError, match=rf"{m}: inputs of shape .*wanted \(B, T, {WIDTHS[m]}\)"):
        model({**inputs, m: inputs[m][..., 1:]}, masks)
    with pytest.raises(ValueError, match=f"{m}: inputs are torch.float16; wanted float32"):
        model({**inputs, m: inputs[m].half()}, masks)
    with pytest.raises(ValueError, match=f"{m}: mask .* without a real step"):
        model(inputs, {**masks, m: masks[m] & torch.tensor([[True], [False], [True]])})
    with pytest.raises(ValueError, match=f"{m}: mask .* after padding"):
        model(inputs, {**masks, m: torch.arange(masks[m].shape[1]).ne(1).expand_as(masks[m])})
    with pytest.raises(ValueError, match=f"{m}: mask .*wanted bool"):
        model(inputs, {**masks, m: masks[m].float()})
    with pytest.raises(ValueError, match=f"the model takes {', '.join(modalities)}"):
        model({"smell": inputs[m]}, {"smell": masks[m]})


@pytest.mark.parametrize("name", ENTRIES)
def test_wrong_settings_are_named(name):
    features = {m: WIDTHS[m] for m in streams(name)[0]}
    method, settings = ENTRIES[name].method, ENTRIES[name].settings
    if "heads" in settings:
        with pytest.raises(ValueError, match=r"heads \(7\) must divide width"):
            zoo.build(method, features=features, outputs=2, **{**settings, "heads": 7})
    with pytest.raises(ValueError, match="unknown modality 'smell'"):
        zoo.build(method, features={**features, "smell": 3}, outputs=2, **settings)
    for dropout in settings.keys() & {"dropout", "embed_dropout", "output_dropout"}:
        with pytest.raises(ValueError, match="between 0 and 1, but got 1.5"):
            zoo.build(method, features=features, outputs=2, **{**settings, dropout: 1.5})
    with pytest.raises(ValueError, match="outputs is 0"):
        zoo.build(method, features=features, outputs=0, **settings)
    with pytest.raises(ValueError, match="features names 0 modalities"):
        zoo.build(method, features={}, outputs=2, **settings)
    with pytest.raises(ValueError, match="unexpected keyword argument 'depht'"):
        zoo.build(method, features=features, outputs=2, depht=3, **settings)


@pytest.mark.parametrize("name", [n for n in ENTRIES if hasattr(make(n, streams(n)[0]), "training_loss")])
def test_a_training_loss_is_a_number_with_a_gradient(name):
    modalities = streams(name)[0]
    model, (inputs, masks) = make(name, modalities).train(), batch(name, modalities)
    loss = model.training_loss(inputs, masks, torch.tensor([0, 3, 1]), cross_entropy)
    assert loss.ndim == 0 and loss.isfinite()
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())


SIZES = [(card.name, size) for card in METHODS.values() for size in card.sizes]


@pytest.mark.parametrize(("name", "size"), SIZES, ids=[f"{size.preset}-{size.parameters}" for _, size in SIZES])
def test_the_parameter_counts_on_the_cards(name, size):
    spec = load(size.preset)
    assert spec.method == name
    with torch.device("meta"):
        model = zoo.build(name, features=dict(size.features), outputs=size.outputs, **spec.settings)
    assert sum(p.numel() for p in model.parameters()) == size.parameters
    assert size.source


def test_every_file_holds_a_method_or_is_known_to_be_shared():
    files = {f"zoo.{p.stem}" for p in Path(zoo.__file__).parent.glob("*.py")}
    assert {card.target.split(":")[0] for card in METHODS.values()} == files - {f"zoo.{name}" for name in SHARED}


@pytest.mark.parametrize("name", METHODS)
def test_card(name):
    card = METHODS[name]
    assert card.name == name
    assert card.evidence in zoo.EVIDENCE
    assert set(card.modalities) <= set(zoo.MODALITIES)
    assert card.fusion_stage in zoo.STAGES
    assert card.title and card.paper and card.summary and card.equations
    assert bool(card.code) or card.evidence not in ("parity", "code-read")
    assert set(card.exceptions) <= RULES and all(card.exceptions.values())
    assert all(load(preset).method == name for preset in card.presets)


def test_every_spec_is_of_a_method_and_every_entry_has_its_own_title():
    assert {path.stem for path in SPECS.glob("*.yaml")} >= ENTRIES.keys()
    titles = [spec.card.title for spec in ENTRIES.values()]
    assert sorted(titles) == sorted(set(titles))
