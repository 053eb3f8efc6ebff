"""What a decoder's output says of a sample: p(x | z) per pixel, and what x is taken to be.

Every `log_density` is elementwise, in nats; a sample's is their sum. The mean over pixels instead would make the
divergence from the prior as many times too heavy as there are pixels.
"""

from __future__ import annotations

import math
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

HALF_BIN = 1 / 255
"""Of a pixel's 256 values in [-1, 1]."""


class Likelihood(Protocol):
    """One of the three below: an `nn.Module` with these."""

    name: str

    def observe(self, x: Tensor) -> Tensor:
        """What is modelled of samples in the data's range."""
        ...

    def log_density(self, out: Tensor, x: Tensor) -> Tensor:
        """The decoder's output, what was observed (broadcast) -> elementwise log p, nats."""
        ...

    def mean(self, out: Tensor) -> Tensor:
        """E[x] in the data's range."""
        ...

    def offset(self, mean: Tensor) -> Tensor:
        """The output that says that the mean of what is observed is this."""
        ...


class Bernoulli(nn.Module):
    """Pixels are probabilities of white: bits are drawn anew each time they are looked at. Output: logits.

    Grey values put into a cross-entropy without drawing give a number that is no likelihood of anything.
    """

    name = "bernoulli"

    def observe(self, x: Tensor) -> Tensor:
        """[-1, 1] -> 0 or 1. Burda et al. 2016, section 5."""
        return torch.bernoulli((x + 1).mul(0.5).clamp_(0, 1))

    def log_density(self, out: Tensor, x: Tensor) -> Tensor:
        """Of 0 or 1: the logarithm of sigmoid(logit) or of 1 - sigmoid(logit)."""
        return logsigmoid(out * (2 * x - 1))

    def mean(self, out: Tensor) -> Tensor:
        """The probabilities, as grey values."""
        return torch.tanh(out / 2)

    def offset(self, mean: Tensor) -> Tensor:
        """The logit of the mean bit; none is taken to be surer than 1 in 1,000."""
        return torch.logit(mean, 1e-3)


class DiscretisedLogistic(nn.Module):
    """Probabilities of the 256 values of a pixel. Kingma et al. 2016, appendix; Salimans et al. 2017, equation 2.

    Output: means. One width for all pixels, learnt, or fixed where `scale` > 0.
    """

    name = "logistic"

    def __init__(self, scale: float = 0.0) -> None:
        super().__init__()
        self.log_scale = log_scale(scale, -2.0)

    def observe(self, x: Tensor) -> Tensor:
        """As it is."""
        return x

    def log_density(self, out: Tensor, x: Tensor) -> Tensor:
        """Of sigmoid(a) - sigmoid(b), the bin's ends: log sigmoid(a) + log sigmoid(-b) + log(1 - exp(b - a)).

        The outermost bins reach to infinity.
        """
        narrow = torch.exp(-self.log_scale)
        above, below = (x - out + HALF_BIN) * narrow, (x - out - HALF_BIN) * narrow
        upper, lower = logsigmoid(above), logsigmoid(-below)
        inside = torch.log(-torch.expm1(-2 * HALF_BIN * narrow))
        edge = 1 - HALF_BIN
        return torch.where(x < -edge, upper, torch.where(x > edge, lower, upper + lower + inside))

    def mean(self, out: Tensor) -> Tensor:
        """The means, within the range."""
        return out.clamp(-1, 1)

    def offset(self, mean: Tensor) -> Tensor:
        """Itself."""
        return mean


class Gaussian(nn.Module):
    """A density with one standard deviation for all pixels: learnt (Rybkin et al. 2021), or fixed where `scale` > 0.

    Output: means. `bounded` keeps them in [-1, 1] when they are shown: pictures, not points.
    """

    name = "gaussian"

    def __init__(self, scale: float = 0.0, bounded: bool = True) -> None:
        super().__init__()
        self.log_scale, self.bounded = log_scale(scale, -1.0), bounded

    def observe(self, x: Tensor) -> Tensor:
        """As it is."""
        return x

    def log_density(self, out: Tensor, x: Tensor) -> Tensor:
        """Of N(x; out, scale^2)."""
        away = (x - out) * torch.exp(-self.log_scale)
        return -0.5 * away.square() - self.log_scale - 0.5 * math.log(2 * math.pi)

    def mean(self, out: Tensor) -> Tensor:
        """The means."""
        return out.clamp(-1, 1) if self.bounded else out

    def offset(self, mean: Tensor) -> Tensor:
        """Itself."""
        return mean


Name = Literal["bernoulli", "logistic", "gaussian"]


def likelihood_of(name: Name, scale: float, bounded: bool) -> Likelihood:
    """The one of that name; `bounded`: of pictures."""
    match name:
        case "bernoulli":
            return Bernoulli()
        case "logistic":
            return DiscretisedLogistic(scale)
        case "gaussian":
            return Gaussian(scale, bounded)


def log_scale(scale: float, first: float) -> nn.Parameter:
    """A parameter that begins at `first`; or one that never moves."""
    if scale > 0:
        return nn.Parameter(torch.tensor(math.log(scale)), requires_grad=False)
    return nn.Parameter(torch.tensor(first))
