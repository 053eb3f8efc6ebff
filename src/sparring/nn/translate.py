"""Networks from pictures to pictures, critics of their patches, and a pool of what was made before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize, one_hot

from sparring.config import UserError
from sparring.nn.layers import ConvTranspose2d, normal_init, spectral_norm

Norm = Callable[[int], nn.Module]
"""Channels -> a layer."""


def norm(channels: int) -> nn.Module:
    """Instance normalisation without weights and running statistics: a picture is treated alike in any batch."""
    return nn.InstanceNorm2d(channels)


NORMS: Mapping[str, Norm] = {"instance": norm, "batch": nn.BatchNorm2d, "none": lambda channels: nn.Identity()}


def depth(height: int, width: int, most: int, smallest: int = 4) -> int:
    """How often both sides can be halved, at most `most` times, and stay whole and at least `smallest`."""
    count = 0
    while count < most and height % 2 == width % 2 == 0 and min(height, width) // 2 >= smallest:
        height, width, count = height // 2, width // 2, count + 1
    return count


class Translator(nn.Module):
    """Down, residual blocks, up: (N, C, H, W) -> (N, D, H, W) in [-1, 1]. Johnson et al. 2016; Zhu et al. 2017, 7.2.

    c7s1-w, twice down, `blocks` x R, twice up, c7s1-D; reflection padding, instance normalisation, tanh. Small pictures
    are halved as often as leaves 8 pixels a side, and 7x7 is 5x5 below 32. `skip` adds the input to what tanh gets,
    which suits domains that share their shapes. `resize` goes up by nearest neighbours and a convolution, which leaves
    no grid behind as transposed ones may (Odena et al. 2016).
    """

    def __init__(
        self,
        source: Sequence[int],
        image: Sequence[int],
        width: int = 64,
        blocks: int = 6,
        skip: bool = False,
        resize: bool = False,
    ) -> None:
        super().__init__()
        (before, height, wide), after = source, image[0]
        self.skip = skip and before == after
        downs, kernel = depth(height, wide, 2, 8), 7 if min(height, wide) >= 32 else 5
        layers: list[nn.Module] = [_same(before, width, kernel), norm(width), nn.ReLU(inplace=True)]
        for _ in range(downs):
            layers += [nn.Conv2d(width, 2 * width, 3, 2, 1), norm(2 * width), nn.ReLU(inplace=True)]
            width *= 2
        self.widths = [before]
        """Channels of what `looked` gives beside the picture it makes."""
        self.places: list[int] = []
        for place, layer in enumerate(layers):
            if isinstance(layer, nn.Conv2d) and place:
                self.places.append(place)
                self.widths.append(layer.out_channels)
        self.places += [len(layers) + block for block in sorted({0, blocks // 2}) if block < blocks]
        self.widths += [width] * (len(self.places) + 1 - len(self.widths))
        layers += [_Residual(width) for _ in range(blocks)]
        for _ in range(downs):
            if resize:
                layers += [nn.Upsample(scale_factor=2), _same(width, width // 2, 3)]
            else:
                layers += [ConvTranspose2d(width, width // 2, 3, 2, 1, 1)]
            layers += [norm(width // 2), nn.ReLU(inplace=True)]
            width //= 2
        self.body = nn.Sequential(*layers, _same(width, after, kernel))
        self.apply(normal_init(0.02))

    @property
    def last(self) -> nn.Conv2d | nn.ConvTranspose2d:
        """The layer that gives the picture."""
        found = self.body[-1]
        assert isinstance(found, nn.Conv2d)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        out: Tensor = self.body(x)
        return self._bounded(x, out)

    def looked(self, x: Tensor, made: bool = True) -> tuple[Tensor, list[Tensor]]:
        """What it makes, and the maps on the way: x, those after each halving, of the first and the middle block.

        With `made` off it stops at the last of the maps and gives x for the picture.
        """
        h, maps = x, [x]
        for place, layer in enumerate(self.body):
            h = layer(h)
            if place in self.places:
                maps.append(h)
                if not made and len(maps) == len(self.widths):
                    return x, maps
        return self._bounded(x, h), maps

    def _bounded(self, x: Tensor, out: Tensor) -> Tensor:
        return torch.tanh(out + 2 * x if self.skip else out)


class PatchContrast(nn.Module):
    """How far the patches of two pictures are from being told to be at the same place. Park et al. 2020, equation 3.

    At random places, each map of the one picture must be nearest to the same place of the other among all places of
    that picture: cross-entropy of cosines over `temperature` after a network of two layers, the mean over maps.
    """

    def __init__(
        self, widths: Sequence[int], features: int = 256, places: int = 256, temperature: float = 0.07
    ) -> None:
        super().__init__()
        self.places, self.temperature = places, temperature
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(width, features), nn.ReLU(), nn.Linear(features, features)) for width in widths
        )
        self.apply(normal_init(0.02))

    def forward(self, made: Sequence[Tensor], source: Sequence[Tensor]) -> Tensor:
        """(N, C, H, W) maps of each -> scalar. The source's are constants."""
        losses = []
        for head, query, key in zip(self.heads, made, source, strict=True):
            count = query.shape[2] * query.shape[3]
            rows = torch.randperm(count, device=query.device)[: self.places]
            q, k = (normalize(head(maps.float().flatten(2)[..., rows].mT), dim=2) for maps in (query, key.detach()))
            cosines = q @ k.detach().mT / self.temperature  # (N, places, places)
            truth = torch.arange(len(rows), device=q.device).expand(len(q), -1)
            losses.append(cross_entropy(cosines.flatten(0, 1), truth.flatten()))
        return torch.stack(losses).mean()


