"""Composed architectures: every part keeps the contract, equations by hand, and what a wrong spec is told."""

import subprocess
import sys

import pytest
import torch
import yaml
from torch import nn
from torch.nn import functional as F

import zoo
from zoo.layers import masked_mean, record_attention
from zoo.parts import encoders, fusions, keys, poolings
from zoo.parts.architecture import at_least, read
from zoo.spec import load

WIDTHS = {"audio": 6, "video": 5, "text": 4}
LENGTHS = {"audio": (11, 6, 3), "video": (2, 5, 5), "text": (8, 1, 8)}
TRANSFORMER = {"transformer": {"heads": 2, "layers": 1, "dropout": 0.1}}
EMBED = {"embed": {"dropout": 0.1}}
ATTENTIVE = {"heads": 2, "layers": 2, "dropout": 0.1}
# Every part once. Chains must leave a stream 8 wide.
CHAINS = {
    "embed": [EMBED],
    "conv": [{"conv": {"layers": 2, "kernel": 3, "stride": 1, "dropout": 0.1}}],
    "rnn": [{"rnn": {"hidden": 8, "layers": 2, "dropout": 0.1}}],
    "lstm": [{"lstm": {"hidden": 8, "layers": 2, "dropout": 0.1}}],
    "gru": [{"gru": {"hidden": 8, "layers": 2, "dropout": 0.1}}],
    "bilstm": [{"bilstm": {"hidden": 4, "layers": 2, "dropout": 0.1}}],
    "transformer": [EMBED, TRANSFORMER],
}
FUSIONS = {
    "none": "none",
    "concatenate": "concatenate",
    "early": {"early": {"encoders": [EMBED, TRANSFORMER]}},
    "self_attention": {"self_attention": ATTENTIVE},
    "cross_attention": {"cross_attention": ATTENTIVE},
    "co_attention": {"co_attention": ATTENTIVE},
    "gate": "gate",
    "film": "film",
    "bottleneck": {"bottleneck": {**ATTENTIVE, "tokens": 2}},
    "late": "late",
    "hybrid": {"hybrid": {"interaction": {"cross_attention": ATTENTIVE}, "fused_weight": 1, "unimodal_weight": 0.5}},
}
POOLINGS = {"mean": "mean", "max": "max", "last": "last", "attention": {"attention": {"heads": 2, "dropout": 0.1}}}
HEADS = {"linear": "linear", "mlp": {"mlp": {"hidden": 7, "dropout": 0.1}}}
PLAIN = {"width": 8, "encoders": [EMBED], "fusion": "concatenate", "pooling": "mean", "head": "linear"}
TREES = {
    **{f"encoder-{name}": {**PLAIN, "encoders": chain} for name, chain in CHAINS.items()},
    **{f"fusion-{name}": {**PLAIN, "fusion": fusion} for name, fusion in FUSIONS.items()},
    **{f"pooling-{name}": {**PLAIN, "pooling": pooling} for name, pooling in POOLINGS.items()},
    **{f"head-{name}": {**PLAIN, "head": head} for name, head in HEADS.items()},
    "strided": {**PLAIN, "encoders": [{"conv": {"layers": 2, "kernel": 3, "stride": 2, "dropout": 0.1}}]},
    "a-chain-each": {**PLAIN, "encoders": {"audio": CHAINS["bilstm"], "video": CHAINS["conv"], "text": [EMBED]}},
    "hybrid-self-attention": {
        **PLAIN,
        "fusion": {"hybrid": {**FUSIONS["hybrid"]["hybrid"], "interaction": FUSIONS["self_attention"]}},
        "pooling": POOLINGS["attention"],
    },
}
CASES = [(name, per_step) for name in TREES for per_step in (False, True) if name != "strided" or not per_step]


def build(settings, *, modalities=None, per_step=False, seed=0, outputs=3):
    torch.manual_seed(seed)
    if modalities is None:
        modalities = ("audio",) if settings["fusion"] == "none" else tuple(WIDTHS)
    features = {m: WIDTHS[m] for m in modalities}
    return zoo.build("compose", features=features, outputs=outputs, per_step=per_step, **settings).eval()


