"""The promise that evaluation rests on: what it asks for as "unseen" is in no caption of any plan."""

import re

import numpy as np
import pytest

from mini import compose, evaluate


@pytest.fixture(scope="module")
def captions(sets) -> set[tuple[str, str]]:
    """Kind and caption of everything that a full plan makes."""
    composer = compose.Composer(*sets, 5)
    return {(one["kind"], caption) for one in compose.plan(composer, 1.0) for caption in compose.make(composer, one)[1]}


def asked(sets, is_unseen: bool) -> set[tuple[str, str]]:
    rows, pictures = sets
    labels = sorted({row["label"] for row in rows})
    return {(word, compose.noun(label)) for word, label in evaluate.pairs(rows, labels, pictures, is_unseen, 10**6)}


def has(caption: str, colour: str, thing: str) -> bool:
    """Whether a caption names the pair: one or several, but not another thing whose name only begins alike."""
    if thing.rstrip("y") not in caption:
        return False
    names = {thing, compose.plural(thing)}
    spelt = f"({colour}|grey)" if colour == "gray" else colour
    found = re.search(rf"\b{spelt} (\w.*)", caption)
    rest = found.group(found.lastindex) if found else ""
    return any(re.match(rf"{re.escape(name)}($|,| and | on | in | at | to | next | above | below | icon)", rest)
               for name in names)


def test_every_kind_is_made(captions):
    assert {kind for kind, _ in captions} == set(compose.KINDS)


def test_the_search_finds_what_it_looks_for():
    assert has("a red bus on a blue background", "red", "bus")
    assert has("three red cherries, flat", "red", "cherry")
    assert has("a fox to the left of a red bus", "red", "bus")
    assert has("a grey heart", "gray", "heart")
    assert not has("a red cat face", "red", "cat")
    assert not has("a bus on a red background", "red", "bus")


def test_what_is_asked_as_unseen_is_in_no_caption(sets, captions):
    pairs = asked(sets, True)
    assert len(pairs) >= 5
    leaks = [(kind, caption) for kind, caption in captions for pair in pairs if has(caption, *pair)]
    assert leaks == []


def test_what_is_asked_as_seen_was_shown(sets, captions):
    """Or the comparison of both would say nothing."""
    pairs = asked(sets, False)
    shown = {pair for pair in pairs if any(has(caption, *pair) for _, caption in captions)}
    assert len(shown) >= 0.9 * len(pairs)


def test_no_pair_is_the_own_colour_of_its_thing(sets):
    """A picture of it was shown then, whatever the caption said."""
    assert not asked(sets, True) & {("orange", "fox"), ("green", "leaf"), ("blue", "fish"), ("yellow", "bus"),
                                    ("red", "apple"), ("green", "apple"), ("gray", "heart"), ("black", "cat")}


def test_one_seed_one_plan(sets):
    def made(seed):
        composer = compose.Composer(*sets, seed)
        wanted = compose.plan(composer, 0.01)
        return wanted, [compose.make(composer, one) for one in wanted[-40:]]
    first, second, other = made(3), made(3), made(4)
    assert first[0] == second[0] and first[0] != other[0]
    for (a, words), (b, same) in zip(first[1], second[1]):
        np.testing.assert_array_equal(a, b)
        assert words == same


@pytest.mark.parametrize("label, thing", [("red apple", "apple"), ("light blue heart", "heart"), ("grey heart", "heart"),
                                          ("cat face", "cat face"), ("orange", "orange"), ("orange book", "book"),
                                          ("light bulb", "bulb")])
def test_noun(label, thing):
    assert compose.noun(label) == thing


@pytest.mark.parametrize("one, many", [("bus", "bus"), ("fox", "foxes"), ("cherry", "cherries"), ("key", "keys"),
                                       ("peach", "peaches"), ("fish", "fishes"), ("cat", "cats")])
def test_plural(one, many):
    assert compose.plural(one) == many