def _same(before: int, after: int, kernel: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, kernel, padding=kernel // 2, padding_mode="reflect")


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _same(width, width, 3), norm(width), nn.ReLU(inplace=True), _same(width, width, 3), norm(width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)  # type: ignore[no-any-return]


class UNet(nn.Module):
    """Down to the smallest map and up again, with every map of the way down beside its equal on the way up.

    (N, C, H, W) -> (N, D, H, W) in [-1, 1]. Isola et al. 2017, 6.1.1: 4x4 convolutions of stride 2, dropout in the
    innermost layers up, which is the only noise, also when samples are drawn. With `fine`, maps of full size too, as
    Ronneberger et al. 2015 have them: two 3x3 convolutions before the first halving and three after the last doubling.
    """

    def __init__(
        self,
        source: Sequence[int],
        image: Sequence[int],
        width: int = 64,
        dropout: float = 0.5,
        normal: Norm = norm,
        fine: bool = False,
    ) -> None:
        super().__init__()
        before, height, wide = source
        levels = depth(height, wide, 8, 1)
        if levels < 1:
            raise UserError(f"a U-Net halves pictures, and {height}x{wide} cannot be: --size, a power of 2 best")
        widths = [min(8, 2**level) * width for level in range(levels)]
        self.first: nn.Module | None = None
        if fine:
            self.first = nn.Sequential(*_twice(before, width, normal))
            self.final = nn.Sequential(*_twice(2 * width, width, normal), nn.Conv2d(width, image[0], 3, 1, 1))
            before = width
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for level, after in enumerate(widths):
            inner = level == levels - 1
            normed = [] if level == 0 or inner else [normal(after)]
            self.down.append(
                nn.Sequential(*([nn.LeakyReLU(0.2)] if level else []), nn.Conv2d(before, after, 4, 2, 1), *normed)
            )
            out = widths[level - 1] if level else width if fine else image[0]
            self.up.append(
                nn.Sequential(
                    nn.ReLU(),
                    ConvTranspose2d(after if inner else 2 * after, out, 4, 2, 1),
                    *([normal(out)] if level else []),
                    *([AlwaysDropout(dropout)] if level and level >= levels - 3 else []),
                )
            )
            before = after
        self.apply(normal_init(0.02))

    @property
    def last(self) -> nn.Conv2d | nn.ConvTranspose2d:
        """The layer that gives the picture."""
        if self.first is not None:
            return self.final[-1]  # type: ignore[return-value]
        return next(m for m in self.up[0].modules() if isinstance(m, nn.ConvTranspose2d))

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        maps, whole = [], None if self.first is None else self.first(x)
        x = x if whole is None else whole
        for down in self.down:
            x = down(x)
            maps.append(x)
        for level in reversed(range(len(maps))):
            x = self.up[level](x if level == len(maps) - 1 else torch.cat([x, maps[level]], 1))
        return torch.tanh(x if whole is None else self.final(torch.cat([whole, x], 1)))


def _twice(before: int, after: int, normal: Norm) -> list[nn.Module]:
    """Two 3x3 convolutions."""
    layers: list[nn.Module] = []
    for width in (before, after):
        layers += [nn.Conv2d(width, after, 3, 1, 1), normal(after), nn.ReLU(inplace=True)]
    return layers


class Kept(nn.Module):
    """A translator that changes only a share of each pixel: it begins as nearly the identity.

    `body` makes (N, C + 1, H, W) of (N, C, H, W), both in [-1, 1]; the last channel says how much of a pixel is new.
    As the attention masks of Pumarola et al. 2018 (GANimation), section 4.1.
    """

    def __init__(self, body: Translator | UNet) -> None:
        super().__init__()
        self.body = body
        last = body.last
        with torch.no_grad():  # nothing is new at the start, whatever the network
            (last.weight[-1] if isinstance(last, nn.Conv2d) else last.weight[:, -1]).zero_()
            if last.bias is not None:
                last.bias[-1] = 0

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        out = self.body(x)
        new = torch.sigmoid(8 * out[:, -1:] - 3)  # .05 where the network says nothing yet
        made: Tensor = x + new * (out[:, :-1] - x)
        return made


class AlwaysDropout(nn.Module):
    """Drops in evaluation too: pix2pix has no other noise."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        return nn.functional.dropout(x, self.share, training=True) if self.share else x

    def settled(self) -> nn.Module:
        """Nothing: what it does on average."""
        return nn.Identity()


class PatchCritic(nn.Module):
    """(N, C, H, W) -> (N, 1, h, w): a score of every patch. Isola et al. 2017, 6.1.2.

    `layers` strided 4x4 convolutions, then two of stride 1: patches of 16, 34 or 70 pixels for 1, 2, 3 of them; fewer
    where the pictures are small. `normalised` by `normal`, `spectral` by the norm of the weights.
    """

    def __init__(
        self,
        shape: Sequence[int],
        width: int = 64,
        layers: int = 3,
        normalised: bool = True,
        spectral: bool = False,
        normal: Norm = norm,
    ) -> None:
        super().__init__()
        before, height, wide = shape
        strided = max(1, depth(height, wide, layers, 4))
        body: list[nn.Module] = []
        for level in range(strided + 1):
            after = min(8, 2**level) * width
            body.append(nn.Conv2d(before, after, 4, 2 if level < strided else 1, 1))
            body += [normal(after)] if normalised and level else []
            body.append(nn.LeakyReLU(0.2, inplace=True))
            before = after
        self.body = nn.Sequential(*body, nn.Conv2d(before, 1, 4, 1, 1))
        self.apply(normal_init(0.02))
        for layer in self.body if spectral else ():
            if isinstance(layer, nn.Conv2d):
                spectral_norm(layer)

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        out: Tensor = self.body(x)
        return out

    def maps(self, x: Tensor) -> list[Tensor]:
        """What each layer makes of it, the scores last."""
        found = []
        for layer in self.body:
            x = layer(x)
            if isinstance(layer, nn.LeakyReLU):
                found.append(x)
        return [*found, x]


class ToDomain(nn.Module):
    """A translator that is told the domain: (N, C, H, W), (N,) -> (N, C, H, W). Choi et al. 2018, section 3.1.

    The domain joins the picture as one-hot channels; none is domain 0. No norm after the first convolution: it
    would take away what is the same at every place, and so the domain.
    """

    def __init__(self, shape: Sequence[int], domains: int, width: int = 64, blocks: int = 6) -> None:
        super().__init__()
        channels, *sides = shape
        self.domains = domains
        self.body = Translator((channels + domains, *sides), shape, width, blocks)
        self.body.body[1] = nn.Identity()

    def forward(self, x: Tensor, domain: Tensor | None = None) -> Tensor:
        """As the class says."""
        domain = x.new_zeros(x.shape[0], dtype=torch.int64) if domain is None else domain
        planes = one_hot(domain, self.domains).to(x.dtype)[:, :, None, None].expand(-1, -1, *x.shape[2:])
        out: Tensor = self.body(torch.cat([x, planes], 1))
        return out


class DomainCritic(nn.Module):
    """(N, C, H, W) -> a score of every patch (N, 1, h, w), and logits of the domain (N, domains), from one body."""

    def __init__(
        self, shape: Sequence[int], domains: int, width: int = 64, layers: int = 3, normalised: bool = True
    ) -> None:
        super().__init__()
        whole = PatchCritic(shape, width, layers, normalised).body
        self.body, self.score = whole[:-1], whole[-1]
        with torch.no_grad():
            _, maps, *sides = self.body(torch.zeros(1, *shape)).shape
        self.domain = nn.Conv2d(maps, domains, sides)
        self.domain.apply(normal_init(0.02))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """As the class says."""
        h = self.body(x)
        return self.score(h), self.domain(h).flatten(1)


class Pool(nn.Module):
    """The last fakes, of which critics see up to half instead of fresh ones. Shrivastava et al. 2017, section 2.3.

    State: a run that is resumed must find the pool as it was. `mixed` moves nothing; `keep`, called after the step,
    puts in what it chose.
    """

    pictures: Tensor
    filled: Tensor

    def __init__(self, shape: Sequence[int], size: int = 50) -> None:
        super().__init__()
        self.register_buffer("pictures", torch.zeros(size, *shape))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))
        self._next: tuple[Tensor, Tensor] | None = None

    def mixed(self, fakes: Tensor) -> Tensor:
        """(N, C, H, W) -> the same number: all of them while the pool is not full, then half of them from the pool."""
        size, fakes = len(self.pictures), fakes.detach().float()
        if size == 0:
            return fakes
        filled = int(self.filled)
        if filled < size:
            fresh = fakes[: size - filled]
            self._next = fresh, torch.arange(filled, filled + len(fresh))
            return fakes
        places = torch.randperm(size)[: len(fakes)]
        rows = (torch.rand(len(places)) < 0.5).nonzero().squeeze(1)
        out, where = fakes.clone(), places[rows]
        out[rows] = self.pictures[where]
        self._next = fakes[rows], where
        return out

    def keep(self) -> None:
        """Put in what `mixed` chose."""
        if self._next is None:
            return
        fresh, where = self._next
        self.pictures[where] = fresh
        if int(self.filled) < len(self.pictures):
            self.filled += len(fresh)
        self._next = None