def batch(model, seed=1):
    generator = torch.Generator().manual_seed(seed)
    inputs, masks = {}, {}
    for m in model.features:
        lengths = (8, 1, 5) if model.per_step else LENGTHS[m]
        inputs[m] = torch.randn(len(lengths), max(lengths), WIDTHS[m], generator=generator)
        masks[m] = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return inputs, masks


def real(scores, masks, per_step):
    return scores[next(iter(masks.values()))] if per_step else scores


@pytest.mark.parametrize(("name", "per_step"), CASES)
def test_padding_and_the_rest_of_the_batch_change_nothing(name, per_step):
    model = build(TREES[name], per_step=per_step)
    inputs, masks = batch(model)
    scores = model(inputs, masks)
    assert scores.shape == ((3, 8, 3) if per_step else (3, 3))
    longer = {m: F.pad(mask, (0, 3)) for m, mask in masks.items()}
    padded = {m: F.pad(x, (0, 0, 0, 3)).masked_fill(~longer[m].unsqueeze(-1), torch.nan) for m, x in inputs.items()}
    torch.testing.assert_close(
        real(model(padded, longer), longer, per_step), real(scores, masks, per_step), atol=1e-5, rtol=1e-4
    )
    for i in range(3):
        alone = {m: x[i : i + 1, : int(masks[m][i].sum())] for m, x in inputs.items()}
        full = {m: torch.ones(x.shape[:2], dtype=torch.bool) for m, x in alone.items()}
        expected = scores[i, : int(masks["audio"][i].sum())] if per_step else scores[i]
        torch.testing.assert_close(model(alone, full)[0], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("name", "per_step"), CASES)
def test_gradients_reach_every_weight_and_real_step_only(name, per_step):
    model = build(TREES[name], per_step=per_step).train()
    inputs, masks = batch(model)
    inputs = {m: x.requires_grad_() for m, x in inputs.items()}
    real(model(inputs, masks), masks, per_step).square().sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []
    for m, x in inputs.items():
        assert x.grad[masks[m]].any() and not x.grad[~masks[m]].any(), m


@pytest.mark.parametrize(("name", "per_step"), CASES)
def test_maps_have_labels_of_their_own_and_rows_that_sum_to_one(name, per_step):
    model = build(TREES[name], per_step=per_step)
    inputs, masks = batch(model)
    plain = model(inputs, masks)
    with record_attention() as maps:
        recorded = model(inputs, masks)
    torch.testing.assert_close(recorded, plain, atol=1e-5, rtol=1e-4)
    assert len({label for label, _ in maps}) == len(maps)
    for _, weights in maps:
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))


def test_the_tables_of_names_keys_and_classes_are_equal():
    assert keys.ENCODERS.keys() == encoders.ENCODERS.keys() == CHAINS.keys()
    assert keys.POOLINGS.keys() == poolings.POOLINGS.keys() == POOLINGS.keys()
    assert keys.INTERACTIONS.keys() | {"none"} == fusions.INTERACTIONS.keys()
    assert keys.FUSIONS.keys() == fusions.INTERACTIONS.keys() | {"late", "hybrid"} == FUSIONS.keys()
    assert keys.HEADS.keys() == HEADS.keys()


# Equations.


def streams(seed=0):
    """Two streams of width 8 and unequal lengths, with masks."""
    torch.manual_seed(seed)
    masks = {m: torch.arange(n) < torch.tensor(lengths)[:, None] for m, n, lengths in PAIR}
    return {m: (torch.randn(2, n, 8), masks[m]) for m, n, _ in PAIR}


PAIR = (("audio", 5, (5, 3)), ("video", 4, (1, 4)))
PAIR_WIDTHS = {"audio": 8, "video": 8}


def test_gate_by_hand():
    gate = fusions.Gate(PAIR_WIDTHS, 8, per_step=False)
    pair = streams()
    (audio, mask), (video, _) = pair["audio"], pair["video"]
    mean = torch.stack([video[0, 0], video[1].mean(0)])  # real steps: 1 and 4
    linear = gate.gate["audio"]
    expected = audio / (1 + torch.exp(-(mean @ linear.weight.T + linear.bias)))[:, None]
    gated, same = gate(pair)["audio"]
    torch.testing.assert_close(gated, expected)
    assert same is mask


