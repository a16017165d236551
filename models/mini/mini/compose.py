"""What the transformer is shown: pictures made of the sets' pictures, and several captions for each.

Six kinds: a thing as it is, recoloured, on a coloured ground, two things, several of one, small or in a corner. A kind is
drawn with the share that KINDS gives it. A colour that is not a thing's own is left out of all training for one pair of
colour and thing in EIGHTH ("unseen"): evaluation asks for these.
"""

import zlib

import numpy as np
from PIL import Image

from mini import colours

KINDS = {"plain": 0.5, "colour": 0.22, "ground": 0.1, "pair": 0.1, "count": 0.04, "place": 0.04}
EIGHTH = 8
NUMBERS = {2: "two", 3: "three", 4: "four"}
PLACES = {"in the top left corner": (0, 0), "in the top right corner": (1, 0), "in the bottom left corner": (0, 1),
          "in the bottom right corner": (1, 1), "at the top": (0.5, 0), "at the bottom": (0.5, 1),
          "on the left": (0, 0.5), "on the right": (1, 0.5)}


def noun(label: str) -> str:
    """The label without the colour it begins with: "red apple" is an apple that can have other colours."""
    first, _, rest = label.partition(" ")
    if first in ("light", "grey"):
        return noun(rest) if first == "light" else rest
    return rest if rest and first in colours.PAINTS else label


def unseen(colour: str, thing: str) -> bool:
    return zlib.crc32(f"{colour} {thing}".encode()) % EIGHTH == 0


def article(text: str) -> str:
    return ("an " if text[0] in "aeiou" else "a ") + text


def plural(text: str) -> str:
    if text.endswith(("s", "x", "ch", "sh")):
        return text if text.endswith("s") else text + "es"
    if text.endswith("y") and text[-2] not in "aeiou":
        return text[:-1] + "ies"
    return text + "s"


def styled(captions: list[str], style: str) -> list[str]:
    return [f"{caption}, {style}" for caption in captions] if style else captions


def named(label: str, random: np.random.Generator) -> str:
    """A thing as people write it: mostly with its article."""
    return article(label) if random.random() < 0.65 else label


class Composer:
    """Makes examples from the rows and pictures of `prepare`. One random generator decides everything."""

    def __init__(self, rows: list[dict], pictures: np.ndarray, seed: int) -> None:
        self.rows, self.pictures = rows, pictures
        self.random = np.random.default_rng(seed)
        weight = np.array([row["weight"] for row in rows], dtype=float)
        self.chance = weight / weight.sum()
        self.by_set = {}
        for n, row in enumerate(rows):
            self.by_set.setdefault(row["set"], []).append(n)
        self.colour = [colours.measured(pictures[n][::3, ::3]) for n in range(len(rows))]

    def any_of(self, name: str) -> int:
        numbers = self.by_set[name]
        chance = self.chance[numbers]
        return int(self.random.choice(numbers, p=chance / chance.sum()))

    def can_change(self, n: int) -> bool:
        """Whether a thing has one colour that can be another: faces and hands have theirs."""
        word, share = self.colour[n]
        return share >= colours.EVEN and not self.rows[n]["subgroup"].startswith(("face", "body", "sky"))

    def plain(self, n: int) -> tuple[np.ndarray, list[str]]:
        row, thing = self.rows[n], self.rows[n]["label"]
        word, share = self.colour[n]
        captions = [thing, article(thing), article(thing), f"{thing} icon", f"a sticker of {article(thing)}"]
        captions += [f"{thing}, {tag}" for tag in row["tags"][:3] if tag not in thing]
        if thing.endswith(" face"):
            captions.append(article(thing.removesuffix(" face")))
        if share >= colours.EVEN and noun(thing) == thing and not unseen(word, thing):
            captions.append(article(f"{word} {thing}"))
        captions.append(f"{article(thing)} on a white background")
        return flat(self.pictures[n], (255, 255, 255)), styled(captions, row["style"])

    def coloured(self, n: int, word: str) -> tuple[np.ndarray, list[str]]:
        thing = f"{word} {noun(self.rows[n]['label'])}"
        captions = [thing, article(thing), article(thing), f"{article(thing)} on a white background"]
        return flat(colours.painted(self.pictures[n], word), (255, 255, 255)), styled(captions, self.rows[n]["style"])

    def thing(self, n: int) -> tuple[np.ndarray, str]:
        """A thing for a larger picture: as it is, or with another colour that is named."""
        if self.can_change(n) and self.random.random() < 0.35:
            words = [word for word in colours.PAINTS if not unseen(word, noun(self.rows[n]["label"]))]
            word = str(self.random.choice(words))
            return colours.painted(self.pictures[n], word), f"{word} {noun(self.rows[n]['label'])}"
        return self.pictures[n], self.rows[n]["label"]

    def ground(self, n: int) -> tuple[np.ndarray, list[str]]:
        picture, thing = self.thing(n)
        word = str(self.random.choice(list(colours.GROUNDS)))
        ground = np.clip(np.array(colours.GROUNDS[word]) + self.random.integers(-10, 11, 3), 0, 255)
        captions = [f"{named(thing, self.random)} on {article(word)} background", f"{thing}, {word} background",
                    f"{article(thing)} on {article(word)} background"]
        return flat(picture, ground), styled(captions, self.rows[n]["style"])

    def pair(self, n: int) -> tuple[np.ndarray, list[str]]:
        m = self.any_of(self.rows[n]["set"])
        (first, a), (second, b) = self.thing(n), self.thing(m)
        is_row = self.random.random() < 0.75
        spots = ((0.25, 0.5), (0.75, 0.5)) if is_row else ((0.5, 0.25), (0.5, 0.75))
        a, b = article(a), article(b)
        if is_row:
            captions = [f"{a} and {b}", f"{a} and {b}", f"{a} next to {b}", f"{a} to the left of {b}",
                        f"{b} to the right of {a}"]
        else:
            captions = [f"{a} above {b}", f"{b} below {a}", f"{a} on top of {b}"]
        whole = canvas([(first, spots[0], 0.49), (second, spots[1], 0.49)])
        return flat(whole, (255, 255, 255)), styled(captions, self.rows[n]["style"])

    def count(self, n: int) -> tuple[np.ndarray, list[str]]:
        picture, thing = self.thing(n)
        many = int(self.random.integers(2, 5))
        spots = {2: ((0.25, 0.5), (0.75, 0.5)), 3: ((0.5, 0.25), (0.25, 0.75), (0.75, 0.75)),
                 4: ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75))}[many]
        captions = [f"{NUMBERS[many]} {plural(thing)}", f"{many} {plural(thing)}"]
        return flat(canvas([(picture, spot, 0.49) for spot in spots]), (255, 255, 255)), \
            styled(captions, self.rows[n]["style"])

    def place(self, n: int) -> tuple[np.ndarray, list[str]]:
        picture, thing = self.thing(n)
        if self.random.random() < 0.3:
            return flat(canvas([(picture, (0.5, 0.5), 0.5)]), (255, 255, 255)), \
                styled([f"a small {thing}", f"small {thing}", f"a tiny {thing}"], self.rows[n]["style"])
        words = str(self.random.choice(list(PLACES)))
        x, y = PLACES[words]
        whole = canvas([(picture, (0.27 + 0.46 * x, 0.27 + 0.46 * y), 0.5)])
        return flat(whole, (255, 255, 255)), \
            styled([f"{article(thing)} {words}", f"a small {thing} {words}"], self.rows[n]["style"])


