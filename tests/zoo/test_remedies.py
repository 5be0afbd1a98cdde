"""Remedies: the authors' own coefficients, what they do to gradients and losses, whom they fit, and that they help."""

import numpy as np
import pytest
import torch
from torch import nn

import zoo
from protocols.batches import IGNORED
from protocols.metrics.imbalance import discrepancy_ratio
from protocols.metrics.task import accuracy
from runners.criteria import cross_entropy
from tests import parity
from zoo.remedies import ogm_ge, remedied
from zoo.remedies.heads import head_scores, unimodal_heads, watch
from zoo.remedies.keys import REMEDIES
from zoo.remedies.ogm_ge import coefficient, ratios
from zoo.spec import MethodSpec, SpecError, entries, load

WIDTHS = {"audio": 5, "video": 4, "text": 3}
PLAIN = {"width": 8, "encoders": [{"embed": {"dropout": 0.0}}], "pooling": "mean", "head": "linear"}
CROSSING = {"cross_attention": {"heads": 2, "layers": 1, "dropout": 0.0}}
HYBRID = {"hybrid": {"interaction": CROSSING, "fused_weight": 1.0, "unimodal_weight": 0.5}}
MLP = {"mlp": {"hidden": 6, "dropout": 0.0}}
OGM = {"name": "ogm_ge", "alpha": 0.5, "noise": False}
BLEND = {"name": "gradient_blending", "weights": {"audio": 0.5, "video": 0.2, "joint": 0.3}}


def compose(fusion, modalities=("audio", "video"), *, head="linear", per_step=False, outputs=3, seed=0):
    torch.manual_seed(seed)
    features = {m: WIDTHS[m] for m in modalities}
    settings = PLAIN | {"fusion": fusion, "head": head}
    return zoo.build("compose", features=features, outputs=outputs, per_step=per_step, **settings)


def wrapped(model, keys, seed=0):
    torch.manual_seed(seed)
    return remedied(model, MethodSpec(name="mine", method="compose", remedy=keys).remedy)


def batch(modalities=("audio", "video"), *, clips=6, steps=4, seed=1):
    generator = torch.Generator().manual_seed(seed)
    inputs = {m: torch.randn(clips, steps, WIDTHS[m], generator=generator) for m in modalities}
    lengths = torch.randint(1, steps + 1, (clips,), generator=generator)
    masks = {m: torch.arange(steps) < lengths[:, None] for m in modalities}
    return inputs, masks, torch.randint(3, (clips,), generator=generator)


def gradients(model, inputs, masks, labels) -> dict[str, torch.Tensor]:
    model.zero_grad()
    model.training_loss(inputs, masks, labels, cross_entropy).backward()
    return {name.removeprefix("model."): p.grad.clone() for name, p in model.named_parameters()}


# --- the heads


@pytest.mark.parametrize("place", range(3))
def test_the_head_is_split_and_the_coefficients_are_those_of_the_authors_code(place):
    told = parity.told("ogm_ge.json")
    case, tolerance = told["cases"][place], told["tolerance"]
    model = compose("concatenate", outputs=len(case["weight"]))
    head = nn.Linear(len(case["weight"][0]), len(case["weight"]))
    head.load_state_dict({name: torch.tensor(case[name]) for name in ("weight", "bias")})
    model.fusion.readout.head = head
    pooled = torch.cat([torch.tensor(case[f"{m}_features"]) for m in ("audio", "video")], 1)
    with watch(unimodal_heads(model).taps) as scores:
        head(pooled)
    found = ratios(scores, torch.tensor(case["labels"]))
    for m in ("audio", "video"):
        assert torch.allclose(scores[m], torch.tensor(case[f"logits_{m}"]), rtol=0, atol=tolerance)
        assert found[m].item() == pytest.approx(case[f"ratio_{m}"], abs=tolerance)
        expected = pytest.approx(case[f"coefficient_{m}"], abs=tolerance)
        assert coefficient(found[m], case["alpha"]).item() == expected


@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("modalities", [("audio", "video"), ("audio", "video", "text")])
@pytest.mark.parametrize("fusion", ["late", "concatenate", HYBRID], ids=["late", "concatenate", "hybrid"])
def test_a_head_sees_its_modality_only(fusion, modalities, per_step):
    model = compose(fusion, modalities, per_step=per_step).eval()
    inputs, masks, _ = batch(modalities)
    scores = head_scores(model)(inputs, masks)
    assert list(scores) == list(modalities)
    other = head_scores(model)({m: x if m == "audio" else x + 1 for m, x in inputs.items()}, masks)
    assert torch.equal(scores["audio"], other["audio"])
    assert all(not torch.allclose(scores[m], other[m]) for m in modalities[1:])
    if fusion != HYBRID:  # whose joint head has scores of its own
        together = torch.stack(list(scores.values())).sum(0)
        together = together / len(modalities) if fusion == "late" else together
        torch.testing.assert_close(together, model(inputs, masks))