def test_film_by_hand():
    film = fusions.FiLM(PAIR_WIDTHS, 8, per_step=False)
    pair = streams()
    audio, video = pair["audio"][0], pair["video"][0]
    mean = torch.stack([audio[0].mean(0), audio[1, :3].mean(0)])
    linear = film.modulation["video"]
    gamma, beta = (mean @ linear.weight.T + linear.bias)[:, None].split(8, dim=-1)
    torch.testing.assert_close(film(pair)["video"][0], gamma * video + video + beta)


def test_bottleneck_tokens_are_averaged_and_carry_over():
    torch.manual_seed(2)
    block = fusions.Bottleneck(PAIR_WIDTHS, 8, per_step=False, heads=2, layers=2, dropout=0.0, tokens=3).eval()
    pair = streams()
    x = {m: s for m, (s, _) in pair.items()}
    tokens = block.tokens.expand(2, -1, -1)
    for layer in block.layers:
        said = []
        for m, (_, mask) in pair.items():
            allowed = torch.cat([mask, torch.ones(2, 3, dtype=torch.bool)], 1)
            bias = torch.zeros(allowed.shape).masked_fill(~allowed, -torch.inf)[:, None, None]
            y = layer[m](torch.cat([x[m], tokens], 1), bias)
            x[m] = y[:, :-3]
            said.append(y[:, -3:])
        tokens = (said[0] + said[1]) / 2
    fused = block(pair)
    for m in pair:
        torch.testing.assert_close(fused[m][0], block.norm[m](x[m]))


def test_in_one_bottleneck_layer_no_modality_sees_another():
    with pytest.raises(ValueError, match=r"fusion.bottleneck.layers: Input should be greater than or equal to 2"):
        build({**PLAIN, "fusion": {"bottleneck": {**ATTENTIVE, "layers": 1, "tokens": 2}}})


def test_film_without_modulation_and_an_open_gate_are_the_identity():
    pair = streams()
    film, gate = (kind(PAIR_WIDTHS, 8, per_step=False) for kind in (fusions.FiLM, fusions.Gate))
    for linear in film.modulation.values():
        nn.init.zeros_(linear.weight), nn.init.zeros_(linear.bias)
    for linear in gate.gate.values():
        nn.init.zeros_(linear.weight), nn.init.constant_(linear.bias, 50.0)
    for m, (x, _) in pair.items():
        torch.testing.assert_close(film(pair)[m][0], x)
        torch.testing.assert_close(gate(pair)[m][0], x)


def test_co_attention_attends_to_itself_then_to_the_others_states_of_the_same_layer():
    torch.manual_seed(3)
    block = fusions.CoAttention(PAIR_WIDTHS, 8, per_step=False, heads=2, layers=1, dropout=0.0).eval()
    pair = streams()
    own, guided = block.own[0], block.guided[0]
    x = {m: s + block.modality[m] for m, (s, _) in pair.items()}
    biases = {m: torch.zeros(k.shape).masked_fill(~k, -torch.inf)[:, None, None] for m, (_, k) in pair.items()}
    for m in pair:
        y = own[m].norm(x[m])
        x[m] = x[m] + own[m].attention(y, y, y, biases[m])
    unit, source = guided["audio"], guided["audio"].norm_source(x["video"])
    y = x["audio"] + unit.attention(unit.norm_query(x["audio"]), source, source, biases["video"])
    y = y + unit.feed_forward(unit.norm(y))
    torch.testing.assert_close(block(pair)["audio"][0], block.norm["audio"](y))


def test_bilstm_equals_packed_sequences():
    torch.manual_seed(4)
    ours = encoders.BiLSTM(8, 8, hidden=4, layers=2, dropout=0.0, label="audio")
    theirs = nn.LSTM(8, 4, 2, batch_first=True, bidirectional=True)
    for layer in range(2):
        for suffix, ways in (("", ours.forwards), ("_reverse", ours.backwards)):
            for name, weight in ways[layer].named_parameters():
                getattr(theirs, name.replace("l0", f"l{layer}{suffix}")).data.copy_(weight.data)
    x, mask = streams()["audio"]
    packed = nn.utils.rnn.pack_padded_sequence(x, mask.sum(1), batch_first=True, enforce_sorted=False)
    expected, _ = nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True)
    torch.testing.assert_close(ours(x, mask)[0][mask], expected[mask])


