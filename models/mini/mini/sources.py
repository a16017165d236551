"""The picture sets: where their files lie inside the packages, what each picture is called, what licence it has.

A picture is known by the hexcode of its emoji; label and tags come from emojibase. Sets that may not be trained on
(share-alike) are not here. Adding one: a row in SETS, its licence in README.md, `style_word`, the word in a caption that
asks for its look ("" is the look that a prompt without such a word gets), and `share`, its part of what is shown in training.
"""

import dataclasses
import io
import json
import pathlib
import re
import typing

import numpy as np
from PIL import Image

SIZE = 256  # pixels a side of every stored picture


@dataclasses.dataclass(frozen=True)
class Set:
    """One published set of pictures."""

    name: str
    package: str
    style_word: str
    share: float
    licence: str
    attribution: str


SETS = (
    Set("fluent-3d", "@lobehub/fluent-emoji-3d", "", 0.6, "MIT", "Fluent Emoji by Microsoft Corporation"),
    Set("fluent-flat", "@iconify-json/fluent-emoji-flat", "flat", 0.2, "MIT", "Fluent Emoji by Microsoft Corporation"),
    Set("twemoji", "@iconify-json/twemoji", "simple", 0.2, "CC-BY-4.0", "Twemoji by Twitter, Inc and other contributors"),
)
LABELS = "emojibase-data"

# How often a subgroup of emojibase is drawn. What is not named here is not trained on: people, flags, keycaps, arrows,
# buttons and signs are letters and bodies, which a model of this size only turns into mud.
WEIGHTS = {
    "heart": 3, "animal-mammal": 3, "animal-bird": 3, "animal-amphibian": 3, "animal-reptile": 3, "animal-marine": 3,
    "animal-bug": 3, "plant-flower": 3, "plant-other": 3, "food-fruit": 4, "food-vegetable": 4, "food-prepared": 3,
    "food-asian": 2, "food-sweet": 3, "drink": 3, "sky-weather": 2, "cat-face": 1.5, "monkey-face": 1,
    "face-smiling": 2, "face-affection": 1.5, "face-tongue": 1, "face-hand": 0.5, "face-neutral-skeptical": 0.5,
    "face-sleepy": 0.5, "face-unwell": 0.5, "face-hat": 1.5, "face-glasses": 2, "face-concerned": 0.5,
    "face-negative": 1, "face-costume": 3, "emotion": 1, "transport-ground": 2, "transport-air": 2,
    "transport-water": 2, "place-building": 1.5, "place-other": 0.7, "place-geographic": 1, "event": 2, "sport": 2,
    "game": 1.5, "arts-crafts": 1, "music": 1, "musical-instrument": 2, "clothing": 1.5, "light-video": 1.5,
    "computer": 1, "phone": 1, "book-paper": 1, "money": 0.7, "mail": 0.5, "writing": 1, "office": 0.5, "lock": 1,
    "tool": 1.5, "science": 1, "medical": 0.7, "household": 1, "dishware": 1, "award-medal": 1, "sound": 0.7,
    "time": 0.3, "other-object": 0.3, "geometric": 1, "body-parts": 0.7,
}
SKIPPED = re.compile(r"o.clock|-thirty|banknote|^(white|black) (medium|small|large)|guide dog|service dog|moon viewing|"
                     r"bikini|briefs|swimsuit|cigarette|middle finger")


def chance(row: dict) -> float:
    """How often a row of `prepare` is shown, beside the others of its kind: what people ask for most, in the usual look."""
    share = {one.name: one.share for one in SETS}
    return row["weight"] ** 1.5 * share.get(row["set"], 1.0)


def words(label: str) -> str:
    """A label as it stands in captions: lower case, plain letters."""
    label = label.lower().replace("’", "'").replace("&", "and").replace("ñ", "n").replace("-", " ")
    return " ".join(re.sub(r"[^a-z0-9' ]", " ", label).split())


def labels(folder: pathlib.Path) -> dict[str, dict[str, typing.Any]]:
    """Hexcode without variation selectors -> label, tags, subgroup, weight; only what is trained on."""
    meta = json.loads((folder / LABELS / "meta" / "groups.json").read_text())["subgroups"]
    found = {}
    for row in json.loads((folder / LABELS / "en" / "data.json").read_text()):
        subgroup = meta.get(str(row.get("subgroup")), "")
        if subgroup not in WEIGHTS or SKIPPED.search(row["label"]):
            continue
        found[plain(row["hexcode"])] = {
            "label": words(row["label"]), "tags": [words(tag) for tag in row.get("tags", []) if tag.isascii()],
            "subgroup": subgroup, "weight": WEIGHTS[subgroup],
        }
    return found


def plain(hexcode: str) -> str:
    return "-".join(part for part in hexcode.lower().split("-") if part != "fe0f")


def svg(body: str, width: float, height: float) -> str:
    return (f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="0 0 {width} {height}">{body}</svg>')


def vector_set(folder: pathlib.Path, package: str, names_of: str = "") -> dict[str, str]:
    """Hexcode -> SVG text of an Iconify package; `names_of`: another package that names the same things alike."""
    data = json.loads((folder / package / "icons.json").read_text())
    names = json.loads((folder / (names_of or package) / "chars.json").read_text())
    width, height = data.get("width", 16), data.get("height", 16)
    found = {}
    for hexcode, name in names.items():
        icon = data["icons"].get(name)
        if icon:
            found[plain(hexcode)] = svg(icon["body"], icon.get("width", width), icon.get("height", height))
    return found


def raster_set(folder: pathlib.Path, package: str) -> dict[str, pathlib.Path]:
    return {plain(path.stem): path for path in sorted((folder / package / "assets").glob("*.webp"))}


def draw(source: str | pathlib.Path) -> np.ndarray:
    """One picture as uint8 [SIZE, SIZE, 4], straight alpha, with the small margin that all of them get."""
    inner = SIZE - 16
    if isinstance(source, pathlib.Path):
        picture = Image.open(source).convert("RGBA").resize((inner, inner), Image.Resampling.LANCZOS)
    else:
        import resvg_py
        picture = Image.open(io.BytesIO(resvg_py.svg_to_bytes(svg_string=source, width=inner, height=inner)))
        picture = picture.convert("RGBA")
    whole = Image.new("RGBA", (SIZE, SIZE), (255, 255, 255, 0))
    whole.paste(picture, ((SIZE - picture.width) // 2, (SIZE - picture.height) // 2))
    return np.asarray(whole)
