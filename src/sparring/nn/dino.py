"""DINOv2's vision transformers, written so that the published files can be loaded. Oquab et al. 2024.

Dosovitskiy et al. 2021, section 3.1, with LayerScale (Touvron et al. 2021, section 2). Names of modules are those of
the files. What judges look at is the normalised class token, as in Stein et al. 2023.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PATCH, GRID, HEAD, EPSILON = 14, 37, 64, 1e-6
"""Pixels of a patch; patches a side that the positions were learnt for (518 pixels); width of a head; of the norms."""
_OFFSET = 0.1
"""Added to the number of patches when positions are interpolated, as in training."""


class _Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = width // HEAD
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).unflatten(2, (3, self.heads, HEAD)).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.proj(seen.transpose(1, 2).flatten(2))
        return out


class _Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class _Scale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.attn, self.ls1 = nn.LayerNorm(width, EPSILON), _Attention(width), _Scale(width)
        self.norm2, self.mlp, self.ls2 = nn.LayerNorm(width, EPSILON), _Mlp(width), _Scale(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        out: Tensor = x + self.ls2(self.mlp(self.norm2(x)))
        return out


class _Patches(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, PATCH)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.proj(x).flatten(2).mT
        return out


class DinoV2(nn.Module):
    """(N, 3, H, W) normalised as ImageNet, sides whole multiples of 14 -> (N, width), None: it names no classes."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + GRID * GRID, width))
        self.mask_token = nn.Parameter(torch.zeros(1, width))  # in the files; only training reads it
        self.patch_embed = _Patches(width)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width, EPSILON)

    def positions(self, height: int, width: int) -> Tensor:
        """(1, 1 + height x width, d) for so many patches."""
        first, rest = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        if (height, width) == (GRID, GRID):
            return self.pos_embed
        grid = rest.mT.reshape(1, -1, GRID, GRID)
        scale = ((height + _OFFSET) / GRID, (width + _OFFSET) / GRID)
        grid = F.interpolate(grid, scale_factor=scale, mode="bicubic")
        return torch.cat([first, grid.flatten(2).mT], 1)

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """As the class says."""
        height, width = x.shape[2] // PATCH, x.shape[3] // PATCH
        h = torch.cat([self.cls_token.expand(len(x), -1, -1), self.patch_embed(x)], 1) + self.positions(height, width)
        for block in self.blocks:
            h = block(h)
        return self.norm(h)[:, 0], None
