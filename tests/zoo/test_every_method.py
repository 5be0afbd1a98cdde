"""The contract that every entry of METHODS keeps."""

from pathlib import Path

import pytest
import torch

import zoo
from zoo import METHODS, spec
from zoo.layers import record_attention

WIDTHS = {"audio": 12, "video": 9, "text": 7}
STEPS = {"audio": 11, "video": 5, "text": 8}
LENGTHS = {"audio": (11, 6, 3), "video": (2, 5, 5), "text": (8, 1, 8)}
OUTPUTS = 4

# With WIDTHS and OUTPUTS, all modalities that the method takes, and its preset. For the encoder baselines,
# with D = 40: an encoder is 2 (12 D^2 + 13 D) + 2 D = 39,520, an embedding 40 (D_m + 1), a head 4 (D_in + 1).
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
    "mult": 40 * (7 + 3 * 12 + 3 * 9)
    + 6 * (4 * 19_720 + 80)
    + 3 * (4 * (12 * 80**2 + 13 * 80) + 160)
    + 2 * (240**2 + 240)
    + 4 * 241,
}


def streams(name: str) -> list[tuple[str, ...]]:
    """Every set of modalities that a method takes, largest first."""
    card = METHODS[name]
    if len(card.modalities) == 1:
        return [card.modalities]
    pairs = [("audio", "video"), ("audio", "text"), ("video", "text")]
    return [card.modalities, *(p for p in pairs if card.at_least <= 2)]


CASES = [(name, modalities) for name in METHODS for modalities in streams(name)]


def make(name, modalities, per_step=False, seed=0):
    torch.manual_seed(seed)
    features = {m: WIDTHS[m] for m in modalities}
    return zoo.build(name, features=features, outputs=OUTPUTS, per_step=per_step, **spec.load(name).settings).eval()


def batch(modalities, per_step=False, seed=1):
    """Right-padded clips of unequal lengths; per step, all streams share T and mask."""
    generator = torch.Generator().manual_seed(seed)
    inputs, masks = {}, {}
    for m in modalities:
        steps, lengths = (8, (8, 1, 5)) if per_step else (STEPS[m], LENGTHS[m])
        inputs[m] = torch.randn(len(lengths), steps, WIDTHS[m], generator=generator)
        masks[m] = torch.arange(steps) < torch.tensor(lengths)[:, None]
    return inputs, masks


def real(output, masks, per_step):
    """Scores of real steps only: what stands on padding has no meaning."""
    return output[next(iter(masks.values()))] if per_step else output


@pytest.fixture(params=[False, True], ids=["clip", "step"])
def per_step(request):
    return request.param


@pytest.mark.parametrize(("name", "modalities"), CASES)
def test_shape_and_finite(name, modalities, per_step):
    inputs, masks = batch(modalities, per_step)
    output = make(name, modalities, per_step)(inputs, masks)
    assert output.shape == ((3, 8, OUTPUTS) if per_step else (3, OUTPUTS))
    assert output.isfinite().all()


@pytest.mark.parametrize("garbage", [1e3, float("nan")])
@pytest.mark.parametrize(("name", "modalities"), CASES)
def test_padding_changes_nothing(name, modalities, per_step, garbage):
    model, (inputs, masks) = make(name, modalities, per_step), batch(modalities, per_step)
    longer = {m: torch.nn.functional.pad(k, (0, 3), value=False) for m, k in masks.items()}
    padded = {m: torch.cat([x, x.new_full((3, 3, x.shape[2]), garbage)], 1) for m, x in inputs.items()}
    padded = {m: x.masked_fill(~longer[m].unsqueeze(-1), garbage) for m, x in padded.items()}
    expected = real(model(inputs, masks), masks, per_step)
    torch.testing.assert_close(real(model(padded, longer), longer, per_step), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("name", "modalities"), CASES)
def test_a_clip_does_not_depend_on_its_batch(name, modalities):
    model, (inputs, masks) = make(name, modalities), batch(modalities)
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


@pytest.mark.parametrize(("name", "modalities"), CASES)
def test_every_modality_reaches_the_output(name, modalities, per_step):
    model, (inputs, masks) = make(name, modalities, per_step), batch(modalities, per_step)
    inputs = {m: x.requires_grad_() for m, x in inputs.items()}
    real(model(inputs, masks), masks, per_step).square().sum().backward()
    for m, x in inputs.items():
        assert (x.grad[masks[m]].abs().sum() > 0).item(), m
        assert not x.grad[~masks[m]].any(), f"{m}: padding has a gradient"


@pytest.mark.parametrize(("name", "modalities"), CASES)
def test_every_parameter_has_a_gradient(name, modalities, per_step):
    model, (inputs, masks) = make(name, modalities, per_step), batch(modalities, per_step)
    real(model.train()(inputs, masks), masks, per_step).square().sum().backward()
    dead = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not dead


@pytest.mark.parametrize("name", METHODS)
def test_one_step_and_a_missing_modality(name):
    modalities = streams(name)[0]
    inputs = {m: torch.randn(2, 1, WIDTHS[m]) for m in modalities}
    masks = {m: torch.ones(2, 1, dtype=torch.bool) for m in modalities}
    model = make(name, modalities)
    assert model(inputs, masks).isfinite().all()
    inputs[modalities[0]] = torch.zeros_like(inputs[modalities[0]])
    assert model(inputs, masks).isfinite().all()


