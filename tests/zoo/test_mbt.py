"""MBT: parity with the authors' code through the importer, published sizes, training rules, image ViTs as a start."""

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

import zoo
from tests import parity
from zoo.layers import record_attention
from zoo.mbt import MBT
from zoo.spec import MethodSpec, load
from zoo.vit import Block, picked
from zoo.weights import WeightsError, import_weights, open_model, write
from zoo.weights.mbt import scenic_entries

NAMES = {"rgb": "video", "spectrogram": "audio"}
VARIANTS = (
    "token_bottleneck",
    "token_bottleneck_shared",
    "gap_bottleneck",
    "gap_bottleneck_shared",
    "token_full",
    "token_full_shared",
    "gap_full",
    "gap_full_shared",
    "late_fusion",
    "early_fusion",
    "oblong_patches",
    "frame_sampling",
    "rgb_only",
    "spectrogram_only",
    "pre_logits_token",
    "small_activations",
)
PLAIN = {"dropout": 0.0, "attention_dropout": 0.0, "stochastic_depth": 0.0, "mixup": 0.0, "modality_mixup": False}


def spec_of(config: dict) -> tuple[MethodSpec, dict[str, tuple[int, ...]]]:
    """The spec that a fixture's configuration means, and the shape of one step of each modality."""
    rows, columns, *frames = config["patches"]
    sampled = config["temporal_encoding_config"].get("n_sampled_frames")
    features, patches = {}, {}
    for name in config["modality_fusion"]:
        _, steps, *shape = config[name]
        features[NAMES[name]] = tuple(shape)
        if name == "rgb":
            patches["video"] = {"steps": steps, "size": [*(frames or [1]), rows, columns], "sampled": sampled}
        else:
            patches["audio"] = {"steps": steps, "size": [rows, columns]}
    settings = {
        "patches": patches,
        "width": config["hidden_size"],
        "heads": config["num_heads"],
        "hidden": config["mlp_dim"],
        "layers": config["num_layers"],
        "fusion": "bottleneck" if config["use_bottleneck"] else "full",
        "fusion_layer": config["fusion_layer"],
        "bottlenecks": config["n_bottlenecks"],
        "share_encoder": config["share_encoder"],
        "classifier": config["classifier"],
        "representation": config.get("representation_size"),
        **PLAIN,
    }
    return MethodSpec(name="fixture", method="mbt", settings=settings), features


def imported(case, groups, tmp_path, rename=str) -> MBT:
    spec, features = spec_of(case["config"])
    path = tmp_path / "authors.safetensors"
    save_file({rename(k): v.contiguous() for k, v in groups["weights"].items()}, path)
    return import_weights(spec, path, features=features).model.eval()


def full_masks(inputs):
    return {m: torch.ones(x.shape[:2], dtype=torch.bool) for m, x in inputs.items()}


