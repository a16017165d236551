"""Configurations: each says everything, with an entry for each size of picture."""

import json
import pathlib

import pytest

FOLDER = pathlib.Path(__file__).parent.parent / "config"
KINDS = sorted(path.stem for path in FOLDER.glob("*.json"))


def read(kind: str) -> dict:
    return json.loads((FOLDER / f"{kind}.json").read_text())


@pytest.mark.parametrize("kind", KINDS)
def test_says_everything(kind):
    config, like = read(kind), read("cpu")
    for part in ("shape", "steps_of", "prompts"):
        assert config[part].keys() == like[part].keys()
    assert config.keys() == like.keys()
    for part in ("much", "batch"):
        assert len(config[part]) == len(config["sizes"])
    assert all(len(phase["chance"]) == len(config["sizes"]) for phase in config["phases"])


@pytest.mark.parametrize("kind", KINDS)
def test_shape_is_one_the_engine_has(kind):
    shape = read(kind)["shape"]
    assert shape["width"] % 128 == 0 and shape["context"] % 32 == 0
