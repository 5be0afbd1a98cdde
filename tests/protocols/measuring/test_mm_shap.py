"""Token-level MM-SHAP through measure(): planted shares are found, and broken variants miss them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from protocols.measuring import Subject, mm_shap

RNG = np.random.default_rng(0)
WEIGHTS = {m: np.append(0.02 * RNG.random(39), 0.3) for m in ("audio", "video", "text")}  # the last step weighs most
LENGTHS = {"audio": (20, 20, 17), "video": (9, 9, 7), "text": (12, 12, 12)}


@pytest.fixture
def ones(presenter_of):
    """Streams of ones; the first two examples are equally long."""
    return lambda *modalities: presenter_of({m: [np.ones((n, 1)) for n in LENGTHS[m]] for m in modalities})


def suite(items=10, windows=8, permutations=2):
    return SimpleNamespace(tokens=SimpleNamespace(items=items, windows=windows, permutations=permutations))


def subject(predict, *modalities: str) -> Subject:
    return Subject(predict, recorder=None, untrained=None, modalities=modalities, size=32)


def of_probability(p: torch.Tensor) -> torch.Tensor:
    """Scores (..., 2) of which the second class has probability p."""
    return torch.stack([torch.log1p(-p), p.log()], dim=-1)


def weighted(inputs, m) -> torch.Tensor:
    """sum_t w_t x_t, counted from the last step, so that its weight is the largest at any length."""
    x = inputs[m][..., 0]
    return x @ torch.from_numpy(WEIGHTS[m][-x.shape[1] :]).float()


def additive(inputs, masks):
    """Probability 0.05 and the weights of the steps that are there, a little of each modality."""
    assert all(mask.all() for mask in masks.values())
    shares = {"audio": 0.5, "video": 1.0, "text": 0.25}
    return of_probability(0.05 + 0.5 * sum(shares[m] * weighted(inputs, m) for m in inputs))


def expected(modalities, mean=False, windows=8) -> dict[str, float]:
    """The shares of ``additive``, from its weights."""
    scale = {"audio": 0.5, "video": 1.0, "text": 0.25}
    rows = []
    for i in range(3):
        sizes = {m: scale[m] * WEIGHTS[m][-LENGTHS[m][i] :].sum() for m in modalities}
        if mean:
            sizes = {m: size / min(windows, LENGTHS[m][i]) for m, size in sizes.items()}
        rows.append([sizes[m] / sum(sizes.values()) for m in modalities])
    return dict(zip(modalities, np.mean(rows, 0), strict=True))


def found(model, presenter, *modalities, **settings):
    """Metric -> Finding, and nothing twice."""
    findings = list(mm_shap.measure(subject(model, *modalities), presenter, suite(**settings)))
    named = {(f.condition, f.metric): f for f in findings}
    assert len(named) == len(findings)
    return {metric: f for (condition, metric), f in named.items() if condition == "clean"}


def check_additive(presenter, *modalities, **settings):
    told = found(additive, presenter, *modalities, **settings)
    assert set(told) == {f"mm_shap/{m}{end}" for m in modalities for end in ("", "/mean")}
    for m in modalities:
        windows = settings.get("windows", 8)
        assert told[f"mm_shap/{m}"].value == pytest.approx(expected(modalities)[m], abs=1e-5)
        assert told[f"mm_shap/{m}/mean"].value == pytest.approx(expected(modalities, True, windows)[m], abs=1e-5)
        assert told[f"mm_shap/{m}"].n == 3


@pytest.mark.parametrize("modalities", [("audio", "video"), ("audio", "video", "text")], ids="+".join)
@pytest.mark.parametrize("windows", [1, 2, 8, 15])
def test_planted_shares_are_found(modalities, windows, ones):
    check_additive(ones(*modalities), *modalities, windows=windows)


def test_batches_of_coalitions_do_not_matter(monkeypatch, ones):
    whole = found(additive, ones("audio", "video"), "audio", "video")
    monkeypatch.setattr(mm_shap, "ROWS", 7)
    split = found(additive, ones("audio", "video"), "audio", "video")
    for name, finding in whole.items():
        assert split[name].value == pytest.approx(finding.value, abs=1e-6)


def test_a_strip_that_no_window_covers_is_caught(monkeypatch, ones):
    def present(coalitions, steps):
        side = steps // coalitions.shape[1]
        kept = np.ones((len(coalitions), steps), dtype=bool)
        kept[:, : side * coalitions.shape[1]] = np.repeat(coalitions, side, axis=1)
        return kept

    monkeypatch.setattr(mm_shap, "present", present)
    with pytest.raises(AssertionError):
        check_additive(ones("audio", "video"), "audio", "video")


def test_a_stale_mask_is_caught(monkeypatch, ones):
    """Every row of a forward pass gets the windows of the first."""
    without = mm_shap._without

    def stale(stacked, coalitions, owners, players):
        return without(stacked, coalitions[:1].repeat(len(coalitions), 0), owners, players)

    monkeypatch.setattr(mm_shap, "_without", stale)
    with pytest.raises(AssertionError):
        check_additive(ones("audio", "video"), "audio", "video")


def test_predictions_of_another_example_are_caught(monkeypatch, presenter_of):
    """The first example's coalitions stand for those of all: what a cache that is never cleared does."""
    without = mm_shap._without

    def stale(stacked, coalitions, owners, players):
        return without(stacked, coalitions, owners * 0, players)

    streams = {m: [np.full((9, 1), v) for v in row] for m, row in (("audio", (1.0, 0.1)), ("video", (0.1, 1.0)))}

    def audio():
        return found(additive, presenter_of(streams), "audio", "video")["mm_shap/audio"].value

    right = audio()
    monkeypatch.setattr(mm_shap, "_without", stale)
    assert abs(audio() - right) > 0.1


