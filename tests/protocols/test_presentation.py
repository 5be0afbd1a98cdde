"""What a model is shown: the runs' own draws, every other condition, and the three ways of taking a modality away."""

import numpy as np
import pytest
import torch

from protocols import batches as batching
from protocols import presentation
from protocols.batches import Division
from protocols.corruptions import parse_condition
from protocols.datasets.logmel import FILTERS, logmel
from protocols.datasets.movement import movement
from protocols.examples import Examples, Stream
from protocols.metrics import Undefined
from protocols.presentation import Presenter, batches, score
from protocols.spec import load
from protocols.suite import suites

N, BOTH = 40, ("audio", "video")
PARTS = {"train": np.arange(0, 20), "validation": np.arange(20, 24), "test": np.arange(24, N)}
MEDIA = suites()["grid-digit-noisy@1"].all_conditions()


def media(silent=()):
    """Clips of 10 to 16 frames, 8 x 8 pixels, with 640 samples a frame; class 1 is louder and brighter."""
    rng = np.random.default_rng(0)
    labels, frames = rng.permutation(np.arange(N) % 3), rng.integers(10, 17, N)
    stops = np.cumsum(frames)
    sound = rng.normal(0, 1000 * (1 + np.repeat(labels, frames * 640)))
    for clip in silent:
        sound[(stops[clip] - frames[clip]) * 640 : stops[clip] * 640] = 0
    pixels = np.clip(rng.normal(100 + 20 * np.repeat(labels, frames)[:, None, None], 15, (stops[-1], 8, 8)), 0, 255)
    starts = stops - frames
    streams = {
        "audio": Stream(sound.astype(np.int16), starts * 640, stops * 640, FILTERS, logmel, "waveform", 16000),
        "video": Stream(pixels.astype(np.uint8), starts, stops, 16, movement, "frames", 25),
    }
    return Examples(tuple(f"clip{i}" for i in range(N)), labels, ("a", "b", "c"), streams, "0")


def rows(lengths, widths=(("audio", 3), ("video", 2)), labels=None, classes=2):
    """Feature rows; the first column of each stream is the example's (or step's) label, the second its number."""
    rng = np.random.default_rng(1)
    stops = np.cumsum(lengths)
    labels = rng.integers(classes, size=N) if labels is None else labels
    flat = np.concatenate(labels) if isinstance(labels, list) else np.repeat(labels, lengths)
    streams = {}
    for modality, width in widths:
        values = rng.standard_normal((stops[-1], width)).astype(np.float32)
        values[:, 0], values[:, 1] = flat, np.repeat(np.arange(N), lengths)
        streams[modality] = Stream(values, stops - lengths, stops, width)
    return Examples(tuple(f"e{i}" for i in range(N)), labels, tuple("abc"[:classes]), streams, "0")


def presenter(examples, **changes):
    inputs = {m: "mouth" if s.kind == "frames" else "x" for m, s in examples.streams.items()}
    spec = load("synthetic@1").model_copy(update={"inputs": inputs, "conditions": ("clean",)} | changes)
    return Presenter(Division(spec, examples, PARTS).open_test(lambda: None))


def shown(made, text, modalities=BOTH):
    return made.streams(modalities, parse_condition(text))


def same(one, other):
    return one.keys() == other.keys() and all(
        len(one[m]) == len(other[m]) and all(map(np.array_equal, one[m], other[m])) for m in one
    )


OWN = ("clean", "audio/white_noise/-10dB", "video/sensor_noise/0dB", "audio/missing", "video/missing")


@pytest.mark.parametrize("text", OWN)
def test_the_draws_of_a_protocols_own_conditions_are_those_of_its_runs(text):
    made, run = presenter(media(), conditions=OWN), presenter(media(), conditions=OWN).part
    condition = parse_condition(text)
    assert same(shown(made, text), {m: run.sequences(m, [condition] * len(run), "test") for m in BOTH})
    evaluated = run.batches(BOTH, 5, condition=condition, draw="test")
    for (inputs, masks), batch in zip(batches(shown(made, text), 5), evaluated, strict=True):
        for m in BOTH:
            assert torch.equal(inputs[m], batch.inputs[m]) and torch.equal(masks[m], batch.masks[m])


@pytest.fixture(scope="module")
def two():
    return presenter(media()), presenter(media())


