"""Networks whose weights others have published, written here so that the files can be loaded: for features only.

Names of modules are those of the files. Every forward gives (features, logits).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Seen = tuple[Tensor, Tensor]


class LeNet(nn.Module):
    """(N, 1, 32, 32) in [0, 1] -> (N, 84), (N, 10). LeCun et al. 1998, with ReLU and max pooling."""

    def __init__(self) -> None:
        super().__init__()
        convs = {"c1": nn.Conv2d(1, 6, 5), "c3": nn.Conv2d(6, 16, 5), "c5": nn.Conv2d(16, 120, 5)}
        self.convnet = nn.ModuleDict(convs)
        self.fc = nn.ModuleDict({"f6": nn.Linear(120, 84), "f7": nn.Linear(84, 10)})

    def forward(self, x: Tensor) -> Seen:
        """As the class says."""
        x = F.max_pool2d(F.relu(self.convnet["c1"](x)), 2)
        x = F.max_pool2d(F.relu(self.convnet["c3"](x)), 2)
        features = F.relu(self.fc["f6"](F.relu(self.convnet["c5"](x)).flatten(1)))
        return features, self.fc["f7"](features)


class _Residual(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        stride = 1 if before == after else 2
        self.conv1, self.bn1 = nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after)
        self.conv2, self.bn2 = nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after)
        self.added = (after - before) // 2

    def forward(self, x: Tensor) -> Tensor:
        h = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.added:  # option A: every other pixel, and channels of zeros
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.added, self.added))
        return F.relu(h + x)


class CifarResNet(nn.Module):
    """(N, 3, 32, 32) normalised as ImageNet -> (N, 64), (N, 10). He et al. 2016, section 4.2: depth = 6 blocks + 2."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        for number, (before, after) in enumerate(((16, 16), (16, 32), (32, 64)), 1):
            first = [_Residual(before, after)]
            setattr(
                self, f"layer{number}", nn.Sequential(*first, *(_Residual(after, after) for _ in range(blocks - 1)))
            )
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Seen:
        """As the class says."""
        h = F.relu(self.bn1(self.conv1(x)))
        features = self.layer3(self.layer2(self.layer1(h))).mean((2, 3))  # type: ignore[operator]
        return features, self.linear(features)


