"""What the tests share: the true tokenizer, small models of random weights, a synthetic set of pictures.

Environment: ATELIER_DEPS, where script/lib.sh puts the engine (sd/bin/sd-cli) and its vocabulary (sd/qwen.hpp).
"""

import os
import pathlib
import sys

import numpy as np
import pytest
import torch

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "models" / "mini"))

from mini import compose, parity, tokens  # noqa: E402 (after the path)

CACHE = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
DEPS = pathlib.Path(os.environ.get("ATELIER_DEPS") or pathlib.Path(CACHE) / "atelier")
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def cli() -> pathlib.Path:
    return DEPS / "sd" / "bin" / "sd-cli"


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("tokens") / "tokenizer.json"
    tokens.read(DEPS / "sd" / "qwen.hpp").save(str(path))
    return path


@pytest.fixture(scope="session")
def prompts(tokenizer) -> tokens.Prompts:
    return tokens.Prompts(tokenizer)


@pytest.fixture(scope="session")
def model(prompts):
    """Random weights; nothing in it is zero that training would make otherwise."""
    return parity.random_model(prompts)


def disc(rgb: tuple[int, int, int], side: int = 24) -> np.ndarray:
    """A round thing of one colour on nothing; uint8 RGBA."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    picture = np.zeros((side, side, 4), np.uint8)
    picture[..., :3] = rgb
    picture[..., 3] = np.where(x * x + y * y < (side * 0.4) ** 2, 255, 0)
    return picture


# Things whose names bring every difficulty: colours that are part of a name, one thing within another's name.
LABELS = {
    "red apple": (220, 40, 40), "green apple": (90, 180, 80), "blue book": (60, 120, 220), "green book": (90, 180, 80),
    "red heart": (220, 40, 40), "blue heart": (60, 120, 220), "light blue heart": (150, 200, 250),
    "grey heart": (140, 140, 145), "black cat": (40, 40, 42), "cat": (250, 190, 60), "cat face": (250, 190, 60),
    "fox": (250, 140, 30), "cherry": (210, 30, 50), "leaf": (70, 170, 70), "octopus": (200, 80, 170),
    "balloon": (220, 40, 40), "fish": (60, 120, 220), "umbrella": (130, 80, 200), "bus": (250, 200, 40),
    "peach": (255, 150, 190),
}


@pytest.fixture(scope="session")
def sets() -> tuple[list[dict], np.ndarray]:
    """Rows and pictures as `prepare` leaves them: three sets that draw the same things."""
    rows, pictures = [], []
    for name, style in (("round", ""), ("even", "flat"), ("plain", "simple")):
        for label, rgb in LABELS.items():
            rows.append({"set": name, "style": style, "hexcode": label, "held": False, "label": label, "weight": 3,
                         "tags": ["thing", "shape"], "subgroup": "object"})
            pictures.append(disc(rgb))
    return rows, np.stack(pictures)


@pytest.fixture
def composer(sets) -> compose.Composer:
    return compose.Composer(*sets, 5)