def test_a_modality_that_the_model_ignores_has_no_share(ones):
    def deaf(inputs, masks):
        return of_probability(0.05 + 0.5 * weighted(inputs, "video") ** 2)

    for windows in (2, 8):
        told = found(deaf, ones("audio", "video"), "audio", "video", windows=windows)
        assert told["mm_shap/audio"].value == told["mm_shap/audio/mean"].value == 0.0
        assert told["mm_shap/video"].value == 1.0


def test_a_model_that_ignores_everything_has_a_reason(ones):
    told = found(lambda inputs, masks: torch.ones(len(inputs["audio"]), 2), ones("audio", "video"), "audio", "video")
    for finding in told.values():
        assert finding.value is None and finding.n == 3
        assert finding.reason == "no player has credit: taking windows away does not change the prediction"


def test_one_modality_has_a_reason_and_costs_nothing(ones):
    def never(inputs, masks):
        raise AssertionError("a forward pass for a share of one")

    told = found(never, ones("audio", "video"), "video")
    assert {f.reason for f in told.values()} == {"a share needs two modalities; the model uses video alone"}
    assert set(told) == {"mm_shap/video", "mm_shap/video/mean"}


def test_scores_that_are_not_finite_have_a_reason(ones):
    def brittle(inputs, masks):
        p = weighted(inputs, "audio")
        return of_probability(p / p.abs().clamp(max=1e-3) * 1e-3 / 4) + weighted(inputs, "video")[:, None]

    told = found(brittle, ones("audio", "video"), "audio", "video")
    assert {f.reason for f in told.values()} == {"the model's scores are not finite where windows are taken away"}


BITS = [np.array([[a]]) for a in (-1.0, -1.0, 1.0, 1.0)], [np.array([[b]]) for b in (-1.0, 1.0, -1.0, 1.0)]


