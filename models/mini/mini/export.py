"""export: the weights as stable-diffusion.cpp reads them: one file for text encoder and transformer, one for the
autoencoder, both safetensors with half precision matrices and full precision vectors.

Names: model.diffusion_model.*, text_encoders.llm.model.*, encoder.* and decoder.*. Heads of the text encoder that are
not trained are zeros; tokens without an embedding are zeros.
"""

import argparse
import hashlib
import pathlib

import torch
from safetensors.torch import save_file

from mini import encode, model as models, text, tokens
from mini.autoencoder import Autoencoder
from mini.transformer import TEXT_USED

TRANSFORMER = "model.diffusion_model."
TEXT = "text_encoders.llm.model."


def stored(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.detach().cpu()
    return (tensor.half() if tensor.dim() > 1 else tensor.float()).contiguous().clone()


def embedding(encoder: text.TextEncoder) -> torch.Tensor:
    """The table over the engine's whole vocabulary."""
    return torch.cat([encoder.embedding.detach(), encoder.fixed])[encoder.row]


def widened(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """A matrix of the trained heads as one of all heads."""
    if name.endswith("q_proj.weight"):
        return torch.cat([tensor, tensor.new_zeros(text.HEADS * text.HEAD - len(tensor), tensor.shape[1])])
    if name.endswith(("k_proj.weight", "v_proj.weight")):
        return torch.cat([tensor, tensor.new_zeros(text.KEYS * text.HEAD - len(tensor), tensor.shape[1])])
    if name.endswith("o_proj.weight"):
        return torch.cat([tensor, tensor.new_zeros(len(tensor), text.HEADS * text.HEAD - tensor.shape[1])], 1)
    return tensor


def model_tensors(model: models.Model) -> dict[str, torch.Tensor]:
    found = {TEXT + "embed_tokens.weight": stored(embedding(model.text))}
    for name, tensor in model.text.state_dict().items():
        if name != "embedding":
            found[TEXT + name] = stored(widened(name, tensor))
    for name, tensor in model.transformer.state_dict().items():
        if ".txt_attn.norm." in name:
            tensor = tensor.clone()
            tensor[TEXT_USED:] = 0
        found[TRANSFORMER + name] = stored(tensor)
    return found


def autoencoder_tensors(model: Autoencoder) -> dict[str, torch.Tensor]:
    return {name: stored(tensor) for name, tensor in model.state_dict().items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--checkpoint", type=pathlib.Path, required=True)
    parser.add_argument("--autoencoder", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    model = models.load(options.checkpoint, tokens.Prompts(options.data / "tokenizer.json"))
    for name, tensors in (("atelier-mini", model_tensors(model)),
                          ("atelier-mini-taef1", autoencoder_tensors(encode.load(options.autoencoder)))):
        path = options.out / f"{name}.safetensors"
        save_file(tensors, path)
        print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}")


if __name__ == "__main__":
    main()
