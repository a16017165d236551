"""Colour words: measured from a picture, put into a picture, and the plain grounds.

Pictures are uint8 [H, W, 4], straight alpha; hue in degrees, saturation and value in [0, 1].
"""

import numpy as np

# word -> hue, saturation, value of a thing of that colour in even light
PAINTS = {
    "red": (357, 0.82, 0.88), "orange": (27, 0.88, 0.97), "yellow": (48, 0.78, 0.98), "green": (128, 0.66, 0.70),
    "blue": (212, 0.78, 0.88), "purple": (276, 0.60, 0.78), "pink": (335, 0.45, 0.98), "brown": (23, 0.62, 0.52),
    "black": (240, 0.10, 0.17), "white": (220, 0.03, 0.95), "gray": (220, 0.05, 0.58),
}
GROUNDS = {
    "red": (226, 58, 52), "orange": (247, 148, 48), "yellow": (255, 218, 74), "green": (92, 178, 92),
    "blue": (66, 132, 240), "purple": (146, 92, 214), "pink": (255, 166, 202), "brown": (136, 92, 60),
    "black": (22, 22, 24), "gray": (150, 152, 156), "light blue": (176, 216, 250), "light green": (190, 236, 178),
}
EVEN = 0.45  # share of a thing that must have one colour before the thing is said to have it


def hsv(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """float RGB in [0, 1], [..., 3]."""
    high, low = rgb.max(-1), rgb.min(-1)
    spread = high - low
    safe = np.where(spread == 0, 1, spread)
    r, g, b = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    hue = np.where(high == r, (g - b) / safe % 6, np.where(high == g, (b - r) / safe + 2, (r - g) / safe + 4)) * 60
    return hue, spread / np.where(high == 0, 1, high), high


def rgb(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    parts = []
    for n in (5, 3, 1):
        k = (n + hue / 60) % 6
        parts.append(value - value * saturation * np.clip(np.minimum(k, 4 - k), 0, 1))
    return np.stack(parts, -1)


def words(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The colour word of each pixel, as an index into PAINTS' order."""
    order = {word: n for n, word in enumerate(PAINTS)}
    is_grey = (saturation < 0.16) | (value < 0.16)
    grey = np.where(value < 0.33, order["black"], np.where(value > 0.84, order["white"], order["gray"]))
    edges = ((14, "red"), (38, "orange"), (66, "yellow"), (168, "green"), (252, "blue"), (305, "purple"), (340, "pink"))
    colour = np.full(hue.shape, order["red"])
    for limit, word in reversed(edges):
        colour = np.where(hue < limit, order[word], colour)
    is_dull = (colour == order["red"]) | (colour == order["orange"])
    colour = np.where(is_dull & (value < 0.66) & (hue > 8) & (hue < 45), order["brown"], colour)
    is_pale_red = ((colour == order["red"]) | (colour == order["purple"])) & (saturation < 0.5) & (value > 0.85)
    return np.where(is_grey, grey, np.where(is_pale_red, order["pink"], colour))


def measured(picture: np.ndarray) -> tuple[str, float]:
    """The colour that covers most of a picture's opaque part, and its share."""
    opaque = picture[..., 3] > 128
    if not opaque.any():
        return "white", 0.0
    found = words(*hsv(picture[..., :3][opaque] / 255.0))
    counts = np.bincount(found, minlength=len(PAINTS))
    return list(PAINTS)[counts.argmax()], counts.max() / opaque.sum()


def painted(picture: np.ndarray, word: str) -> np.ndarray:
    """The picture with its main colour changed to `word`; light and shade, and what has other colours, stay."""
    main, _ = measured(picture)
    hue, saturation, value = hsv(picture[..., :3] / 255.0)
    opaque = picture[..., 3] > 128
    if main in ("black", "white", "gray"):
        chosen = saturation < 0.25
    else:
        is_main = opaque & (words(hue, saturation, value) == list(PAINTS).index(main))
        angle = np.deg2rad(hue[is_main])
        centre = np.rad2deg(np.arctan2(np.sin(angle).mean(), np.cos(angle).mean())) % 360
        distance = np.abs((hue - centre + 180) % 360 - 180)
        chosen = (distance < 38) & (saturation > 0.15)
    if not (chosen & opaque).any():
        return picture
    new_hue, new_saturation, new_value = PAINTS[word]
    shade = value / max(0.05, float(np.median(value[chosen & opaque])))
    vivid = np.sqrt(saturation / max(0.05, float(np.median(saturation[chosen & opaque])))).clip(0.3, 1.3)
    if main in ("black", "white", "gray"):
        vivid = np.ones_like(vivid)
    fresh = rgb(np.full(hue.shape, float(new_hue)), (new_saturation * vivid).clip(0, 1),
                (new_value * shade ** 0.8).clip(0, 1))
    out = picture.copy()
    out[..., :3] = np.where(chosen[..., None], (fresh * 255).round(), picture[..., :3]).astype(np.uint8)
    return out