@pytest.mark.parametrize("text", MEDIA)
def test_every_condition_of_the_media_suite(text, two):
    """Equal for every presenter and every choice of modalities; as long as the clean clips; finite."""
    first, again = two
    apart = {m: shown(again, text, (m,))[m] for m in BOTH[::-1]}
    found, clean = shown(first, text), shown(first, "clean")
    assert same(found, apart)
    for m in BOTH:
        assert [x.shape for x in found[m]] == [x.shape for x in clean[m]]
        assert all(np.isfinite(x).all() and x.dtype == np.float32 for x in found[m])
        if not parse_condition(text).touches(m):
            assert all(x is y for x, y in zip(found[m], clean[m], strict=True))
        elif not text.startswith("all/"):
            assert not any(map(np.array_equal, found[m], clean[m]))


def own_noise(made):
    """Every example meets a draw of its own: rooms and noises of two equal clips differ."""
    stream = made.part.examples.streams["audio"]
    equal = np.tile(np.asarray(stream.raw(made.part.index[0]))[:6400], N)
    starts = np.arange(N) * 6400
    object.__setattr__(stream, "values", equal)
    object.__setattr__(stream, "starts", starts)
    object.__setattr__(stream, "stops", starts + 6400)
    for text in ("audio/white_noise/0dB", "audio/drop_out/40pct", "audio/reverberation/500ms"):
        found = shown(made, text, ("audio",))["audio"]
        assert len({x.tobytes() for x in found}) == len(found), text


def test_every_example_meets_its_own_draw():
    own_noise(presenter(media()))


def test_seeds_that_ignore_the_example_are_found_out(monkeypatch):
    seeded = batching.seeded
    for module in (batching, presentation):
        monkeypatch.setattr(module, "seeded", lambda *key: seeded(*key[:-1]))
    with pytest.raises(AssertionError):
        own_noise(presenter(media()))


def test_the_next_method_does_not_pay_again(monkeypatch):
    made, calls = presenter(media()), []
    features = Presenter._features
    monkeypatch.setattr(Presenter, "_features", lambda *args: calls.append(1) or features(*args))
    first = shown(made, "audio/babble/0dB")
    assert len(calls) == len(made.part)
    assert all(x is y for x, y in zip(first["audio"], shown(made, "audio/babble/0dB")["audio"], strict=True))
    assert len(calls) == len(made.part)
    assert not same(first, shown(made, "audio/babble/10dB"))  # kept by condition


def test_what_is_kept_is_bounded(monkeypatch):
    first = shown(presenter(media()), "audio/babble/0dB")
    size = sum(x.nbytes for x in first["audio"])
    monkeypatch.setattr(presentation, "KEPT_BYTES", size)
    made = presenter(media())
    for text in ("audio/babble/0dB", "audio/babble/10dB", "audio/conflict"):
        shown(made, text)
    assert made._bytes == size and list(made._kept) == [("audio", "audio/babble/0dB")]
    assert same(shown(made, "audio/babble/10dB"), shown(presenter(media()), "audio/babble/10dB"))


def test_nothing_depends_on_what_fits_into_memory(monkeypatch):
    held = presenter(media())
    plain = {text: shown(held, text) for text in MEDIA}
    absent = {rule: held.without(plain["clean"], ["video"], rule) for rule in presentation.ABSENCE}
    monkeypatch.setattr(presentation, "KEPT_BYTES", 1)
    monkeypatch.setattr(batching, "HELD_BYTES", 1)
    monkeypatch.setattr(batching, "KEPT_BYTES", 1)
    made = presenter(media())
    for text, wanted in plain.items():
        assert same(shown(made, text), wanted), text
    clean = shown(made, "clean")
    assert not batching.in_memory(clean["audio"])
    for rule, wanted in absent.items():
        assert same(made.without(clean, ["video"], rule), wanted), rule
    batched = zip(batches(clean, 5), batches(plain["clean"], 5), strict=True)
    assert all(torch.equal(a[m], b[m]) for pair in batched for a, b in zip(*pair, strict=True) for m in BOTH)


@pytest.mark.parametrize("task", ["regression", "multilabel"])
def test_only_classes_contradict(task):
    made = presenter(rows(np.full(N, 3)), task=task)
    with pytest.raises(Undefined, match=f"of another class, and the task is {task}"):
        shown(made, "audio/conflict")


def test_babble_has_the_stated_ratio_in_the_media(monkeypatch):
    made, heard = presenter(media()), []
    monkeypatch.setattr(Presenter, "_features", lambda self, m, raw, change: heard.append((raw, change(raw))) or raw)
    shown(made, "audio/babble/-10dB", ("audio",))
    ratios = [np.mean(np.square(x, dtype=float)) / np.mean((y - x.astype(float)) ** 2) for x, y in heard]
    assert 10 * np.log10(ratios) == pytest.approx([-10] * len(made.part), abs=0.01)