def test_a_stride_shortens_stream_and_mask():
    torch.manual_seed(5)
    conv = encoders.Conv(8, 8, layers=2, kernel=3, stride=2, dropout=0.0, label="audio")
    x = torch.randn(3, 9, 8)
    mask = torch.arange(9) < torch.tensor([9, 5, 4])[:, None]
    y, short = conv(x, mask)
    assert y.shape == (3, 3, 8)
    assert short.sum(1).tolist() == [3, 2, 1]  # ceil of a half, twice
    torch.testing.assert_close(conv(x[1:2, :5], mask[1:2, :5])[0][0], y[1, :2])


def test_poolings_by_hand():
    x, mask = torch.tensor([[[1.0, -2.0], [3.0, -4.0], [9.0, 9.0]]]), torch.tensor([[True, True, False]])
    expected = {"mean": [2.0, -3.0], "max": [3.0, -2.0], "last": [3.0, -4.0]}
    for name, value in expected.items():
        assert poolings.POOLINGS[name](2, label="audio")(x, mask).tolist() == [value], name


def test_attention_pooling_is_a_weighted_mean_under_its_own_label():
    pooling = poolings.AttentionPooling(8, heads=2, dropout=0.0, label="audio")
    x, mask = streams()["audio"]
    nn.init.zeros_(pooling.query), nn.init.zeros_(pooling.attention.in_proj_bias)
    with record_attention() as maps:
        pooled = pooling(x, mask)
    ((label, weights),) = maps
    assert label == "audio pooling<-audio/0" and weights.shape == (2, 2, 1, 5)
    value = F.linear(masked_mean(x, mask), pooling.attention.in_proj_weight[16:])  # a zero query weighs all equally
    torch.testing.assert_close(pooled, pooling.attention.out_proj(value))


def test_late_fusion_is_the_mean_of_unimodal_networks():
    late = build({**PLAIN, "fusion": "late"}, modalities=("audio", "video"))
    inputs, masks = batch(late)
    scores = []
    for m in late.features:
        alone = build({**PLAIN, "fusion": "none"}, modalities=(m,))
        weights = {k: v for k, v in late.state_dict().items() if f".{m}." in k}
        alone.load_state_dict({k.replace(f"readouts.{m}", "readout"): v for k, v in weights.items()})
        scores.append(alone({m: inputs[m]}, {m: masks[m]}))
    torch.testing.assert_close(late(inputs, masks), sum(scores) / 2)


def test_hybrid_weighs_losses_and_votes_alike():
    model = build(FULL_HYBRID, modalities=("audio", "video"))
    inputs, masks = batch(model)
    labels = torch.tensor([0, 2, 1])
    encoded = {m: model.encoders[m](x, masks[m]) for m, x in inputs.items()}
    fused, unimodal = model.fusion.fused(encoded), [model.fusion.unimodal.readouts[m]({m: encoded[m]}) for m in encoded]
    expected = (2 * fused + 0.5 * unimodal[0] + 0.5 * unimodal[1]) / 3
    torch.testing.assert_close(model(inputs, masks), expected)
    losses = 2 * F.cross_entropy(fused, labels) + 0.5 * sum(F.cross_entropy(s, labels) for s in unimodal)
    torch.testing.assert_close(model.training_loss(inputs, masks, labels, F.cross_entropy), losses)


FULL_HYBRID = {
    **PLAIN,
    "fusion": {"hybrid": {"interaction": "concatenate", "fused_weight": 2.0, "unimodal_weight": 0.5}},
}


def test_without_hybrid_the_training_loss_is_that_of_the_scores():
    model = build(TREES["fusion-late"])
    inputs, masks = batch(model)
    labels = torch.tensor([0, 2, 1])
    expected = F.cross_entropy(model(inputs, masks), labels)
    torch.testing.assert_close(model.training_loss(inputs, masks, labels, F.cross_entropy), expected)


def test_early_fusion_brings_streams_to_the_longest():
    model = build({**TREES["fusion-early"], "encoders": []}, modalities=("audio", "video"))
    inputs, masks = batch(model)
    twice = {"audio": inputs["audio"][:1, :4], "video": inputs["video"][:1, :2]}
    full = {m: torch.ones(x.shape[:2], dtype=torch.bool) for m, x in twice.items()}
    repeated = {**twice, "video": twice["video"].repeat_interleave(2, 1)}
    torch.testing.assert_close(model(twice, full), model(repeated, {**full, "video": full["audio"]}))


