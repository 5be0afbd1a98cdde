"""Key maps of joint cross-attention: the state dicts of the modules that its authors released.

Source   praveena2j/JointCrossAttentional-AV-Fusion at 84c95b2, models/cam.py;
         praveena2j/Joint-Cross-Attention-for-Audio-Visual-Fusion at f1f0a0c, models/cam.py, models/Jcam_512.py.
         Their training saves a state dict under the key "net".
"""

from torch import Tensor, nn

from zoo.weights import Format, Source

NET = "net."
ENCODERS = {"encoder1": "audio", "encoder2": "video"}
LETTERS = {"a": "audio", "v": "video"}
# What the reference calls a matrix, followed by the letter of its stream -> what we call it.
MATRICES = {"affine_": "joint", "W_c": "correlation", "W_": "own", "W_h": "back"}
LINEARS = ("0", "2")  # of a regressor
DEAD = "computes attended audio, which the released module does not read"


def _prefix(source: Source) -> str:
    return NET if f"{NET}affine_v.weight" in source else ""


def _holds(source: Source, name: str) -> bool:
    return f"{_prefix(source)}{name}" in source


def _regressors(source: Source) -> tuple[str, ...]:
    """Valence before arousal where there are two."""
    return ("regressor",) if _holds(source, "regressor.0.weight") else ("vregressor", "aregressor")


def _sizes(source: Source) -> tuple[dict[str, int], int]:
    prefix = _prefix(source)
    if _holds(source, "encoder1.weight"):
        features = {m: source[f"{prefix}{name}.weight"].shape[1] for name, m in ENCODERS.items()}
    else:  # both streams as they come, of one width
        features = dict.fromkeys(LETTERS.values(), source[f"{prefix}W_cv.weight"].shape[1] // 2)
    return features, len(_regressors(source))


def _translate(source: Source, model: nn.Module) -> dict[str, Tensor]:
    prefix, ours = _prefix(source), {}
    for name, m in ENCODERS.items():
        if _holds(source, f"{name}.weight"):
            for part in ("weight", "bias"):
                ours[f"encode.{m}.{part}"] = source.take(f"{prefix}{name}.{part}")
    for letter, m in LETTERS.items():
        for name, matrix in MATRICES.items():
            theirs = f"{prefix}{name}{letter}.weight"
            if m in model.attend:
                ours[f"attend.{m}.{matrix}.weight"] = source.take(theirs)
            else:
                source.drop(theirs, DEAD)
    for number, name in enumerate(_regressors(source)):
        for layer in LINEARS:
            for part in ("weight", "bias"):
                ours[f"regressors.{number}.{layer}.{part}"] = source.take(f"{prefix}{name}.{layer}.{part}")
    return ours


def _known(source: Source) -> bool:
    return all(_holds(source, f"{name}{letter}.weight") for name in MATRICES for letter in LETTERS)


FORMATS = (
    Format(
        name="CVPRW cam.py",
        source="praveena2j/JointCrossAttentional-AV-Fusion at 84c95b2, models/cam.py: CAM",
        recognises=lambda s: _known(s) and _holds(s, "encoder1.weight") and _holds(s, "regressor.0.weight"),
        sizes=_sizes,
        translate=_translate,
    ),
    Format(
        name="T-BIOM cam.py",
        source="praveena2j/Joint-Cross-Attention-for-Audio-Visual-Fusion at f1f0a0c, models/cam.py: CAM",
        recognises=lambda s: _known(s) and _holds(s, "encoder1.weight") and _holds(s, "vregressor.0.weight"),
        sizes=_sizes,
        translate=_translate,
    ),
    Format(
        name="T-BIOM Jcam_512.py",
        source="praveena2j/Joint-Cross-Attention-for-Audio-Visual-Fusion at f1f0a0c, models/Jcam_512.py: CAM",
        recognises=lambda s: _known(s) and not _holds(s, "encoder1.weight") and _holds(s, "regressor.0.weight"),
        sizes=_sizes,
        translate=_translate,
    ),
)
