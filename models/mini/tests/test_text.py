"""What is computed for the words alone must be what the engine computes for all 284 tokens."""

import pytest
import torch

from mini import text, tokens

ALL = 284
LONG = 128 ** 0.5  # the one value of a constant after the last norm
CAPTIONS = ("a red apple", "two blue fishes and a small cat on a yellow background, flat", "")


@torch.no_grad()
def uncollapsed(model, caption: str) -> torch.Tensor:
    """Every token through every layer, then the cut: [256, width]."""
    prompts = model.prompts
    ids = [*prompts.prefix, *prompts.words(caption), *prompts.suffix]
    ids += [tokens.PAD] * (ALL - len(ids))
    x = model.text.embedded(torch.tensor([ids]))
    for layer in model.text.layers:
        x, _ = layer(x, None)
    return text.rms(x, model.text.norm.weight)[0, tokens.CUT:]


@pytest.mark.parametrize("caption", CAPTIONS)
@torch.no_grad()
def test_collapsed_equals_uncollapsed(model, caption):
    """The prefix's last token, the words, and one constant for all that comes after them."""
    every, words = uncollapsed(model, caption), len(model.prompts.words(caption))
    collapsed, count = model.text(*model.ids([caption]))
    assert every.shape == (tokens.TEXT, model.text.width)
    assert (collapsed[0, :1 + words] - every[:1 + words]).abs().max() < 1e-3
    assert (collapsed[0, -1:] - every[1 + words:]).abs().max() < 1e-3 * LONG
    assert count[0].exp().sum() == pytest.approx(tokens.TEXT, abs=0.01)


@torch.no_grad()
def test_padding_is_the_same_for_any_prompt(model):
    one, other = uncollapsed(model, CAPTIONS[0]), uncollapsed(model, CAPTIONS[1])
    assert (one[-200:] - other[-200:]).abs().max() < 1e-3 * LONG


@torch.no_grad()
def test_a_batch_is_its_captions(model):
    """Shorter captions are filled up, and what fills them is not seen."""
    together, count = model.text(*model.ids(list(CAPTIONS)))
    for n, caption in enumerate(CAPTIONS):
        alone, _ = model.text(*model.ids([caption]))
        words = len(model.prompts.words(caption))
        assert (together[n, :1 + words] - alone[0, :1 + words]).abs().max() < 1e-4
        assert count[n, 1 + words:-1].isneginf().all()


@torch.no_grad()
def test_order_of_words_is_seen(model):
    """The same tokens in another order give another sum, not only another order."""
    one, other = (uncollapsed(model, caption) for caption in ("a red apple a blue", "a blue apple a red"))
    assert (one.sum(0) - other.sum(0)).abs().max() > 0.01