def test_own_parameters_are_touched_by_no_other_modality():
    for fusion in ("late", "concatenate", HYBRID):
        model = compose(fusion)
        inputs, masks, labels = batch()
        head_scores(model)(inputs, masks)["audio"].sum().backward()
        own = unimodal_heads(model).own
        assert all(p.grad is not None for p in own["audio"])
        assert all(p.grad is None or not p.grad.any() for p in own["video"])


@pytest.mark.parametrize("name", [n for n, spec in entries().items() if spec.card.at_least > 1])
def test_which_entries_have_heads(name):
    spec = entries()[name]
    features = {m: 6 for m in spec.card.modalities}
    model = zoo.build(spec.method, features=features, outputs=3, **spec.settings)
    assert (unimodal_heads(model) is not None) == (name in ("late_fusion", "hybrid_fusion"))


def test_one_modality_has_no_heads_to_compare():
    assert unimodal_heads(compose("none", ("audio",))) is None and head_scores(compose("none", ("audio",))) is None


# --- OGM-GE


def test_the_ratio_is_the_metric_and_padding_does_not_count():
    generator = torch.Generator().manual_seed(3)
    scores = {m: 2 * torch.randn(4, 5, 3, generator=generator) for m in WIDTHS}
    labels = torch.randint(3, (4, 5), generator=generator)
    labels[:, 3:] = IGNORED
    real = labels != IGNORED
    expected = discrepancy_ratio({m: z[real].numpy() for m, z in scores.items()}, labels[real].numpy())
    found = ratios(scores, labels)
    assert {m: r.item() for m, r in found.items()} == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("fusion", ["late", "concatenate", HYBRID], ids=["late", "concatenate", "hybrid"])
def test_the_stronger_modality_alone_gets_smaller_gradients(fusion):
    inputs, masks, labels = batch()
    plain = gradients(compose(fusion), inputs, masks, labels)
    model = wrapped(compose(fusion), OGM)
    modulated = gradients(model, inputs, masks, labels)
    with watch(model.heads.taps) as scores:
        model(inputs, masks)
    rho = ratios(scores, labels)
    stronger = max(rho, key=rho.get)
    k = 1 - np.tanh(0.5 * rho[stronger].item())
    assert rho[stronger] > 1 and 0 < k < 1
    mine = {id(p) for p in model.heads.own[stronger]}
    for name, p in model.model.named_parameters():
        factor = k if id(p) in mine else 1.0
        torch.testing.assert_close(modulated[name], factor * plain[name], rtol=1e-5, atol=1e-8)


def test_noise_has_the_gradients_own_spread_and_leaves_the_rest_alone():
    inputs, masks, labels = batch()
    plain = gradients(wrapped(compose("concatenate"), OGM), inputs, masks, labels)
    model = wrapped(compose("concatenate"), OGM | {"noise": True})
    torch.manual_seed(5)
    noisy = gradients(model, inputs, masks, labels)
    again = gradients(compose("concatenate"), inputs, masks, labels)
    name = next(n for n in noisy if n.startswith("encoders.audio") and n.endswith("weight"))
    torch.manual_seed(5)
    draws = torch.stack([gradients(model, inputs, masks, labels)[name] - plain[name] for _ in range(200)])
    assert draws.std().item() == pytest.approx(again[name].std().item(), rel=0.05)  # of the unmodulated gradient
    assert abs(draws.mean().item()) < 0.05 * draws.std().item()
    assert torch.equal(noisy["fusion.readout.head.weight"], plain["fusion.readout.head.weight"])
    torch.manual_seed(5)
    assert torch.equal(gradients(model, inputs, masks, labels)[name], noisy[name])


def test_only_a_training_step_is_modulated():
    inputs, masks, labels = batch()
    model = wrapped(compose("late"), OGM | {"noise": True})
    cross_entropy(model(inputs, masks), labels).backward()  # before any training step
    plain = {n: p.grad.clone() for n, p in model.named_parameters()}
    gradients(model, inputs, masks, labels)
    model.zero_grad()
    model.eval()
    cross_entropy(model(inputs, masks), labels).backward()
    assert all(torch.equal(p.grad, plain[n]) for n, p in model.named_parameters())