def gradient_of(model: MBT, reference: str, golden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Our gradient of one of the reference's tensors, and the golden one in our layout."""
    parameters = dict(model.named_parameters())
    for entry in scenic_entries(model):
        if reference in entry.references:
            part = parameters[entry.ours].grad.chunk(len(entry.references))[entry.references.index(reference)]
            return part, entry.layout(golden)
    raise KeyError(reference)


@pytest.mark.parametrize("variant", VARIANTS)
def test_parity_with_the_authors_code(variant, tmp_path):
    case, groups = parity.case("mbt", variant)
    model = imported(case, groups, tmp_path)
    inputs = {NAMES[k]: v.requires_grad_() for k, v in groups["inputs"].items()}
    masks = full_masks(inputs)
    order = [NAMES[name] for name in case["config"]["modality_fusion"]]
    encoded, _ = model.encode(inputs, masks)
    scores = dict(zip(model.features, model.scores(inputs, masks), strict=False))
    ours = {"encoded": torch.cat([encoded[m] for m in order], 1), "logits": model(inputs, masks)}
    ours |= {f"train_logits/{name}": scores[m] for name, m in NAMES.items() if m in scores}
    for name, golden in groups["outputs"].items():
        assert parity.close(ours[name], golden, case["tolerance"]["outputs"]), name
    sum((ours[k] * c).sum() for k, c in groups["cotangents"].items()).backward()
    for name, golden in groups["grads"].items():
        kind, _, name = name.partition("/")
        if name == "bottleneck" and model.bottleneck is None:
            assert not golden.any()  # the reference keeps one that no layer reads
            continue
        pair = (inputs[NAMES[name]].grad, golden) if kind == "inputs" else gradient_of(model, name, golden)
        assert parity.close(*pair, case["tolerance"]["grads"]), name
    unread = 5 * 32 if variant == "late_fusion" else 0
    assert sum(p.numel() for p in model.parameters()) == case["parameters"] - unread


def test_every_variant_is_tested():
    case = json.loads((parity.parity_root() / "mbt" / "case.json").read_text(encoding="utf-8"))
    assert set(case["variants"]) == set(VARIANTS)


@pytest.mark.parametrize("before", ["optimizer/target/", "params/", "optimizer.target."])
def test_the_released_tree_is_read_under_every_prefix(before, tmp_path):
    case, groups = parity.case("mbt", "token_bottleneck")
    joint = "." if before.endswith(".") else "/"
    groups["weights"] |= {"rng": torch.zeros(2)}
    model = imported(case, groups, tmp_path, lambda name: name if name == "rng" else before + name.replace("/", joint))
    inputs = {NAMES[k]: v for k, v in groups["inputs"].items()}
    assert parity.close(model(inputs, full_masks(inputs)), groups["outputs"]["logits"], case["tolerance"]["outputs"])


def test_a_flax_file_is_read(tmp_path):
    """Written as Flax writes: arrays as extension 1, scalars as 3, large arrays in chunks."""
    import msgpack

    from zoo.weights.flax_msgpack import read

    def packed(code, array):
        return msgpack.ExtType(code, msgpack.packb((array.shape, array.dtype.name, array.tobytes("C"))))

    a, b = np.arange(6, dtype=np.float32).reshape(2, 3), np.arange(4, dtype=np.int32)
    chunks = {str(i): packed(1, part) for i, part in enumerate(np.split(a.ravel(), 2))}
    chunked = {"__msgpack_chunked_array__": True, "shape": {"0": 2, "1": 3}, "chunks": chunks}
    content = {"params": {"a": packed(1, a), "chunked": chunked}, "b": packed(1, b), "step": packed(3, np.int64(7))}
    path = tmp_path / "checkpoint"
    path.write_bytes(msgpack.packb(content))
    read_back = read(path)
    assert torch.equal(read_back["params"]["a"], torch.from_numpy(a))
    assert torch.equal(read_back["params"]["chunked"], torch.from_numpy(a))
    assert torch.equal(read_back["b"], torch.from_numpy(b)) and read_back["step"].item() == 7
    path.write_bytes(msgpack.packb({"code": msgpack.ExtType(4, b"import os")}))
    with pytest.raises(ValueError, match="extension type 4"):
        read(path)


def test_written_weights_open_as_the_same_model(tmp_path):
    case, groups = parity.case("mbt", "frame_sampling")
    spec, features = spec_of(case["config"])
    save_file(groups["weights"], tmp_path / "authors.safetensors")
    done = import_weights(spec, tmp_path / "authors.safetensors", features=features)
    write(done, tmp_path / "ours.safetensors")
    inputs = {NAMES[k]: v for k, v in groups["inputs"].items()}
    ours, again = (
        m.eval()(inputs, full_masks(inputs)) for m in (done.model, open_model(tmp_path / "ours.safetensors"))
    )
    assert torch.equal(ours, again)


@pytest.mark.parametrize("size", zoo.METHODS["mbt"].sizes, ids=lambda size: size.preset)
def test_published_size(size, monkeypatch):
    monkeypatch.setattr(torch.Tensor, "normal_", lambda x, *args, **kwargs: x)  # on "meta" it would import the compiler
    with torch.device("meta"):
        model = zoo.build("mbt", features=size.features, outputs=size.outputs, **load(size.preset).settings)
    assert sum(p.numel() for p in model.parameters()) == size.parameters
    assert {sum(p.numel() for p in block.parameters()) for layer in model.layers for block in layer.values()} == {
        7_087_872
    }
    tokens = {m: p.shape[1] for m, p in model.positions.items()}
    assert tokens == ({"audio": 401, "video": 1569} if size.preset == "mbt-paper" else {"audio": 400, "video": 3136})


# ---- feature vectors: the presets that boards rank ----

WIDTHS = {"audio": 5, "video": 7, "text": 6}


def small(preset="mbt-small", modalities=("audio", "video"), per_step=False, seed=0, **settings) -> MBT:
    """A preset with weights in place of the zeros that a new head and new biases have."""
    torch.manual_seed(seed)
    settings = {**load(preset).settings, **settings}
    model = zoo.build("mbt", features={m: WIDTHS[m] for m in modalities}, outputs=4, per_step=per_step, **settings)
    with torch.no_grad():
        for p in model.parameters():
            if not p.any():
                p.normal_(std=0.2)
    return model.eval()


def batch(modalities=("audio", "video"), lengths=None):
    generator = torch.Generator().manual_seed(1)
    lengths = lengths or {"audio": (9, 4, 6), "video": (3, 5, 2), "text": (1, 4, 2)}
    inputs = {m: torch.randn(3, max(lengths[m]), WIDTHS[m], generator=generator) for m in modalities}
    masks = {m: torch.arange(max(lengths[m])) < torch.tensor(lengths[m])[:, None] for m in modalities}
    return inputs, masks


@pytest.mark.parametrize("preset", zoo.METHODS["mbt"].presets)
@pytest.mark.parametrize("settings", [{}, {"share_encoder": True}, {"classifier": "gap", "modality_mixup": False}])
@pytest.mark.parametrize("modalities", [("audio", "video"), ("audio", "video", "text"), ("video",)])
def test_padding_and_batch_change_nothing(preset, settings, modalities):
    model, (inputs, masks) = small(preset, modalities, **settings), batch(modalities)
    longer = {m: F.pad(k, (0, 2), value=False) for m, k in masks.items()}
    padded = {m: F.pad(x, (0, 0, 0, 2)).masked_fill(~longer[m][..., None], math.nan) for m, x in inputs.items()}
    expected = model(inputs, masks)
    assert expected.abs().max() > 0.01
    torch.testing.assert_close(model(padded, longer), expected, atol=1e-5, rtol=1e-4)
    for i in range(3):
        n = {m: int(k[i].sum()) for m, k in masks.items()}
        alone = model({m: inputs[m][i : i + 1, : n[m]] for m in n}, {m: masks[m][i : i + 1, : n[m]] for m in n})
        torch.testing.assert_close(alone[0], expected[i], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("preset", zoo.METHODS["mbt"].presets)
@pytest.mark.parametrize("per_step", [False, True])
def test_every_parameter_and_step_has_a_gradient(preset, per_step):
    equal = dict.fromkeys(WIDTHS, (5, 2, 4))
    inputs, masks = batch(lengths=equal if per_step else None)
    model = small(preset, per_step=per_step, mixup=0.0)
    inputs = {m: x.requires_grad_() for m, x in inputs.items()}
    output = model(inputs, masks)
    assert output.shape == ((3, 5, 4) if per_step else (3, 4))
    (output[masks["audio"]] if per_step else output).square().sum().backward()
    assert not [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    for m, x in inputs.items():
        reached = x.grad.abs().sum(-1) > 0
        assert torch.equal(reached, masks[m]), m


def test_a_new_head_scores_zero_and_learns_first():
    model = zoo.build("mbt", features={"audio": 5, "video": 7}, outputs=4, **load("mbt-small").settings)
    inputs, masks = batch()
    loss = model.training_loss(inputs, masks, torch.tensor([0, 3, 1]), F.cross_entropy)
    assert loss.item() == pytest.approx(math.log(4))
    loss.backward()
    assert model.head.weight.grad.any() and not model.norm.weight.grad.any()


def test_randomness_only_in_training():
    model, (inputs, masks) = small(), batch()
    assert torch.equal(model(inputs, masks), model(inputs, masks))
    model.train()
    assert not torch.equal(model(inputs, masks), model(inputs, masks))


def exchanges(model: MBT) -> bool:
    """Whether the audio class token's score depends on the video."""
    inputs, masks = batch()
    first, second = (
        model.scores({**inputs, "video": inputs["video"].masked_fill(~masks["video"][..., None], 0.0) * k}, masks)[0]
        for k in (1.0, 2.0)
    )
    return not torch.equal(first, second)


def test_fusion_layer_decides_where_modalities_meet():
    assert exchanges(small("mbt-small")) and exchanges(small("mbt-small-full"))
    assert not exchanges(small("mbt-small-late")) and small("mbt-small-late").bottleneck is None
    # Through the bottleneck audio hears of the video one layer later than by attending to it.
    assert not exchanges(small("mbt-small", fusion_layer=3))
    assert exchanges(small("mbt-small-full", fusion_layer=3))


def test_who_attends_to_whom():
    def labels(**settings):
        model, (inputs, masks) = small(**{"layers": 2, "fusion_layer": 1, **settings}), batch()
        with record_attention() as maps:
            model(inputs, masks)
        return {label: tuple(w.shape[2:]) for label, w in maps}

    first = {"audio<-audio/0": (10, 10), "video<-video/0": (6, 6)}
    assert labels() == first | {"audio<-audio+bottleneck/1": (1, 15), "video<-video+bottleneck/1": (1, 11)}
    assert labels(fusion="full") == first | {"audio<-audio+video/1": (1, 16), "video<-video+audio/1": (1, 16)}
    assert labels(fusion="full", share_encoder=True) == first | {"audio+video<-audio+video/1": (16, 16)}
    early = labels(layers=1, fusion_layer=0, classifier="gap", modality_mixup=False)
    assert early == {"audio<-audio+bottleneck/0": (9, 13), "video<-video+bottleneck/0": (5, 9)}
    assert "audio+bottleneck<-audio+bottleneck/0" in labels(fusion_layer=0)


def test_the_bottleneck_is_the_mean_of_parallel_updates():
    model, (inputs, masks) = small(layers=2, fusion_layer=0), batch()
    seen = {}
    for m, block in model.layers[1].items():
        block.register_forward_pre_hook(lambda module, args, m=m: seen.update({m: args[0][:, -5:]}))
    updated = []
    for block in model.layers[0].values():
        block.register_forward_hook(lambda module, args, y: updated.append(y[:, -5:]))
    model(inputs, masks)
    torch.testing.assert_close(seen["audio"], (updated[0] + updated[1]) / 2)
    assert torch.equal(seen["audio"], seen["video"])


def test_stochastic_depth_drops_whole_branches_of_a_clip_and_scales_nothing():
    torch.manual_seed(0)
    block = Block(8, 2, 16, dropout=0.0, attention_dropout=0.0, drop=0.5)
    x = torch.randn(400, 3, 8)
    block.eval()
    first = block.attention(*[block.norm1(x)] * 3)
    outcomes = []  # the four ways in which the two branches can be there or not
    for attends in (0.0, 1.0):
        y = x + attends * first
        second = block.fc2(F.gelu(block.fc1(block.norm2(y)), approximate="tanh"))
        outcomes += [y, y + second]
    block.train()
    y = block(x, None, label="x")
    distance = torch.stack([(y - outcome).abs().amax((1, 2)) for outcome in outcomes])  # (4, clips)
    nearest = distance.argmin(0)
    assert distance.amin(0).max() < 1e-5
    assert all(60 < n < 140 for n in nearest.bincount(minlength=4).tolist())
    model = small(layers=4, stochastic_depth=0.3)
    assert [layer["audio"].drop for layer in model.layers] == pytest.approx([0.0, 0.1, 0.2, 0.3])


@pytest.mark.parametrize("classifier", ["token", "gap"])
def test_training_loss_without_mixup(classifier):
    quiet = {**PLAIN, "classifier": classifier}
    model, (inputs, masks) = small(**quiet).train(), batch()
    labels = torch.tensor([0, 3, 1])
    loss = model.training_loss(inputs, masks, labels, F.cross_entropy)
    scores = model.scores(model._accept(inputs, masks), masks)
    assert len(scores) == (2 if classifier == "token" else 1)
    torch.testing.assert_close(loss, sum(F.cross_entropy(s, labels) for s in scores) / len(scores))
    torch.testing.assert_close(model(inputs, masks), sum(scores) / len(scores))


@pytest.mark.parametrize(("modality_mixup", "classifier"), [(True, "token"), (False, "token"), (False, "gap")])
def test_mixup_equals_hand_computation(modality_mixup, classifier):
    quiet = {**PLAIN, "mixup": 0.5, "modality_mixup": modality_mixup, "classifier": classifier}
    model, (inputs, masks) = small(**quiet).train(), batch()
    labels = torch.tensor([0, 3, 1])
    torch.manual_seed(5)
    loss = model.training_loss(inputs, masks, labels, F.cross_entropy)
    torch.manual_seed(5)
    drawn = torch.distributions.Beta(0.5, 0.5).sample((2 if modality_mixup else 1,)).expand(2).tolist()
    assert (drawn[0] != drawn[1]) == modality_mixup
    mixed = {m: torch.zeros_like(x) for m, x in inputs.items()}
    union = {m: k | k[[2, 1, 0]] for m, k in masks.items()}
    for lam, m in zip(drawn, inputs, strict=True):
        real = inputs[m] * masks[m].unsqueeze(-1)
        for i in range(3):
            mixed[m][i] = lam * real[i] + (1 - lam) * real[2 - i]
    expected = []
    for lam, s in zip(drawn, model.scores(mixed, union), strict=False):
        target = lam * F.one_hot(labels, 4) + (1 - lam) * F.one_hot(labels[[2, 1, 0]], 4)
        expected.append(-(target * s.log_softmax(-1)).sum(-1).mean())
    torch.testing.assert_close(loss, sum(expected) / len(expected))


def test_per_step_loss_counts_labelled_steps():
    lengths = dict.fromkeys(WIDTHS, (5, 2, 4))
    model, (inputs, masks) = small(per_step=True).train(), batch(lengths=lengths)
    labels = torch.randint(0, 4, (3, 5)).masked_fill(~masks["audio"], -100)
    loss = model.training_loss(inputs, masks, labels, lambda s, y: F.cross_entropy(s.flatten(0, 1), y.flatten()))
    assert loss.isfinite() and loss > 0


# ---- an image ViT as the start of both encoders ----

WIDTH, SIDE = 16, 4
VIT = {**PLAIN, "width": WIDTH, "heads": 2, "hidden": 24, "layers": 2, "fusion": "bottleneck", "fusion_layer": 1}
VIT |= {"bottlenecks": 4, "share_encoder": False, "representation": None}
VIT["patches"] = {"audio": {"steps": 12, "size": [2, 2]}, "video": {"steps": 6, "size": [3, 2, 2]}}
RAW = {"audio": 4, "video": (8, 6, 3)}


def vit() -> dict[str, torch.Tensor]:
    """An image ViT of two blocks, under names of our own: 4 x 4 patches of 2 x 2 pixels."""
    torch.manual_seed(3)
    shapes = {"cls": (1, 1, WIDTH), "positions": (1, 1 + SIDE**2, WIDTH), "kernel": (WIDTH, 3, 2, 2), "bias": (WIDTH,)}
    shapes |= {"norm.weight": (WIDTH,), "norm.bias": (WIDTH,)}
    for i in range(2):
        shapes |= {f"{i}.{n}.{kind}": (WIDTH,) for n in ("norm1", "norm2") for kind in ("weight", "bias")}
        shapes |= {f"{i}.qkv.weight": (3 * WIDTH, WIDTH), f"{i}.qkv.bias": (3 * WIDTH,)}
        shapes |= {f"{i}.out.weight": (WIDTH, WIDTH), f"{i}.out.bias": (WIDTH,)}
        shapes |= {f"{i}.fc1.weight": (24, WIDTH), f"{i}.fc1.bias": (24,)}
        shapes |= {f"{i}.fc2.weight": (WIDTH, 24), f"{i}.fc2.bias": (WIDTH,)}
    return {name: torch.randn(shape) / math.sqrt(shape[-1]) for name, shape in shapes.items()}


def as_timm(tensors):
    names = {"cls": "cls_token", "positions": "pos_embed", "kernel": "patch_embed.proj.weight"}
    names |= {"bias": "patch_embed.proj.bias", "norm.weight": "norm.weight", "norm.bias": "norm.bias"}
    parts = {"norm1": "norm1", "norm2": "norm2", "qkv": "attn.qkv", "out": "attn.proj", "fc1": "mlp.fc1"}
    parts["fc2"] = "mlp.fc2"
    named = {}
    for name, x in tensors.items():
        if name not in names:
            i, part, kind = name.split(".")
            names[name] = f"blocks.{i}.{parts[part]}.{kind}"
        named[names[name]] = x
    return named | {"head.weight": torch.zeros(21, WIDTH), "head.bias": torch.zeros(21)}


def as_hugging_face(tensors):
    names = {"cls": "embeddings.cls_token", "positions": "embeddings.position_embeddings"}
    names |= {f"norm.{kind}": f"layernorm.{kind}" for kind in ("weight", "bias")}
    names |= {"kernel": "embeddings.patch_embeddings.projection.weight"}
    names |= {"bias": "embeddings.patch_embeddings.projection.bias"}
    parts = {"norm1": "layernorm_before", "norm2": "layernorm_after", "out": "attention.output.dense"}
    parts |= {"fc1": "intermediate.dense", "fc2": "output.dense"}
    named = {"classifier.weight": torch.zeros(2, WIDTH), "classifier.bias": torch.zeros(2)}
    for name, x in tensors.items():
        if name in names:
            named[f"vit.{names[name]}"] = x
            continue
        i, part, kind = name.split(".")
        before = f"vit.encoder.layer.{i}."
        if part == "qkv":
            for theirs, piece in zip(("query", "key", "value"), x.chunk(3), strict=True):
                named[f"{before}attention.attention.{theirs}.{kind}"] = piece.clone()
        else:
            named[f"{before}{parts[part]}.{kind}"] = x
    return named


def started(tmp_path, tensors, **settings):
    spec = MethodSpec(name="start", method="mbt", settings={**VIT, "classifier": "token", **settings})
    path = tmp_path / "vit.safetensors"
    save_file(tensors, path)
    torch.manual_seed(0)
    return import_weights(spec, path, features=RAW, outputs=3)


def test_both_naming_schemes_give_one_model(tmp_path):
    tensors = vit()
    timm, hf = (started(tmp_path, named(tensors)) for named in (as_timm, as_hugging_face))
    assert timm.provenance["format"] == "timm ViT" and hf.provenance["format"] == "Hugging Face ViT"
    assert set(timm.provenance["initial"]["tensors"]) == {"head.weight", "head.bias", "cls.audio"}
    ours, theirs = timm.model.state_dict(), hf.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    for encoder in ("audio", "video"):
        assert torch.equal(ours[f"layers.1.{encoder}.fc2.weight"], tensors["1.fc2.weight"])
    assert torch.equal(ours["cls.video"], tensors["cls"]) and not ours["cls.audio"].any()


def test_an_imported_block_is_the_vit_block(tmp_path):
    """Against the layer of torch, with the activation and the epsilon of the release."""
    tensors = vit()
    layer = torch.nn.TransformerEncoderLayer(
        WIDTH,
        2,
        24,
        dropout=0.0,
        activation=lambda x: F.gelu(x, approximate="tanh"),
        layer_norm_eps=1e-6,
        batch_first=True,
        norm_first=True,
    ).eval()
    names = {"norm1": "norm1.", "norm2": "norm2.", "out": "self_attn.out_proj.", "fc1": "linear1.", "fc2": "linear2."}
    names["qkv"] = "self_attn.in_proj_"
    second = {tuple(name.split(".")[1:]): x for name, x in tensors.items() if name.startswith("1.")}
    layer.load_state_dict({names[part] + kind: x for (part, kind), x in second.items()})
    x = torch.randn(2, 7, WIDTH)
    for named in (as_timm, as_hugging_face):
        block = started(tmp_path, named(tensors)).model.layers[1]["audio"]
        torch.testing.assert_close(block(x, None, label="x"), layer(x), atol=1e-5, rtol=1e-4)


def test_embeddings_positions_and_bottleneck_come_from_the_vit(tmp_path):
    from scipy.ndimage import zoom

    tensors = vit()
    model = started(tmp_path, as_timm(tensors)).model
    grid = tensors["positions"][0, 1:].reshape(SIDE, SIDE, WIDTH).numpy()

    def zoomed(rows, columns):
        return torch.from_numpy(zoom(grid, (rows / SIDE, columns / SIDE, 1), order=1)).reshape(-1, WIDTH)

    assert torch.equal(model.embed["audio"].project.weight, tensors["kernel"])
    kernel = model.embed["video"].project.weight
    assert torch.equal(kernel[:, :, 1], tensors["kernel"]) and not kernel[:, :, [0, 2]].any()
    near = {"atol": 1e-5, "rtol": 1e-4}
    torch.testing.assert_close(model.positions["audio"][0, 1:], zoomed(6, 2), **near)
    torch.testing.assert_close(model.positions["video"][0, 1:], zoomed(4, 3).repeat(2, 1), **near)
    torch.testing.assert_close(model.bottleneck[0, 1:], zoomed(2, 2), **near)
    for tokens in (model.positions["audio"], model.positions["video"], model.bottleneck):
        assert torch.equal(tokens[0, 0], tensors["positions"][0, 0])
    pooled = started(tmp_path, as_timm(tensors), classifier="gap", bottlenecks=6)
    torch.testing.assert_close(pooled.model.bottleneck[0], zoomed(2, 3), **near)
    assert set(pooled.provenance["dropped"]) == {"head.weight", "head.bias", "cls_token"}


def test_what_does_not_fit_is_refused(tmp_path):
    tensors = as_timm(vit())
    with pytest.raises(WeightsError, match="5 bottleneck tokens are no grid of 2 rows"):
        started(tmp_path, tensors, bottlenecks=5)
    with pytest.raises(WeightsError, match=r"blocks.1.*has no counterpart"):
        started(tmp_path, tensors, layers=1)
    with pytest.raises(WeightsError, match="16 positions.*classifier: gap"):
        started(tmp_path, {**tensors, "pos_embed": tensors["pos_embed"][:, 1:].contiguous()})
    with pytest.raises(WeightsError, match=r"\(16, 3, 2, 2\) in the file, \(16, 3, 4, 2\) in the model"):
        started(tmp_path, tensors, patches={**VIT["patches"], "audio": {"steps": 12, "size": [4, 2]}})
    spec = MethodSpec(name="features", method="mbt", settings={**VIT, "classifier": "gap", "patches": {}})
    with pytest.raises(WeightsError, match="reads audio as feature vectors"):
        import_weights(spec, tmp_path / "vit.safetensors", features={"audio": 4, "video": 5}, outputs=2)


# ---- raw input ----


def test_frames_are_picked_at_even_distances():
    assert picked(8, 3) == [2, 4, 6]
    assert picked(10, 3) == [2, 5, 8]  # 2.5 and 7.5 go to the even neighbour
    assert picked(4, 3) == [1, 2, 3]


def raw(**settings):
    return zoo.build("mbt", features=RAW, outputs=3, **{**VIT, "classifier": "token", **settings}).eval()


def test_raw_input_is_checked():
    model = raw()
    inputs = {"audio": torch.randn(2, 12, 4), "video": torch.randn(2, 6, 8, 6, 3)}
    masks = full_masks(inputs)
    assert model(inputs, masks).shape == (2, 3)
    with pytest.raises(
        ValueError, match=r"video: inputs of shape \(2, 5, 8, 6, 3\); wanted \(B, 6, 8, 6, 3\).*resample"
    ):
        model({**inputs, "video": inputs["video"][:, :5]}, {**masks, "video": masks["video"][:, :5]})
    padded = masks["audio"].clone()
    padded[0, 10:] = False
    with pytest.raises(ValueError, match=r"audio: mask \(2, 12\) has padding; patches are cut from whole clips"):
        model(inputs, {**masks, "audio": padded})
    with pytest.raises(ValueError, match="the model takes audio, video"):
        model({"audio": inputs["audio"]}, {"audio": masks["audio"]})


def test_a_grey_spectrogram_is_three_equal_channels():
    grey = raw()
    colour = zoo.build("mbt", features={**RAW, "audio": (4, 3)}, outputs=3, **VIT, classifier="token").eval()
    colour.load_state_dict(grey.state_dict())
    x = torch.randn(2, 12, 4)
    assert torch.equal(grey.embed["audio"](x), colour.embed["audio"](x.unsqueeze(-1).repeat(1, 1, 1, 3)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fusion": "late"}, "fusion 'late'.*bottleneck or full"),
        ({"fusion_layer": 3}, "fusion_layer 3.*0 .early. to layers .late."),
        ({"bottlenecks": 0}, "bottlenecks 0"),
        ({"stochastic_depth": 1.0}, "stochastic_depth 1.0"),
        ({"classifier": "gap", "mixup": 0.3, "modality_mixup": True}, "modality_mixup needs a loss for each modality"),
        ({"patches": {}}, r"video: one step has shape \(8, 6, 3\)"),
        ({"patches": {**VIT["patches"], "text": {}}}, "patches names 'text'"),
        ({"patches": {**VIT["patches"], "audio": {"steps": 12, "size": [5, 2]}}}, r"audio: .*\[5, 2\] do not fill"),
        ({"patches": {**VIT["patches"], "audio": {"steps": 12, "size": [2, 2, 2]}}}, r"audio: .*do not fill \(12, 4\)"),
        ({"patches": {**VIT["patches"], "audio": {"steps": 12}}}, r"patches\['audio'\] has steps; wanted steps, size"),
        ({"patches": {**VIT["patches"], "video": {"steps": 6, "size": [1, 2, 2], "sampled": 6}}}, "sampled is 6"),
        ({"heads": 3}, r"heads \(3\) must divide width \(16\)"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        raw(**settings)


def test_patches_have_no_steps_to_score():
    with pytest.raises(ValueError, match="per_step output needs one token for each step"):
        zoo.build("mbt", features=RAW, outputs=3, per_step=True, **VIT, classifier="token")