def test_labels_count_on_through_chain_and_fusion():
    chain = [EMBED, TRANSFORMER, TRANSFORMER]
    model = build({**PLAIN, "encoders": chain, "fusion": {"co_attention": {**ATTENTIVE, "layers": 1}}})
    with record_attention() as maps:
        model(*batch(model))
    labels = [label for label, _ in maps if label.startswith("audio")]
    assert labels == ["audio<-audio/0", "audio<-audio/1", "audio<-audio/2", "audio<-video+text/0"]


# What a wrong spec is told.


def changed(**settings):
    return {**PLAIN, **settings}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (changed(fusion="crossattention"), r"fusion: unknown part 'crossattention'\. Did you mean 'cross_attention'\?"),
        (changed(fusion="smell"), r"fusion: unknown part 'smell'\. Known: none, concatenate, early, .*, hybrid\."),
        (changed(encoders=[EMBED, "transfomer"]), r"encoders\[1\]: unknown part 'transfomer'.*'transformer'\?"),
        (changed(pooling="avg"), r"pooling: unknown part 'avg'.*Known: mean, max, last, attention"),
        (changed(head={"mpl": {}}), r"head: unknown part 'mpl'\. Did you mean 'mlp'\?"),
        (
            changed(encoders=[{"embed": {"droput": 0.1}}]),
            r"encoders\[0\]\.embed: unknown key 'droput'\. Did you mean 'dropout'\? Known keys: dropout",
        ),
        (
            changed(fusion={"cross_attention": {"heads": 2, "dropout": 0.1}}),
            r"fusion\.cross_attention: layers is missing\. Wanted keys: heads, layers, dropout",
        ),
        (changed(fusion={"cross_attention": None}), r"fusion\.cross_attention: heads is missing"),
        (changed(fusion={"film": 3}), r"fusion\.film: wanted its keys \{\} \(got 3\)"),
        (
            changed(fusion={"cross_attention": {**ATTENTIVE, "heads": 3}}),
            r"fusion\.cross_attention\.heads: heads \(3\) must divide width \(8\)",
        ),
        (
            changed(fusion={"hybrid": {**FUSIONS["hybrid"]["hybrid"], "interaction": "late"}}),
            r"fusion\.hybrid\.interaction: unknown part 'late'",
        ),
        (
            changed(fusion={"early": {"encoders": [EMBED, {"transformer": {**ATTENTIVE, "heads": 5}}]}}),
            r"fusion\.early\.encoders\[1\]\.transformer\.heads: heads \(5\) must divide",
        ),
        (changed(fusion={"late": {}, "gate": {}}), r"fusion: wanted the name of one part.*got \{'late'"),
        (changed(fusion=None), r"fusion: wanted the name of one part.*got None"),
        (changed(encoders=[{"embed": {"dropout": 1.0}}]), r"encoders\[0\]\.embed\.dropout: .*less than 1 \(got 1\.0\)"),
        (changed(encoders=[{"rnn": {"hidden": "8", "layers": 1, "dropout": 0}}]), r"encoders\[0\]\.rnn\.hidden: .*'8'"),
        (
            changed(encoders={"audio": [{"conv": {"layers": 1, "kernel": 4, "stride": 1, "dropout": 0}}]}),
            r"encoders\.audio\[0\]\.conv\.kernel: 4 has no middle step\. Wanted an odd number",
        ),
        (
            changed(encoders=[{"bilstm": {"hidden": 8, "layers": 1, "dropout": 0}}]),
            r"encoders: its last part must give a stream 8 wide \(width\), but leaves a stream 16 wide",
        ),
        (changed(encoders=[]), r"encoders: its last part must give .* features as they are"),
        (changed(encoders=[TRANSFORMER]), r"encoders\[0\]\.transformer: takes a stream 8 wide.*Put embed or conv"),
        (changed(encoders="embed"), r"encoders: wanted a list of parts"),
        (changed(encoders={"audio": "embed"}), r"encoders\.audio: wanted a list of encoders"),
        (changed(encoders={"vidoe": [EMBED]}), r"encoders: unknown modality 'vidoe'\. Did you mean 'video'\?"),
        (changed(encoders={"audio": [EMBED]}), r"encoders: no chain for video; there are chains for audio"),
        (changed(width=0), r"width: wanted a whole number of 1 or more \(got 0\)"),
        (changed(width=True), r"width: wanted a whole number"),
        (changed(fusion="none"), r"fusion\.none: takes one modality, got 3"),
        (
            changed(fusion={"self_attention": ATTENTIVE}, pooling="last"),
            r"pooling\.last: the joint tokens .* no last step",
        ),
    ],
)
def test_a_wrong_tree_is_told_where(settings, said):
    with pytest.raises(ValueError, match=said):
        build(settings, modalities=tuple(WIDTHS))


