"""Names and shapes are the engine's: tests/kit has lists of tensors that it was seen to load."""

import pytest
import torch
from conftest import ROOT

from mini import export, model as models, text, tokens
from mini.autoencoder import Autoencoder

KIT = ROOT / "tests" / "kit"


def listed(name: str) -> dict[str, list[int]]:
    """Name -> shape in torch's order. Of a list's four lengths, fastest first, the ones at the end say nothing."""
    found = {}
    for line in (KIT / name).read_text().splitlines():
        name, _, lengths = line.split("\t")
        lengths = [int(one) for one in lengths.split(",")]
        while len(lengths) > 1 and lengths[-1] == 1:
            lengths.pop()
        found[name] = lengths[::-1]
    return found


def shapes(tensors: dict[str, torch.Tensor]) -> dict[str, list[int]]:
    return {name: list(one.shape) for name, one in tensors.items()}


def test_transformer_is_the_list(prompts):
    """The same sizes as the list's model; it has no layers of text, ours has no single blocks."""
    shape = {"width": 128, "depth": 1, "context": 32, "layers": 0, "known": [264, 2518]}
    found = shapes(export.model_tensors(models.Model(shape, prompts)))
    assert found == {name: one for name, one in listed("tiny_ovis_tensors.tsv").items() if "single_blocks" not in name}


def test_autoencoder_is_the_list():
    assert shapes(export.autoencoder_tensors(Autoencoder())) == listed("taef1_tensors.tsv")


def test_text_layers_are_as_wide_as_the_engine_builds_them(model):
    found, width = shapes(export.model_tensors(model)), model.shape["context"]
    layer = {name.split("layers.1.")[1]: one for name, one in found.items() if "llm.model.layers.1." in name}
    assert layer == {
        "input_layernorm.weight": [width], "post_attention_layernorm.weight": [width],
        "self_attn.q_proj.weight": [4096, width], "self_attn.k_proj.weight": [1024, width],
        "self_attn.v_proj.weight": [1024, width], "self_attn.o_proj.weight": [width, 4096],
        "self_attn.q_norm.weight": [128], "self_attn.k_norm.weight": [128],
        "mlp.gate_proj.weight": [2 * width, width], "mlp.up_proj.weight": [2 * width, width],
        "mlp.down_proj.weight": [width, 2 * width]}


def test_matrices_are_half_and_vectors_full(model):
    for tensor in export.model_tensors(model).values():
        assert tensor.dtype == (torch.float16 if tensor.dim() > 1 else torch.float32)


def test_the_table_has_the_known_rows_and_no_others(model):
    table = export.embedding(model.text)
    assert table.shape[0] == tokens.VOCABULARY
    known = set(model.shape["known"])
    constant = {*model.prompts.suffix, tokens.PAD} - {tokens.END}
    assert set(table.any(1).nonzero().flatten().tolist()) == known | constant
    assert all(table[one, 0] == text.CONSTANT for one in constant)


@pytest.mark.parametrize("kind", ["q", "k", "v", "o"])
def test_heads_that_are_not_trained_are_zeros(model, kind):
    own = model.text.layers[0].get_parameter(f"self_attn.{kind}_proj.weight")
    wide = export.widened(f"{kind}_proj.weight", own)
    assert wide.numel() > own.numel() >= (wide != 0).sum().item()
    assert wide.abs().sum().item() == pytest.approx(own.abs().sum().item(), rel=1e-4)