def test_a_silent_clip_stays_silent_and_silence_alone_has_no_ratio():
    clip = PARTS["test"][3]
    made = presenter(media(silent=[clip]))
    for text in ("audio/white_noise/0dB", "audio/babble/0dB", "audio/reverberation/500ms", "audio/clipping/30pct"):
        found = shown(made, text)["audio"]
        assert np.array_equal(found[3], shown(made, "clean")["audio"][3]) and len(np.unique(found[3].round(3))) <= 40
        assert not np.array_equal(found[2], shown(made, "clean")["audio"][2])
    with pytest.raises(Undefined, match="no example of audio has any power"):
        shown(presenter(media(silent=range(24, N))), "audio/white_noise/0dB")
    with pytest.raises(Undefined, match="no other clip that sounds"):
        shown(presenter(media(silent=set(range(24, N)) - {clip})), "audio/babble/0dB")


def test_a_conflicting_stream_is_of_another_class_and_of_the_same_length():
    made = presenter(rows(np.random.default_rng(3).integers(1, 9, N), classes=3))
    clean, found = shown(made, "clean"), shown(made, "audio/conflict")
    standardise = made.part.standardisers["audio"]
    for row, (own, other) in enumerate(zip(clean["audio"], found["audio"], strict=True)):
        assert own.shape == other.shape
        claimed = np.rint(other * standardise.scale + standardise.mean)[:, 0]
        assert (claimed == claimed[0]).all() and claimed[0] != made.part.labels[row]
    assert same({"video": clean["video"]}, {"video": found["video"]})


def test_conflicting_steps_are_of_another_class_and_another_example():
    rng = np.random.default_rng(2)
    lengths = rng.integers(1, 6, N)
    made = presenter(rows(lengths, labels=[rng.integers(2, size=n) for n in lengths]))
    standardise = made.part.standardisers["video"]
    found = [x * standardise.scale + standardise.mean for x in shown(made, "video/conflict")["video"]]
    assert (np.rint(np.concatenate(found)[:, 0]) != made.part.labels).all()
    for row, x in enumerate(found):
        assert (np.rint(x[:, 1]) != made.part.index[row]).all()


@pytest.mark.parametrize("per_step", [False, True])
def test_at_a_rate_every_scored_item_loses_modalities_by_itself(per_step):
    lengths = np.full(N, 30)
    widths = (("audio", 3), ("video", 2), ("text", 2))
    labels = [np.random.default_rng(k).integers(2, size=30) for k in range(N)] if per_step else None
    made = presenter(rows(lengths, widths, labels))
    found = shown(made, "all/missing/50pct", ("text", "audio", "video"))
    gone = np.stack([[(x == 0).all(1) for x in found[m]] for m in ("audio", "video", "text")])  # (3, 16, 30)
    assert not gone.all(0).any()
    assert gone.mean() == pytest.approx(0.5 - 0.5**3 / 3, abs=0.03 if per_step else 0.15)
    constant = (gone == gone[:, :, :1]).all(2)
    assert not constant.any() if per_step else constant.all()
    assert same({"text": found["text"]}, shown(made, "all/missing/50pct", ("text",)))  # whoever asks


def test_several_modalities_can_be_missing():
    made = presenter(rows(np.full(N, 3), (("audio", 3), ("video", 2), ("text", 2))))
    found = shown(made, "audio+text/missing", ("audio", "video", "text"))
    assert not any(x.any() for m in ("audio", "text") for x in found[m])
    assert same({"video": found["video"]}, shown(made, "clean", ("video",)))


def test_a_stream_moves_in_time():
    made = presenter(media())
    clean, late = (shown(made, text, ("audio",))["audio"] for text in ("clean", "audio/shift/40ms"))
    for before, after in zip(clean, late, strict=True):  # 40 ms are 4 hops of 10 ms
        np.testing.assert_allclose(after[4:], before[:-4], atol=1e-4)
    made = presenter(rows(np.full(N, 4)))
    clean, early = (shown(made, text, ("video",))["video"] for text in ("clean", "video/advance/1steps"))
    for before, after in zip(clean, early, strict=True):
        np.testing.assert_array_equal(after, before[[1, 2, 3, 3]])


