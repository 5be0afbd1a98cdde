"""HALNet: the product in label space, two predictions, and the levels of the global feature."""

import pytest
import torch
from torch.nn import functional as F

import zoo
from zoo import spec
from zoo.halnet import LabelFusion
from zoo.layers import record_attention

FEATURES = {"audio": 3, "video": 4, "text": 5}
STEPS = {"audio": 7, "video": 4, "text": 5}


def build(outputs=3, per_step=False, **changed):
    torch.manual_seed(0)
    settings = {**spec.load("halnet").settings, **changed}
    return zoo.build("halnet", features=FEATURES, outputs=outputs, per_step=per_step, **settings).eval()


def clips(steps=STEPS):
    generator = torch.Generator().manual_seed(1)
    inputs = {m: torch.randn(2, steps[m], d, generator=generator) for m, d in FEATURES.items()}
    return inputs, {m: torch.arange(steps[m]) < torch.tensor([[steps[m]], [2]]) for m in FEATURES}


@pytest.mark.parametrize("modalities", [2, 3])
def test_label_space_holds_every_combination_of_classes(modalities):
    torch.manual_seed(0)
    fusion = LabelFusion(modalities, 3, 5)
    scores = [torch.randn(4, 3) for _ in range(modalities)]
    seen = []
    fusion.layers[0].register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    assert fusion(scores).shape == (4, 3)
    letters = "ijk"[:modalities]
    equation = ",".join(f"b{letter}" for letter in letters) + f"->b{letters}"
    product = torch.einsum(equation, *(s.softmax(-1) for s in scores)).flatten(1)
    torch.testing.assert_close(seen[0], product)
    torch.testing.assert_close(seen[0].sum(1), torch.ones(4))  # a joint distribution


def test_scores_are_the_mean_of_two_predictions():
    model, (inputs, masks) = build(), clips()
    of_features, of_labels, local = model.predictions(inputs, masks)
    assert len(local) == 3 and all(scores.shape == (2, 3) for scores in local)
    scores = model(inputs, masks)
    torch.testing.assert_close(scores, (of_features + of_labels) / 2)
    geometric = (of_features.softmax(-1) * of_labels.softmax(-1)).sqrt()
    torch.testing.assert_close(scores.softmax(-1), geometric / geometric.sum(-1, keepdim=True))


def test_training_supervises_both_predictions_and_every_modality():
    model, (inputs, masks) = build(), clips()
    labels = torch.tensor([0, 2])
    of_features, of_labels, local = model.predictions(inputs, masks)
    own = sum(F.cross_entropy(scores, labels) for scores in local) / 3
    expected = (F.cross_entropy(of_features, labels) + F.cross_entropy(of_labels, labels) + own) / 3
    torch.testing.assert_close(model.training_loss(inputs, masks, labels, F.cross_entropy), expected)


def test_training_loss_by_step():
    model, (inputs, masks) = build(per_step=True), clips(dict.fromkeys(FEATURES, 5))
    labels = torch.tensor([[0, 1, 2, 1, 0], [2, 1, -100, -100, -100]])

    def criterion(scores, labels):
        return F.cross_entropy(scores.flatten(0, 1), labels.flatten())

    loss = model.training_loss(inputs, masks, labels, criterion)
    loss.backward()
    assert loss.isfinite() and all(p.grad.isfinite().all() for p in model.parameters())


def test_the_global_feature_reads_every_level():
    model, (inputs, masks) = build(levels=3), clips()
    with record_attention() as maps:
        model(inputs, masks)
    gathered = {label: weights for label, weights in maps if label.startswith("global")}
    assert list(gathered) == [f"global<-audio+video+text/{i}" for i in range(3)]
    real = torch.cat([masks[m] for m in FEATURES], dim=1)
    for weights in gathered.values():
        assert weights.shape == (2, 4, 1, 16)
        assert not weights.masked_select(~real[:, None, None]).any()
    assert {label for label, _ in maps} - set(gathered) == {f"{m}<-{m}/{i}" for m in FEATURES for i in range(3)}


def test_parameters():
    layer = 12 * 40**2 + 13 * 40
    streams = 3 * (2 * layer + 40 + 80 + 40 * 3 + 3) + 40 * (3 + 4 + 5 + 3)  # layers, vector, norm, head; embeddings
    gathering = 2 * (layer + 80) + 80 + 41 * 3  # one norm more than a layer; last norm, head
    labels = 28 * 40 + 41 * 3  # 27 combinations
    assert sum(p.numel() for p in build().parameters()) == streams + gathering + labels


def test_one_class_has_no_label_space():
    with pytest.raises(ValueError, match="outputs is 1; wanted 2 classes or more"):
        build(outputs=1)
    with pytest.raises(ValueError, match="levels is 0"):
        build(levels=0)