def test_keys_of_the_whole_are_checked_too():
    with pytest.raises(ValueError, match=r"unknown key 'fusoin'\. Did you mean 'fusion'\?"):
        read({**PLAIN, "fusoin": "late"}, ("audio",), per_step=False)
    with pytest.raises(ValueError, match=r"head is missing\. Wanted keys: width, encoders, fusion, pooling, head"):
        read({k: v for k, v in PLAIN.items() if k != "head"}, ("audio",), per_step=False)
    with pytest.raises(ValueError, match="missing 1 required keyword-only argument: 'head'"):
        build({k: v for k, v in PLAIN.items() if k != "head"})


def test_a_fusion_of_one_modality_is_refused():
    assert at_least(PLAIN) == 2 and at_least({**PLAIN, "fusion": {"none": {}}}) == 1
    with pytest.raises(ValueError, match=r"fusion\.concatenate: fuses two modalities or more, got 1"):
        build(PLAIN, modalities=("audio",))


def test_per_step_output_needs_every_step():
    with pytest.raises(ValueError, match=r"encoders\[0\]\.conv\.stride: 2 shortens the stream.*Wanted 1"):
        build(TREES["strided"], per_step=True)


def interaction(model):
    """f(a, v) - f(a', v) - f(a, v') + f(a', v'): zero where scores add up over modalities."""
    inputs, masks = batch(model)
    other, _ = batch(model, seed=2)
    mixed = {"audio": inputs["audio"], "video": other["video"]}
    crossed = {"audio": other["audio"], "video": inputs["video"]}
    return (model(inputs, masks) - model(mixed, masks) - model(crossed, masks) + model(other, masks)).abs().max()


@pytest.mark.parametrize("fusion", ["late", "concatenate"])
def test_scores_add_up_over_modalities_under_a_linear_head(fusion):
    assert interaction(build({**PLAIN, "fusion": fusion}, modalities=("audio", "video"))) < 1e-5


MULTIMODAL = [name for name in zoo.METHODS["compose"].presets if load(name).modalities is None]


@pytest.mark.parametrize("name", MULTIMODAL)
def test_every_preset_but_late_fusion_can_tell_a_combination(name):
    model = build(load(name).settings, modalities=("audio", "video"))
    assert (interaction(model) > 1e-4) == (name != "late_fusion")


# Specs.


def test_an_architecture_of_ones_own(tmp_path):
    path = tmp_path / "mine.yaml"
    label = {"title": "Mine", "summary": "A sketch.", "fusion_stage": "intermediate", "attention": "cross-attention"}
    settings = {**TREES["fusion-cross_attention"], "encoders": CHAINS["bilstm"], "pooling": POOLINGS["attention"]}
    path.write_text(yaml.safe_dump({"name": "mine", "method": "compose", "label": label, "settings": settings}))
    spec = load(str(path))
    model = zoo.build(spec.method, features=WIDTHS, outputs=3, **spec.settings).eval()
    assert spec.card.title == "Mine"
    assert model(*batch(model)).shape == (3, 3)


@pytest.mark.parametrize("name", zoo.METHODS["compose"].presets)
def test_a_preset_has_a_label_of_its_own(name):
    spec = load(name)
    assert spec.name == name and spec.label.fusion_stage in zoo.STAGES
    assert spec.label.summary.count(".") == 1
    tree = read(spec.settings, spec.modalities or ("audio", "video"), per_step=True)
    assert (tree.fusion.kind == "none") == (spec.label.fusion_stage == "none") == (at_least(spec.settings) == 1)


def test_checking_a_tree_costs_no_torch():
    code = (
        "import sys; from zoo.spec import load; from zoo.parts.architecture import read; "
        "read(load('film').settings, ('audio', 'video'), per_step=False); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
