import math

import pytest
import torch

from mini import tokens, transformer


@torch.no_grad()
def test_one_key_stands_for_all_padding(model):
    """What `count` says, exactly: one key heard 256 - n times equals as many keys."""
    generator = torch.Generator().manual_seed(1)
    latent, words = torch.randn(2, 16, 4, 4, generator=generator), 5
    text = torch.randn(2, 1 + words, model.shape["context"], generator=generator)
    padding = torch.randn(2, 1, model.shape["context"], generator=generator)
    left = tokens.TEXT - 1 - words
    count = torch.zeros(2, words + 2)
    count[:, -1] = math.log(left)
    time = torch.tensor([0.3, 0.9])
    few = model.transformer(latent, time, torch.cat([text, padding], 1), count)
    many = model.transformer(latent, time, torch.cat([text, padding.expand(-1, left, -1)], 1),
                             torch.zeros(2, tokens.TEXT))
    assert few.std() > 0.1
    assert (few - many).abs().max() < 1e-3


@torch.no_grad()
def test_words_and_their_order_reach_the_picture(model):
    latent = torch.randn(1, 16, 4, 4, generator=torch.Generator().manual_seed(2))
    first, second, again = (model(latent, torch.tensor([0.5]), [caption])
                            for caption in ("a red apple a blue", "a blue apple a red", "a red apple a blue"))
    assert (first - second).abs().max() > 1e-3
    assert torch.equal(first, again)


def test_rotating_keeps_lengths_and_knows_distance():
    table = transformer.positions(2, 3)
    x = torch.randn(1, 1, 6, transformer.HEAD)
    turned = transformer.rotated(x, table)
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    same = transformer.rotated(x[:, :, :1].expand(-1, -1, 6, -1), table)[0, 0]
    assert same[0] @ same[1] == pytest.approx((same[1] @ same[2]).item(), rel=1e-4)


def test_a_fresh_model_begins_with_nothing():
    """Its last layer is zero: training begins at the mean, not at noise."""
    fresh = transformer.Transformer(128, 1, 32)
    with torch.no_grad():
        out = fresh(torch.randn(1, 16, 2, 2), torch.tensor([0.5]), torch.randn(1, 3, 32), torch.zeros(1, 3))
    assert out.abs().max() == 0