def test_the_scores_and_the_loss_are_the_models_own():
    inputs, masks, labels = batch()
    for keys in (OGM, BLEND):
        model = wrapped(compose("late"), keys).eval()
        assert torch.equal(model(inputs, masks), compose("late").eval()(inputs, masks))
    own = compose("late").training_loss(inputs, masks, labels, cross_entropy)
    assert torch.equal(wrapped(compose("late"), OGM).training_loss(inputs, masks, labels, cross_entropy), own)


# --- Gradient-Blending


@pytest.mark.parametrize(
    ("fusion", "head"),
    [("late", "linear"), (HYBRID, "linear"), ("concatenate", "linear"), ("concatenate", MLP)],
    ids=["late", "hybrid", "concatenate", "concatenate-mlp"],
)
def test_the_loss_is_the_blend_of_every_heads(fusion, head):
    inputs, masks, labels = batch()
    model = wrapped(compose(fusion, head=head), BLEND)
    scores = head_scores(model)(inputs, masks)
    joint = model.model.fusion.fused(model.model._encode(inputs, masks)) if fusion == HYBRID else model(inputs, masks)
    expected = 0.3 * cross_entropy(joint, labels)
    expected = expected + 0.5 * cross_entropy(scores["audio"], labels) + 0.2 * cross_entropy(scores["video"], labels)
    torch.testing.assert_close(model.training_loss(inputs, masks, labels, cross_entropy), expected)
    assert all(g.any() for g in gradients(model, inputs, masks, labels).values())


def test_a_concatenating_model_gets_heads_beside_its_own_and_keeps_its_first_weights():
    plain, model = compose("concatenate", head=MLP), wrapped(compose("concatenate", head=MLP), BLEND)
    assert all(torch.equal(w, model.state_dict()[f"model.{name}"]) for name, w in plain.state_dict().items())
    assert {n for n, _ in model.named_parameters() if n.startswith("extra")} == {
        f"extra.{m}.{part}" for m in ("audio", "video") for part in ("weight", "bias")
    }
    late = wrapped(compose("late"), BLEND)
    assert not [n for n, _ in late.named_parameters() if n.startswith("extra")]


def test_all_weight_on_one_modality_leaves_the_others_untrained():
    keys = BLEND | {"weights": {"audio": 1.0, "video": 0.0, "joint": 0.0}}
    found = gradients(wrapped(compose("late"), keys), *batch())
    assert all(g.any() == ("audio" in name) for name, g in found.items())


# --- whom they fit


@pytest.mark.parametrize("keys", [OGM, BLEND], ids=lambda k: k["name"])
@pytest.mark.parametrize("fusion", [CROSSING, {"early": {"encoders": PLAIN["encoders"]}}], ids=["crossing", "early"])
def test_a_method_without_heads_is_told_who_has_them(fusion, keys):
    with pytest.raises(ValueError, match=f"{keys['name']} needs .*Those that have: compose with fusion late"):
        wrapped(compose(fusion), keys)
    with pytest.raises(ValueError, match="Those that have: compose"):
        wrapped(zoo.build("mult", features={"audio": 5, "video": 4}, outputs=3, **load("mult").settings), keys)


def test_ogm_ge_needs_a_linear_head_over_the_streams():
    with pytest.raises(ValueError, match="concatenate under a linear head"):
        wrapped(compose("concatenate", head=MLP), OGM)


def test_weights_of_other_modalities_are_refused():
    with pytest.raises(ValueError, match="weights for audio, joint, video; wanted audio, joint, text, video"):
        wrapped(compose("late", ("audio", "video", "text")), BLEND)


@pytest.mark.parametrize(
    ("remedy", "said"),
    [
        ("{name: ogm}", r"no remedy 'ogm'; did you mean 'ogm_ge'\? Known: ogm_ge, gradient_blending"),
        ("{name: ogm_ge, alpha: 1, nose: true}", r"no key 'nose'; did you mean 'noise'\? Known: name, alpha, noise"),
        ("{name: ogm_ge, alpha: 0, noise: true}", r"remedy.ogm_ge.alpha: .*greater than 0"),
        ("{name: ogm_ge, alpha: 1}", r"remedy.ogm_ge.noise: Field required"),
        ("{name: gradient_blending, weights: {audio: 0.5, joint: 0.5}}", "for joint and for each of two modalities"),
        ("{name: gradient_blending, weights: {audio: 0.5, video: 0.5}}", "for joint and for each of two modalities"),
        ("{name: gradient_blending, weights: {audio: 0.5, smell: 0.2, joint: 0.3}}", "no head 'smell'. Known: audio"),
        ("{name: gradient_blending, weights: {audio: 0.5, video: 0.5, joint: 0.5}}", "they sum to 1.5; wanted 1"),
        ("{name: gradient_blending, weights: {audio: -0.5, video: 1, joint: 0.5}}", "greater than or equal to 0"),
        ("ogm_ge", "remedy: .*valid dictionary"),
    ],
)
def test_a_wrong_remedy_is_told_what_and_where(tmp_path, remedy, said):
    path = tmp_path / "mine.yaml"
    path.write_text(f"name: mine\nmethod: compose\nremedy: {remedy}\n", encoding="utf-8")
    with pytest.raises(SpecError, match=said):
        load(str(path))