@pytest.mark.parametrize(
    ("gate", "shares"),
    [
        (lambda a, v: 0.5 + 0.4 * a * v, (0.5, 0.5, 0.5, 0.5)),  # XOR: neither without the other
        (lambda a, v: 0.5 + 0.2 * (a + v), (0.5, None, None, 0.5)),  # one bit read twice; bits that differ cancel
        (lambda a, v: 0.5 + 0.4 * a, (1.0, 1.0, 1.0, 1.0)),  # unique
        # AND: 0.9 for both, 0.1 for every other pair of bits; 0.5 for one and an absent one, 0.3 for none.
        (lambda a, v: 0.1 + 0.2 * (1 + a) * (1 + v), (0.5, 0.75, 0.25, 0.5)),
    ],
    ids=["xor", "copy", "unique", "and"],
)
def test_gates_of_one_step(gate, shares, presenter_of):
    """One step is one player: two players, exact values."""

    def model(inputs, masks):
        return of_probability(gate(inputs["audio"][:, 0, 0], inputs["video"][:, 0, 0]))

    for i, wanted in enumerate(shares):
        told = found(model, presenter_of({"audio": BITS[0][i : i + 1], "video": BITS[1][i : i + 1]}), "audio", "video")
        if wanted is not None:
            assert told["mm_shap/audio"].value == pytest.approx(wanted, abs=1e-6)
            assert told["mm_shap/video"].value == pytest.approx(1 - wanted, abs=1e-6)


def test_a_model_that_scores_steps_is_scored_over_all_of_them(presenter_of):
    """Step t looks at audio t, and at video of the first step: shares of the mean over steps are known."""

    def model(inputs, masks):
        p = 0.5 + 0.1 * inputs["audio"][..., 0] + 0.2 * inputs["video"][:, :1, 0]
        return of_probability(torch.where(torch.arange(p.shape[1]) % 2 == 0, p, 1 - p))  # every second predicts no

    rows = [np.ones((n, 1)) for n in (4, 6)]
    labels = [np.zeros(n, dtype=np.int64) for n in (4, 6)]
    presenter = presenter_of({"audio": rows, "video": rows}, labels)
    for windows in (2, 8):
        told = found(model, presenter, "audio", "video", windows=windows)
        assert told["mm_shap/audio"].value == pytest.approx(0.1 / 0.3, abs=1e-5)
        assert told["mm_shap/audio"].n == 10


def test_examples_without_credit_are_left_out(presenter_of):
    streams = {m: [np.full((3, 1), v) for v in (1.0, 0.0, 1.0)] for m in ("audio", "video")}

    def model(inputs, masks):
        return of_probability(0.5 + 0.1 * inputs["audio"].sum((1, 2)) + 0.05 * inputs["video"].sum((1, 2)))

    told = found(model, presenter_of(streams), "audio", "video")
    assert told["mm_shap/audio"].value == pytest.approx(2 / 3, abs=1e-5)
    assert told["mm_shap/audio"].n == 2


def test_the_primary_condition_is_measured_too(presenter_of):
    presenter = presenter_of({m: [np.ones((4, 1))] for m in ("audio", "video")}, conditions=("audio/missing", "clean"))
    findings = list(mm_shap.measure(subject(additive, "audio", "video"), presenter, suite()))
    assert [f.condition for f in findings] == ["clean"] * 4 + ["audio/missing"] * 4
    assert findings[0].value > 0.1 and findings[4].value == 0.0


def test_the_same_numbers_twice_and_no_forward_pass_too_many(ones):
    rows = []

    def model(inputs, masks):
        rows.append(len(inputs["audio"]))
        return additive(inputs, masks).pow(2)

    first = found(model, ones("audio", "video"), "audio", "video", permutations=3)
    assert first == found(model, ones("audio", "video"), "audio", "video", permutations=3)
    players = 8 + 8, 8 + 8, 8 + 7
    assert sum(rows) / 2 <= sum(2 + 2 * 3 * (p - 1) for p in players)
    assert len(rows) == 2 * 2  # two lengths, each in one pass


def test_examples_are_spread_evenly():
    assert mm_shap.spread(10, 4).tolist() == [0, 2, 5, 7]
    assert mm_shap.spread(3, 24).tolist() == [0, 1, 2]
