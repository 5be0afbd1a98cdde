"""What lenses, things in the way, dim rooms and encoders do to frames. Draws nothing where nothing is random.

===================  ===================================  ====================================================
``blur``             standard deviation of a Gaussian     2 px: out of focus, lips without an edge; 4 px: a
                                                          mouth is a dark spot; 8 px: light and dark
``mouth_occlusion``  share of the mouth covered, from     25 pct: the gap between the lips; 50 pct: the lips;
                     its centre outwards                  100 pct: a mask
``face_occlusion``   share of the crop covered by one     20 pct: a microphone; 40 pct: a hand; 60 pct: most of
                     block at a random place              the crop
``low_light``        light left of what there was         30 pct: a lamp less; 10 pct: dusk; 3 pct: a screen in
                                                          a dark room
``frame_drop``       share of frames that did not come,   20 pct: stutter; 40 pct: a poor video call; 60 pct:
                     the last seen one stands             a slide show
``jpeg``             quality of the IJG's scale           50: blocks show; 20: most texture gone; 5: one grey
                                                          a block of 8 x 8
===================  ===================================  ====================================================

Frames are (T, H, W) grey or (T, H, W, 3) RGB in 0..255, integer or float; what returns is float32 of that shape and
range. ``mouth_occlusion`` is of crops of a mouth, ``jpeg`` of grey frames.
"""

import numpy as np
from scipy.fft import dctn, idctn
from scipy.ndimage import gaussian_filter

WHITE = 255
BLACK = 0
GAMMA = 2.2  # pixels are encoded for a display: light goes with the power 2.2 of their value
BLOCK = 8
TIE = 1e-4
# Quantisation of luminance at quality 50, ITU-T T.81 table K.1.
LUMINANCE = np.array(
    (
        (16, 11, 10, 16, 24, 40, 51, 61),
        (12, 12, 14, 19, 26, 58, 60, 55),
        (14, 13, 16, 24, 40, 57, 69, 56),
        (14, 17, 22, 29, 51, 87, 80, 62),
        (18, 22, 37, 56, 68, 109, 103, 77),
        (24, 35, 55, 64, 81, 104, 113, 92),
        (49, 64, 78, 87, 103, 121, 120, 101),
        (72, 92, 95, 98, 112, 100, 103, 99),
    )
)


def blur(frames: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Every frame through a Gaussian of ``severity`` px, cut at four of them; the border's pixels go on outside."""
    widths = (0, severity, severity, 0)[: np.ndim(frames)]  # neither time nor colour is blurred
    return gaussian_filter(np.asarray(frames, np.float32), widths, mode="nearest", truncate=4.0)


def mouth_occlusion(frames: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """A black block over the middle of a crop of the mouth, the same in all frames.

    It covers round(H * W * severity / 100) pixels and has the proportions of the crop.
    """
    _, height, width = np.shape(frames)
    return _covered(frames, severity, (height / 2, width / 2))


def face_occlusion(frames: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """A black block somewhere on the crop, whole and in the same place in all frames.

    It covers round(H * W * severity / 100) pixels and has the proportions of the crop. Every place is equally likely.
    """
    sides = np.array(np.shape(frames)[1:3])
    block = sides * np.sqrt(severity / 100)
    return _covered(frames, severity, block / 2 + rng.random(2) * (sides - block))


def _covered(frames: np.ndarray, percent: float, centre) -> np.ndarray:
    """Black on the pixels nearest to ``centre`` (row, column), as many as it takes.

    Nearest in the larger of the two distances, each measured in sides of the crop: such pixels fill a block.
    """
    pixels = np.array(frames, dtype=np.float32)
    height, width = pixels.shape[1:3]
    down, across = (np.abs(np.arange(n) + 0.5 - c) / n for n, c in zip((height, width), centre, strict=True))
    distance = np.maximum(down[:, None], across).ravel()
    covered = np.argsort(distance, kind="stable")[: round(height * width * percent / 100)]
    pixels.reshape(len(pixels), height * width, -1)[:, covered] = BLACK
    return pixels


def low_light(frames: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """The scene with ``severity`` pct of its light, in whole grey levels of 0..255 as a sensor gives them.

    A pixel's value is the light to the power 1 / 2.2, so 10 pct of the light leave 35 pct of the value. Exposure is
    not raised: what is gained by it on real cameras is paid for by noise, which is ``sensor_noise``.
    """
    left = np.float32((severity / 100) ** (1 / GAMMA))
    return np.clip(np.rint(np.asarray(frames, dtype=np.float32) * left), BLACK, WHITE)


def frame_drop(frames: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """round(T * severity / 100) frames, drawn at random, show what was last seen; the first frame always came.

    At most T - 1 frames can be lost, so a clip of one frame stays as it is.
    """
    pixels = np.asarray(frames, dtype=np.float32)
    lost = 1 + rng.permutation(len(pixels) - 1)[: round(len(pixels) * severity / 100)]
    shown = np.arange(len(pixels))
    shown[lost] = 0
    return pixels[np.maximum.accumulate(shown)]


def jpeg(frames: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Every frame through baseline JPEG of grey pixels at quality ``severity``, 1 to 100.

    All of JPEG that loses anything: rounding of the cosine transform of 8 x 8 blocks by table K.1 of ITU-T T.81,
    scaled as libjpeg does. A crop that is no multiple of 8 is filled up with its last row and column.
    """
    scale = 5000 / severity if severity < 50 else 200 - 2 * severity
    table = np.clip((LUMINANCE * int(scale) + 50) // 100, 1, 255).astype(np.float32)
    pixels = np.rint(np.asarray(frames, dtype=np.float32))
    count, height, width = pixels.shape
    padded = np.pad(pixels, ((0, 0), (0, -height % BLOCK), (0, -width % BLOCK)), mode="edge")
    blocks = padded.reshape(count, padded.shape[1] // BLOCK, BLOCK, padded.shape[2] // BLOCK, BLOCK).swapaxes(2, 3)
    levels = dctn(blocks - 128, axes=(3, 4), norm="ortho") / table
    # To the nearest, halves away from zero as libjpeg; TIE, so that the last bits of a transform decide no half.
    written = np.copysign(np.floor(np.abs(levels) + 0.5 + TIE), levels) * table
    read = np.rint(idctn(written, axes=(3, 4), norm="ortho")) + 128  # (T, H / 8, W / 8, 8, 8)
    return np.clip(read.swapaxes(2, 3).reshape(padded.shape)[:, :height, :width], BLACK, WHITE)