@pytest.mark.parametrize("name", METHODS)
def test_seed_decides_weights(name):
    modalities = streams(name)[0]
    one, same, other = (make(name, modalities, seed=s).state_dict() for s in (3, 3, 4))
    assert all(torch.equal(one[k], same[k]) for k in one)
    assert any(not torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("name", METHODS)
def test_saved_weights_give_the_same_outputs(name):
    modalities = streams(name)[0]
    inputs, masks = batch(modalities)
    first, second = make(name, modalities, seed=3), make(name, modalities, seed=4)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(inputs, masks), second(inputs, masks))


@pytest.mark.parametrize("name", METHODS)
def test_dropout_only_in_training(name):
    modalities = streams(name)[0]
    model, (inputs, masks) = make(name, modalities), batch(modalities)
    assert torch.equal(model(inputs, masks), model(inputs, masks))
    model.train()
    assert not torch.equal(model(inputs, masks), model(inputs, masks))


@pytest.mark.parametrize("name", METHODS)
def test_parameter_count(name):
    model = make(name, streams(name)[0])
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", METHODS)
def test_recording_leaves_the_output(name, per_step):
    modalities = streams(name)[0]
    model, (inputs, masks) = make(name, modalities, per_step), batch(modalities, per_step)
    plain = model(inputs, masks)
    with record_attention() as maps:
        recorded = model(inputs, masks)
    torch.testing.assert_close(real(recorded, masks, per_step), real(plain, masks, per_step), atol=1e-5, rtol=1e-4)
    assert maps
    labels = [label for label, _ in maps]
    assert len(set(labels)) == len(labels)
    for label, weights in maps:
        assert weights.ndim == 4 and weights.shape[0] == 3, label
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))


@pytest.mark.parametrize("name", METHODS)
def test_works_after_inference_mode(name):
    """Cached tables made while evaluating must serve training."""
    from zoo import layers

    layers._sinusoids.cache_clear()
    modalities = streams(name)[0]
    model, (inputs, masks) = make(name, modalities), batch(modalities)
    with torch.inference_mode():
        model(inputs, masks)
    model.train()(inputs, masks).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_per_step_refuses_unequal_steps():
    for name in METHODS:
        modalities = streams(name)[0]
        if len(modalities) > 1:
            with pytest.raises(ValueError, match=r"equal steps.*\(3, 5\).*\(3, 11\)"):
                make(name, modalities, per_step=True)(*batch(modalities))


@pytest.mark.parametrize("name", METHODS)
def test_wrong_input_is_named(name):
    modalities = streams(name)[0]
    m = modalities[-1]
    model, (inputs, masks) = make(name, modalities), batch(modalities)
    with pytest.raises(ValueError, match=rf"{m}: inputs of shape .*wanted \(B, T, {WIDTHS[m]}\)"):
        model({**inputs, m: inputs[m][..., 1:]}, masks)
    with pytest.raises(ValueError, match=f"{m}: mask .* without a real step"):
        model(inputs, {**masks, m: masks[m] & torch.tensor([[True], [False], [True]])})
    with pytest.raises(ValueError, match=f"{m}: mask .* after padding"):
        model(inputs, {**masks, m: torch.arange(masks[m].shape[1]).ne(1).expand_as(masks[m])})
    with pytest.raises(ValueError, match=f"{m}: mask .*wanted bool"):
        model(inputs, {**masks, m: masks[m].float()})
    with pytest.raises(ValueError, match=f"the model takes {', '.join(modalities)}"):
        model({"smell": inputs[m]}, {"smell": masks[m]})


@pytest.mark.parametrize("name", METHODS)
def test_wrong_settings_are_named(name):
    features = {m: WIDTHS[m] for m in streams(name)[0]}
    settings = spec.load(name).settings
    with pytest.raises(ValueError, match=r"heads \(3\) must divide width \(40\)"):
        zoo.build(name, features=features, outputs=2, **{**settings, "heads": 3})
    with pytest.raises(ValueError, match="unknown modality 'smell'"):
        zoo.build(name, features={**features, "smell": 3}, outputs=2, **settings)
    for dropout in settings.keys() & {"dropout", "embed_dropout", "output_dropout"}:
        with pytest.raises(ValueError, match="between 0 and 1, but got 1.5"):
            zoo.build(name, features=features, outputs=2, **{**settings, dropout: 1.5})
    with pytest.raises(ValueError, match="outputs is 0"):
        zoo.build(name, features=features, outputs=0, **settings)
    with pytest.raises(ValueError, match="features names 0 modalities"):
        zoo.build(name, features={}, outputs=2, **settings)
    with pytest.raises(ValueError, match="unexpected keyword argument 'depth'"):
        zoo.build(name, features=features, outputs=2, depth=3, **settings)


def test_methods_equal_the_files():
    files = {p.stem for p in Path(zoo.__file__).parent.glob("*.py")} - {"__init__", "spec", "layers"}
    assert {card.target.split(":")[0] for card in METHODS.values()} == {f"zoo.{f}" for f in files}


@pytest.mark.parametrize("name", METHODS)
def test_card(name):
    card = METHODS[name]
    assert card.name == name
    assert card.evidence in zoo.EVIDENCE
    assert set(card.modalities) <= set(zoo.MODALITIES)
    assert card.fusion_stage in ("none", "early", "intermediate", "late")
    assert card.presets[0] in {p.stem for p in spec.SPECS.glob("*.yaml")}
    assert card.title and card.paper and card.summary and card.follows
