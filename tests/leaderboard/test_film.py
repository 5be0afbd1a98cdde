import base64
import io

import numpy as np
from PIL import Image

from leaderboard.film import BORDER, HEAT, PER_ROW, SCALE, film, spectrogram_url

FRAMES = np.full((7, 20, 30), 128, dtype=np.uint8)
SEEN = slice(5, 15), slice(10, 20)
BEGINS = np.arange(7) / 25


def cell(sheet, step, height=20, width=30):
    rows, columns = -(-len(FRAMES) // PER_ROW), PER_ROW
    tall, wide = sheet.shape[0] // rows, sheet.shape[1] // columns
    top, left = step // PER_ROW * tall + BORDER, step % PER_ROW * wide + BORDER
    return sheet[top : top + height * SCALE, left + 5 : left + 5 + width * SCALE, :3].astype(int)


def middle(sheet, step):
    """A pixel that the model was given, and one that it was not."""
    pixels = cell(sheet, step)
    return pixels[10 * SCALE, 15 * SCALE], pixels[2 * SCALE, 2 * SCALE]


def test_the_tint_follows_the_weight_and_covers_what_the_model_was_given():
    sheet = film(FRAMES, SEEN, [0, 0.1, 0.4, 0.2, 0.1, 0.1, 0.1], BEGINS)
    red = [middle(sheet, step)[0] for step in range(7)]
    assert list(red[0]) == [128, 128, 128]
    strongest = np.abs(red[2] - np.array(HEAT)).sum()
    assert strongest < np.abs(red[3] - np.array(HEAT)).sum() < np.abs(red[1] - np.array(HEAT)).sum()
    assert all(list(middle(sheet, step)[1]) == [128, 128, 128] for step in range(7))


def test_without_weights_the_frames_stay_grey():
    sheet = film(FRAMES, SEEN, None, BEGINS)
    assert list(middle(sheet, 2)[0]) == [128, 128, 128]
    assert sheet[..., 3].min() == 0  # between the frames the page shows through


def test_a_spectrogram_is_dark_where_it_is_loud_and_low_at_the_bottom():
    loud = np.zeros((6, 4))
    loud[2, 0] = 9
    url = spectrogram_url(loud)
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))
    assert picture.shape == (4, 6)
    assert (picture[3, 2], picture[0, 2]) == (0, 255)


def test_a_constant_spectrogram_is_a_picture_too():
    assert spectrogram_url(np.zeros((3, 4))).startswith("data:image/png;base64,")