@pytest.mark.parametrize("name", ["late_fusion-ogm_ge", "late_fusion-gblend"])
def test_a_preset_is_late_fusion_but_for_its_remedy(name):
    spec = load(name)
    assert spec.settings == load("late_fusion").settings and spec.remedy.name in REMEDIES
    assert spec.remedy.paper and spec.remedy.differs and name not in entries()
    assert MethodSpec.model_validate(spec.model_dump(mode="json")) == spec


def test_a_spec_without_a_remedy_says_nothing_of_it():
    spec = load("late_fusion")
    assert "remedy" not in spec.model_dump() and "remedy" not in spec.model_dump(mode="json", exclude_none=True)
    assert load("late_fusion-ogm_ge").model_dump(mode="json")["remedy"]["name"] == "ogm_ge"


# --- that they help


def unequal(clips, seed):
    """Three classes; audio shows them plainly, video faintly: a joint model hardly needs to learn video."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (clips,), generator=generator)
    inputs = {m: torch.randn(clips, 1, WIDTHS[m], generator=generator) for m in ("audio", "video")}
    for m, strength in (("audio", 6.0), ("video", 2.0)):
        inputs[m][torch.arange(clips), 0, labels] += strength
    return inputs, {m: torch.ones(clips, 1, dtype=torch.bool) for m in inputs}, labels


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.05, momentum=0.9)  # as the authors trained


def adamw(parameters):
    return torch.optim.AdamW(parameters, lr=0.01)  # as the protocols train


def trained(keys, seed, optimiser):
    """Accuracy and discrepancy ratio of each head on other clips after 60 steps."""
    model = compose("late", seed=seed)
    model = wrapped(model, keys, seed) if keys else model
    step, data = optimiser(model.parameters()), unequal(240, seed=0)
    for _ in range(60):
        step.zero_grad()
        model.train().training_loss(*data, cross_entropy).backward()
        step.step()
    inputs, masks, labels = unequal(1000, seed=1)
    with torch.no_grad():
        scores = {m: z.numpy() for m, z in head_scores(model.eval())(inputs, masks).items()}
    labels = labels.numpy()
    return {m: accuracy(z, labels) for m, z in scores.items()}, discrepancy_ratio(scores, labels)


def of_video(keys, optimiser=sgd) -> float:
    """Accuracy of the weak modality inside the joint model, mean over four first weights."""
    return float(np.mean([trained(keys, seed, optimiser)[0]["video"] for seed in range(4)]))


@pytest.fixture(scope="module")
def plain() -> float:
    return of_video(None)


def test_the_easier_modality_is_ahead():
    for seed in range(4):
        right, ratio = trained(None, seed, sgd)
        assert right["audio"] > right["video"] + 0.1 and ratio["audio"] > 1.3 > 1 > ratio["video"]
        assert ratio["audio"] * ratio["video"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("keys", "margin"),
    [(OGM | {"alpha": 0.8}, 0.07), (OGM | {"alpha": 0.8, "noise": True}, 0.03), (BLEND, 0.1)],
    ids=["ogm", "ogm_ge", "gradient_blending"],
)
def test_the_weak_modality_learns_more_under_a_remedy(keys, margin, plain):
    assert of_video(keys) > plain + margin


@pytest.mark.parametrize("broken", ["inverted", "constant"])
def test_a_remedy_that_holds_the_wrong_one_back_is_found_out(broken, plain, monkeypatch):
    variants = {
        "inverted": lambda scores, labels: {m: 1 / rho for m, rho in ratios(scores, labels).items()},
        "constant": lambda scores, labels: {m: torch.ones(()) for m in scores},
    }
    monkeypatch.setattr(ogm_ge, "ratios", variants[broken])
    assert not of_video(OGM | {"alpha": 0.8}) > plain + 0.02


def test_adamw_undoes_the_coefficient_but_not_the_noise():
    """What the remedy says of the protocols' optimiser."""
    bare = of_video(None, adamw)
    assert abs(of_video(OGM | {"alpha": 0.8}, adamw) - bare) < 0.02
    assert abs(of_video(OGM | {"alpha": 0.8, "noise": True}, adamw) - bare) > 0.02