@pytest.mark.parametrize(
    ("made", "text", "reason"),
    (
        (lambda: rows(np.ones(N, int)), "video/shift/1steps", "no example has 2 steps of video"),
        (lambda: rows(np.full(N, 3)), "video/shift/40ms", "no rate: say how many steps"),
        (lambda: rows(np.full(N, 3)), "audio/white_noise/0dB", "defined for waveform; audio is features"),
        (lambda: rows(np.full(N, 3)), "text/missing", "has no text"),
        (lambda: rows(np.full(N, 3)), "text/conflict", "has no text"),
        (lambda: rows(np.full(N, 3)), "audio+video/missing", "nothing would be left"),
        (lambda: rows(np.full(N, 3), (("audio", 3),)), "all/missing/30pct", "audio is all there is"),
        (lambda: rows(np.full(N, 3), labels=np.zeros(N, int)), "audio/conflict", "one class"),
        (media, "video/shift/1steps", "25 rows a second: say how many ms"),
        (media, "video/shift/50ms", "50 ms are 1.25 rows at 25 Hz"),
        (media, "audio/band_limit/9000Hz", "not below half the sampling rate"),
        (media, "video/feature_noise/0dB", "defined for features; video is frames"),
    ),
)
def test_a_condition_without_meaning_says_why(made, text, reason):
    examples = made()
    with pytest.raises(Undefined, match=reason):
        shown(presenter(examples), text, tuple(examples.streams)[:1])


def test_a_mouth_is_covered_only_where_the_crop_is_a_mouth():
    examples = media()
    made = presenter(examples, inputs={"audio": "logmel", "video": "face"})
    with pytest.raises(Undefined, match="defined for mouth; the input is face"):
        shown(made, "video/mouth_occlusion/50pct")
    shown(made, "video/face_occlusion/50pct")


def test_absence_by_the_mean_is_zero():
    made = presenter(media())
    streams = shown(made, "audio/white_noise/0dB")
    left = made.without(streams, ["audio"], "mean")
    assert not any(x.any() for x in left["audio"]) and left["video"] is streams["video"]
    assert [x.shape for x in left["audio"]] == [x.shape for x in streams["audio"]]


def test_absence_by_raw_zeros_is_silence_and_black():
    made = presenter(media())
    left = made.without(shown(made, "clean"), BOTH, "raw_zeros")
    for m, features in (("audio", logmel), ("video", movement)):
        stream, standardise = made.part.examples.streams[m], made.part.standardisers[m]
        for i, found in zip(made.part.index, left[m], strict=True):
            np.testing.assert_array_equal(found, standardise(features(np.zeros_like(stream.raw(i)))))
    made = presenter(rows(np.full(N, 2)))
    standardise = made.part.standardisers["audio"]
    left = made.without(shown(made, "clean"), ["audio"], "raw_zeros")["audio"]
    assert left[0] == pytest.approx(np.tile(-standardise.mean / standardise.scale, (2, 1)))


def test_absence_by_another_sample():
    lengths = np.random.default_rng(5).integers(1, 9, N)
    made, again = presenter(rows(lengths)), presenter(rows(lengths))
    streams = shown(made, "clean")
    assignments = [made.partners(draw) for draw in range(6)]
    for draw, partners in enumerate(assignments):
        assert np.array_equal(partners, again.partners(draw))
        assert sorted(partners) == list(range(len(made.part))) and (partners != np.arange(len(made.part))).all()
        left = made.without(streams, BOTH, "other_sample", draw)
        for row, k in enumerate(partners):
            for m in BOTH:
                assert left[m][row].shape == streams[m][row].shape
                np.testing.assert_array_equal(left[m][row][0], streams[m][k][0])
    assert len({tuple(a) for a in assignments}) == 6
    assert same(made.without(streams, ["audio"], "other_sample"), made.without(streams, ["audio"], "other_sample", 0))


def test_every_other_example_stands_in_as_often():
    made = presenter(rows(np.ones(N, int)))
    drawn = np.array([made.partners(draw)[0] for draw in range(1500)])
    assert np.bincount(drawn, minlength=len(made.part))[1:] == pytest.approx(np.full(15, 100), abs=40)


def test_absence_is_refused_where_it_cannot_be():
    made = presenter(rows(np.full(N, 2)))
    streams = shown(made, "clean")
    with pytest.raises(ValueError, match="no absence rule 'raw_zero'. Did you mean 'raw_zeros'"):
        made.without(streams, ["audio"], "raw_zero")
    with pytest.raises(ValueError, match="3 examples of audio, the part has 16"):
        made.without({"audio": streams["audio"][:3]}, ["audio"], "other_sample")
    one = presenter(rows(np.full(N, 2)))
    one.part.index = one.part.index[:1]
    with pytest.raises(Undefined, match="no other example"):
        one.without(shown(one, "clean"), ["audio"], "other_sample")


def test_scores_of_steps_come_in_order_without_padding():
    lengths = np.random.default_rng(2).integers(1, 6, N)
    labels = [np.random.default_rng(k).integers(2, size=n) for k, n in enumerate(lengths)]
    made = presenter(rows(lengths, labels=labels))
    scores = score(lambda inputs, masks: inputs["audio"][..., :1], shown(made, "clean"), 3)
    assert np.array_equal(scores, np.concatenate(shown(made, "clean")["audio"])[:, :1])
