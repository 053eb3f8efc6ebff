"""The convolutional networks of the tutorials and of Radford et al. 2016, layer by layer."""

from __future__ import annotations

from torch import Tensor, nn

from sparring.nn.layers import ConvTranspose2d, normal_init

LEAK = 0.2


class Pair(nn.Module):
    """A network of the latent, or of a picture, that ignores labels: the classics are unconditional."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """As the class says; `label` is not looked at."""
        out: Tensor = self.layers(x)
        return out.squeeze(1) if out.ndim == 2 else out  # (N, 1) -> (N,) scores


def keras_norm(channels: int) -> nn.Module:
    """Batch norm of momentum .8 in Keras' convention, where that is the share of the old average that is kept."""
    return nn.BatchNorm2d(channels, momentum=0.2)


def upsampling_generator(latent: int) -> nn.Module:
    """(N, latent) -> (N, 1, 28, 28). Dense 128x7x7; twice: upsample, 3x3 convolution, ReLU, batch norm .8.

    The tutorial ends in a ReLU on data in [-1, 1], which can make no black; tanh is meant.
    """
    return Pair(
        nn.Linear(latent, 128 * 7 * 7), nn.ReLU(), nn.Unflatten(1, (128, 7, 7)),
        nn.Upsample(scale_factor=2), nn.Conv2d(128, 128, 3, padding=1), nn.ReLU(), keras_norm(128),
        nn.Upsample(scale_factor=2), nn.Conv2d(128, 64, 3, padding=1), nn.ReLU(), keras_norm(64),
        nn.Conv2d(64, 1, 3, padding=1), nn.Tanh(),
    )  # fmt: skip


def dropout_discriminator() -> nn.Module:
    """(N, 1, 28, 28) -> (N,). 3x3 convolutions 32-64-128-256, the last of stride 1; dropout .25, batch norm .8."""

    def block(before: int, after: int, stride: int) -> list[nn.Module]:
        return [nn.Conv2d(before, after, 3, stride, 1), keras_norm(after), nn.LeakyReLU(LEAK), nn.Dropout(0.25)]

    pad = nn.ZeroPad2d((0, 1, 0, 1))  # 7 -> 8, bottom and right, as in the tutorial, between convolution and norm
    first = [nn.Conv2d(1, 32, 3, 2, 1), nn.LeakyReLU(LEAK), nn.Dropout(0.25)]
    second = [
        nn.Conv2d(32, 64, 3, 2, 1),
        pad,
        keras_norm(64),
        nn.LeakyReLU(LEAK),
        nn.Dropout(0.25),
    ]
    rest = [*block(64, 128, 2), *block(128, 256, 1)]
    return Pair(*first, *second, *rest, nn.Flatten(), nn.Linear(256 * 4 * 4, 1))


def transposed_generator(latent: int) -> nn.Module:
    """(N, latent) -> (N, 3, 64, 64). Dense 128x8x8, transposed 4x4 convolutions 128-64-3, tanh.

    The tutorial has no activations in between, which makes it linear; batch norm and ReLU are added (Radford 2016).
    """
    return Pair(
        nn.Linear(latent, 128 * 8 * 8), nn.Unflatten(1, (128, 8, 8)), nn.BatchNorm2d(128), nn.ReLU(),
        ConvTranspose2d(128, 128, 4, 2, 1), nn.BatchNorm2d(128), nn.ReLU(),
        ConvTranspose2d(128, 64, 4, 2, 1), nn.BatchNorm2d(64), nn.ReLU(),
        ConvTranspose2d(64, 3, 4, 2, 1), nn.Tanh(),
    )  # fmt: skip


def strided_discriminator() -> nn.Module:
    """(N, 3, 64, 64) -> (N,). 4x4 convolutions 64-128-256 of stride 2, flat, dense.

    The tutorial has no activations and a sigmoid in front of a loss that takes raw scores: leaky ReLU, no sigmoid.
    """
    return Pair(
        nn.Conv2d(3, 64, 4, 2, 1), nn.LeakyReLU(LEAK),
        nn.Conv2d(64, 128, 4, 2, 1), nn.LeakyReLU(LEAK),
        nn.Conv2d(128, 256, 4, 2, 1), nn.LeakyReLU(LEAK),
        nn.Flatten(), nn.Linear(256 * 8 * 8, 1),
    )  # fmt: skip


def radford_generator(latent: int, channels: int) -> nn.Module:
    """(N, latent) -> (N, channels, 64, 64). Radford et al. 2016, figure 1: 4x4x1024, 512-256-128, 5x5, stride 2."""

    def up(before: int, after: int) -> list[nn.Module]:
        conv = ConvTranspose2d(before, after, 5, 2, 2, output_padding=1, bias=False)
        return [conv, nn.BatchNorm2d(after), nn.ReLU()]

    out = ConvTranspose2d(128, channels, 5, 2, 2, output_padding=1)
    project = [nn.Linear(latent, 1024 * 4 * 4), nn.Unflatten(1, (1024, 4, 4)), nn.BatchNorm2d(1024), nn.ReLU()]
    network = Pair(*project, *up(1024, 512), *up(512, 256), *up(256, 128), out, nn.Tanh())
    return network.apply(normal_init(0.02))


def radford_discriminator(channels: int) -> nn.Module:
    """(N, channels, 64, 64) -> (N,): the mirror image; batch norm except in the first layer, leaky ReLU .2."""

    def down(before: int, after: int) -> list[nn.Module]:
        return [nn.Conv2d(before, after, 5, 2, 2, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(LEAK)]

    first = [nn.Conv2d(channels, 128, 5, 2, 2), nn.LeakyReLU(LEAK)]
    head = [nn.Flatten(), nn.Linear(1024 * 4 * 4, 1)]
    network = Pair(*first, *down(128, 256), *down(256, 512), *down(512, 1024), *head)
    return network.apply(normal_init(0.02))
