"""A transposed convolution whose bias is added apart is the one of torch."""

import torch
from torch import nn

from sparring.nn.layers import ConvTranspose2d


def test_values_and_slopes_are_those_of_torch_in_bfloat16_and_bits_in_float32() -> None:
    ours, theirs = ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1), nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(5, 4, 7, 7)
    assert torch.equal(ours(x), theirs(x))
    found = []
    for layer in (ours, theirs):
        with torch.autocast("cpu", torch.bfloat16):
            made = layer(x)
        slopes = torch.autograd.grad(made.float().square().mean(), list(layer.parameters()))
        found.append((made.detach(), *slopes))
    for mine, other in zip(*found, strict=True):
        assert mine.dtype == other.dtype
        assert torch.allclose(mine.float(), other.float(), rtol=0.02, atol=0.01 * float(other.abs().max()))