class _Fire(nn.Module):
    def __init__(self, before: int, squeezed: int, after: int) -> None:
        super().__init__()
        self.a = nn.Conv2d(before, squeezed, 1)
        self.b = nn.Conv2d(squeezed, after // 2, 1)
        self.c = nn.Conv2d(squeezed, after // 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.a(x))
        return F.relu(torch.cat([self.b(h), self.c(h)], 1))


class SqueezeNet(nn.Module):
    """(N, 3, 227, 227) BGR, 0..255 minus the mean -> (N, 512), (N, 1000). Iandola et al. 2016, version 1.0."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 7, 2)
        sizes = [(96, 16, 128), (128, 16, 128), (128, 32, 256), (256, 32, 256), (256, 48, 384), (384, 48, 384),
                 (384, 64, 512), (512, 64, 512)]  # fmt: skip
        self.fire = nn.ModuleList(_Fire(*size) for size in sizes)
        self.conv10 = nn.Conv2d(512, 1000, 1)

    def layers(self, x: Tensor) -> list[Tensor]:
        """Maps of 96, 256, 512 and 512 channels: each that is pooled next, and the last."""
        x = F.relu(self.conv1(x))
        maps = [x]
        for number, fire in enumerate(self.fire):
            if number in (0, 3, 7):
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            x = fire(x)
            if number in (2, 6, 7):
                maps.append(x)
        return maps

    def forward(self, x: Tensor) -> Seen:
        """As the class says."""
        x = self.layers(x)[-1]
        return x.mean((2, 3)), F.relu(self.conv10(x)).mean((2, 3))


class _Conv(nn.Module):
    def __init__(
        self, before: int, after: int, kernel: int | tuple[int, int], stride: int = 1, same: bool = True
    ) -> None:
        super().__init__()
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (sides[0] // 2, sides[1] // 2) if same else 0
        self.conv = nn.Conv2d(before, after, sides, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(after, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


Pool = Callable[[Tensor], Tensor]


def _average(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)  # as TensorFlow pads


def _maximum(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, 1, 1)


class _A(nn.Module):
    def __init__(self, before: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = _Conv(before, 64, 1)
        self.branch5x5_1, self.branch5x5_2 = _Conv(before, 48, 1), _Conv(48, 64, 5)
        self.branch3x3dbl_1, self.branch3x3dbl_2, self.branch3x3dbl_3 = (
            _Conv(before, 64, 1),
            _Conv(64, 96, 3),
            _Conv(96, 96, 3),
        )
        self.branch_pool = _Conv(before, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        parts = [
            self.branch1x1(x),
            self.branch5x5_2(self.branch5x5_1(x)),
            self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
            self.branch_pool(_average(x)),
        ]
        return torch.cat(parts, 1)


class _B(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branch3x3 = _Conv(288, 384, 3, 2, same=False)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _Conv(288, 64, 1), _Conv(64, 96, 3)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, 2, same=False)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, 2)], 1)


class _C(nn.Module):
    def __init__(self, inner: int) -> None:
        super().__init__()
        self.branch1x1 = _Conv(768, 192, 1)
        self.branch7x7_1, self.branch7x7_2 = _Conv(768, inner, 1), _Conv(inner, inner, (1, 7))
        self.branch7x7_3 = _Conv(inner, 192, (7, 1))
        self.branch7x7dbl_1, self.branch7x7dbl_2 = _Conv(768, inner, 1), _Conv(inner, inner, (7, 1))
        self.branch7x7dbl_3, self.branch7x7dbl_4 = _Conv(inner, inner, (1, 7)), _Conv(inner, inner, (7, 1))
        self.branch7x7dbl_5 = _Conv(inner, 192, (1, 7))
        self.branch_pool = _Conv(768, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        parts = [
            self.branch1x1(x),
            self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x))),
            self.branch7x7dbl_5(self.branch7x7dbl_4(double)),
            self.branch_pool(_average(x)),
        ]
        return torch.cat(parts, 1)


class _D(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = _Conv(768, 192, 1), _Conv(192, 320, 3, 2, same=False)
        self.branch7x7x3_1, self.branch7x7x3_2 = _Conv(768, 192, 1), _Conv(192, 192, (1, 7))
        self.branch7x7x3_3, self.branch7x7x3_4 = _Conv(192, 192, (7, 1)), _Conv(192, 192, 3, 2, same=False)

    def forward(self, x: Tensor) -> Tensor:
        long = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([self.branch3x3_2(self.branch3x3_1(x)), long, F.max_pool2d(x, 3, 2)], 1)


class _E(nn.Module):
    def __init__(self, before: int, pool: Pool) -> None:
        super().__init__()
        self.pool = pool
        self.branch1x1 = _Conv(before, 320, 1)
        self.branch3x3_1 = _Conv(before, 384, 1)
        self.branch3x3_2a, self.branch3x3_2b = _Conv(384, 384, (1, 3)), _Conv(384, 384, (3, 1))
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _Conv(before, 448, 1), _Conv(448, 384, 3)
        self.branch3x3dbl_3a, self.branch3x3dbl_3b = _Conv(384, 384, (1, 3)), _Conv(384, 384, (3, 1))
        self.branch_pool = _Conv(before, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        single, double = self.branch3x3_1(x), self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        parts = [
            self.branch1x1(x),
            self.branch3x3_2a(single),
            self.branch3x3_2b(single),
            self.branch3x3dbl_3a(double),
            self.branch3x3dbl_3b(double),
            self.branch_pool(self.pool(x)),
        ]
        return torch.cat(parts, 1)


class FidInception(nn.Module):
    """(N, 3, 299, 299) in [-1, 1] -> (N, 2048), (N, 1008): the graph that FID is defined by. Szegedy et al. 2016.

    It differs from the published network in its pooling (padding does not count; the last block takes the maximum),
    as the file of 2015-12-05 was trained.
    """

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Conv(3, 32, 3, 2, same=False)
        self.Conv2d_2a_3x3, self.Conv2d_2b_3x3 = _Conv(32, 32, 3, same=False), _Conv(32, 64, 3)
        self.Conv2d_3b_1x1, self.Conv2d_4a_3x3 = _Conv(64, 80, 1), _Conv(80, 192, 3, same=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _A(192, 32), _A(256, 64), _A(288, 64)
        self.Mixed_6a = _B()
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = _C(128), _C(160), _C(160), _C(192)
        self.Mixed_7a, self.Mixed_7b, self.Mixed_7c = _D(), _E(1280, _average), _E(2048, _maximum)
        self.fc = nn.Linear(2048, 1008)

    def forward(self, x: Tensor) -> Seen:
        """As the class says. Logits without the bias, as the inception score has always been computed."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, 2))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        features = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))).mean((2, 3))
        return features, F.linear(features, self.fc.weight)
