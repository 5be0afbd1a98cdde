"""Pictures of an exhibit as pixel arrays: frames with heat, and a spectrogram to lay heat over."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

HEAT = (213, 94, 0)  # Okabe and Ito's vermilion, #D55E00
INK = (119, 119, 119)  # reads on a light and on a dark page
PER_ROW = 5
SCALE = 2  # screen pixels of one pixel of the clip
GAP, BORDER, BAR, TEXT = 10, 7, 30, 30  # pixels: between cells, heat around, bar below, time below
STRONGEST = 0.6  # share of heat over the pixels of the step with the largest weight


def film(
    frames: np.ndarray, seen: tuple[slice, slice], weights: Sequence[float] | None, begins: Sequence[float]
) -> np.ndarray:
    """Frames in rows, each with its time and, the more weight it has, the stronger a tint, a border and a bar.

    Args:
        frames: (T, H, W) uint8, grey.
        seen: rows and columns that the model was given: what the tint covers.
        weights: (T,) shares; None draws the frames alone.
        begins: (T,) seconds.

    Returns:
        (height, width, 4) uint8, transparent between the frames.
    """
    count, height, width = frames.shape
    cell = (width * SCALE + 2 * BORDER + GAP, height * SCALE + 2 * BORDER + BAR + TEXT + GAP)
    columns = min(PER_ROW, count)
    sheet = Image.new("RGBA", (columns * cell[0], -(-count // columns) * cell[1]))
    most = max(weights) if weights is not None else 0
    for step in range(count):
        heat = weights[step] / most if weights is not None else None
        place = (step % columns * cell[0] + GAP // 2, step // columns * cell[1])
        sheet.paste(_cell(frames[step], seen, heat, f"{begins[step]:.2f} s"), place)
    return np.asarray(sheet)


def _cell(frame: np.ndarray, seen: tuple[slice, slice], heat: float | None, time: str) -> Image.Image:
    pixels = np.repeat(np.repeat(frame, SCALE, 0), SCALE, 1)
    pixels = np.repeat(pixels[..., None], 3, 2).astype(float)
    box = tuple(slice(part.start * SCALE, part.stop * SCALE) for part in seen)
    if heat is not None:
        alpha = STRONGEST * heat
        pixels[box] = (1 - alpha) * pixels[box] + alpha * np.array(HEAT)
    picture = Image.fromarray(np.rint(pixels).astype(np.uint8))
    width, height = picture.size
    cell = Image.new("RGBA", (width + 2 * BORDER, height + 2 * BORDER + BAR + TEXT))
    draw = ImageDraw.Draw(cell)
    if heat is not None:
        draw.rectangle((0, 0, width + 2 * BORDER - 1, height + 2 * BORDER - 1), fill=(*HEAT, round(255 * heat)))
    cell.paste(picture, (BORDER, BORDER))
    corners = [BORDER + box[1].start, BORDER + box[0].start, BORDER + box[1].stop - 1, BORDER + box[0].stop - 1]
    draw.rectangle(corners, outline=(255, 255, 255, 200))
    if heat is not None:
        foot = height + 2 * BORDER
        top, bottom, filled = foot + 4, foot + BAR - 4, BORDER + round(heat * (width - 1))
        draw.rectangle((BORDER, top, width + BORDER - 1, bottom), outline=(*INK, 255))
        draw.rectangle((BORDER, top, filled, bottom), fill=(*HEAT, 255))
    font = ImageFont.load_default(26)
    draw.text((cell.width / 2, cell.height), time, fill=(*INK, 255), font=font, anchor="md")
    return cell


def spectrogram_url(spectrogram: np.ndarray) -> str:
    """A (steps, filters) spectrogram as the address of a grey picture, loud dark, low tones at the bottom."""
    low, high = np.quantile(spectrogram, (0.02, 0.995))
    level = np.clip((spectrogram - low) / max(high - low, 1e-9), 0, 1)
    picture = Image.fromarray(np.rint(255 * (1 - level.T[::-1])).astype(np.uint8))
    stored = io.BytesIO()
    picture.save(stored, "PNG")
    return "data:image/png;base64," + base64.b64encode(stored.getvalue()).decode()