def canvas(things: list[tuple[np.ndarray, tuple[float, float], float]]) -> np.ndarray:
    """Several pictures on one empty one: each with its centre and its size, in parts of the whole."""
    size = things[0][0].shape[0]
    whole = Image.new("RGBA", (size, size), (255, 255, 255, 0))
    for picture, (x, y), part in things:
        small = Image.fromarray(picture).resize((round(size * part),) * 2, Image.Resampling.BOX)
        whole.alpha_composite(small, (round(x * size - small.width / 2), round(y * size - small.height / 2)))
    return np.asarray(whole)


def flat(picture: np.ndarray, ground) -> np.ndarray:
    """RGBA over a plain ground; uint8 [H, W, 3]."""
    alpha = picture[..., 3:].astype(np.float32) / 255
    return (picture[..., :3] * alpha + np.asarray(ground, np.float32) * (1 - alpha)).round().astype(np.uint8)


def plan(composer: Composer, much: float = 1.0) -> list[dict]:
    """What is made: every plain picture, and of the other kinds enough that they vary; `much` scales the latter."""
    rows, random = composer.rows, composer.random
    wanted = [{"kind": "plain", "n": n} for n in range(len(rows))]
    for n, row in enumerate(rows):
        if not composer.can_change(n):
            continue
        own = composer.colour[n][0]
        words = [word for word in colours.PAINTS if word != own and not unseen(word, noun(row["label"]))]
        share = much * min(1.0, 0.3 + 0.2 * row["weight"])
        for word in random.permutation(words)[:max(1, round(len(words) * share * 0.75))]:
            wanted.append({"kind": "colour", "n": n, "colour": str(word)})
    sets = list(composer.by_set)
    for kind, count in (("ground", 3000), ("pair", 3600), ("count", 1200), ("place", 1400)):
        for k in range(round(count * much)):
            wanted.append({"kind": kind, "n": composer.any_of(sets[k % len(sets)])})
    return wanted


def make(composer: Composer, wanted: dict) -> tuple[np.ndarray, list[str]]:
    if wanted["kind"] == "colour":
        return composer.coloured(wanted["n"], wanted["colour"])
    return getattr(composer, wanted["kind"])(wanted["n"])
