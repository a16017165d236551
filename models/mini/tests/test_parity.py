"""Ours and the engine's picture of the same weights, noise and prompt: random weights, and the file that is shipped."""

import gzip
import subprocess

import pytest
import torch
from conftest import ROOT
from safetensors.torch import save_file

from mini import export, gguf, parity

MINI = ROOT / "models" / "mini"


def agree(monkeypatch, cli, tokenizer, *more) -> None:
    """mini.parity, 128 x 128: it ends with 0 when every mean is within the bar."""
    monkeypatch.setattr("sys.argv", ["parity", "--cli", str(cli), "--tokenizer", str(tokenizer), "--sizes", "128", *more])
    with pytest.raises(SystemExit) as end:
        parity.main()
    assert not end.value.code


def test_random_weights(monkeypatch, cli, tokenizer):
    assert parity.BAR == 2.0
    agree(monkeypatch, cli, tokenizer)


@pytest.fixture(scope="module")
def packed(model, cli, tmp_path_factory):
    """The random model as what is shipped: quantised by the engine's own tool."""
    folder = tmp_path_factory.mktemp("packed")
    save_file(export.model_tensors(model), folder / "whole.safetensors")
    subprocess.run([cli, "-M", "convert", "-m", folder / "whole.safetensors", "-o", folder / "packed.gguf", "--type",
                    "q8_0", "--tensor-type-rules", "norm=f32"], check=True, capture_output=True)
    return folder / "packed.gguf"


def test_gguf_comes_back(model, prompts, packed):
    """Every value within half a step of its block of 32; what is no matrix, and norms, exactly."""
    back = gguf.restored(packed, prompts)
    assert back.shape == model.shape
    assert (packed.parent / "whole.safetensors").stat().st_size > 1.7 * packed.stat().st_size
    theirs = back.state_dict()
    for name, one in model.state_dict().items():
        if "txt_attn.norm" in name:
            continue  # what no one uses of it is zero in the file
        step = one.abs().max() / 127 if one.dim() > 1 else one.abs().max() / 2048
        assert (one - theirs[name]).abs().max() <= step, name


def test_gguf_draws_what_the_model_draws(model, prompts, packed):
    """Quantising to eight bits does not change the picture's gist: the velocity is the same within 2 %."""
    back = gguf.restored(packed, prompts)
    latent = torch.randn(1, 16, 4, 4, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        one, other = (it(latent, torch.tensor([0.6]), ["a red apple"]) for it in (model, back))
    assert (one - other).norm() < 0.02 * one.norm()


if (MINI / "SHA256SUMS").exists():

    def test_shipped_file(monkeypatch, cli, tokenizer, tmp_path):
        """The engine with the file against our model with the same file read back."""
        subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=MINI, check=True)
        plain = tmp_path / "atelier-mini.gguf"
        plain.write_bytes(gzip.decompress((MINI / "atelier-mini.gguf.gz").read_bytes()))
        agree(monkeypatch, cli, tokenizer, "--finished", str(plain), str(MINI / "atelier-mini-taef1.safetensors"))
