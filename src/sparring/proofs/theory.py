"""Objectives against closed forms: the divergences between known distributions, and Arjovsky's two lines."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from sparring.engine import Train, train
from sparring.game import Batch, Game, Loss, Player, linear_decay
from sparring.objectives import DIVERGENCES, Divergence, wasserstein
from sparring.optimizers import Adam
from sparring.penalties import gradient_penalty
from sparring.proofs import draw
from sparring.proofs.line import Curve, Mixture, bound, draws, exact, gaussian
from sparring.proofs.record import Claim, Effort, Result, of_claims

DISTANCES = (0.1, 0.25, 0.5, 1.0, 2.0)
SHOWN = ("minimax", "non-saturating", "least-squares", "hinge", "relativistic", "kl", "reverse-kl")
P, Q = gaussian(0.0, 1.0), gaussian(0.8, 1.0)


def critic_only(network: Curve, loss: Callable[[Tensor, Tensor], dict[str, Tensor]], lr: float = 2e-3) -> Game:
    """One player, who measures and meets no opponent."""
    optimizer = Adam(lr, 0.5, 0.99).over(network.parameters())

    def both(batch: Batch) -> Loss:
        return Loss(loss(batch["real"], batch["fake"]))

    decay = linear_decay([optimizer], 0.3, 0.0)
    return Game({"critic": network}, [Player("critic", both, optimizer)], on_round=decay)


def measured(divergence: Divergence, p: Mixture, q: Mixture, seed: int, rounds: int, squash: bool = False) -> float:
    """The divergence that a trained function reports."""
    torch.manual_seed(seed)
    network, objective = Curve(squash=squash), divergence.objective()

    def loss(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        return {"objective": objective.discriminator(network(real), network(fake)).mean()}

    train(critic_only(network, loss), draws(seed, 2048, real=p.sample, fake=q.sample), Train(rounds, seed))
    return bound(divergence, network, p, q)


def objectives(seeds: int, effort: Effort) -> Result:
    """Every f-divergence between two Gaussians, trained against integrated."""
    rounds = 4000 if effort == "full" else 1500
    claims = []
    for name, divergence in DIVERGENCES.items():
        truth = exact(divergence, P, Q)
        values = [measured(divergence, P, Q, seed, rounds) for seed in range(seeds)]
        within = 0.02 * abs(truth)
        claims.append(Claim(name, "trained bound", values, truth - within, truth + within, f"{truth:.4f} within 2 %"))
    truth = exact(DIVERGENCES["kl"], P, Q)
    values = [measured(DIVERGENCES["kl"], P, Q, seed, rounds, squash=True) for seed in range(seeds)]
    low, high = 0.98 * truth, 1.02 * truth
    claims.append(
        Claim("kl, a sigmoid before the activation", "trained bound", values, low, high, "must miss", control=True)
    )
    text = (
        "P = N(0, 1), Q = N(0.8, 1): of equal width, so that both chi-squared have tails of their own. A network of "
        "1-64-64-1 tanh maximises the variational bound of Nowozin et al. 2016 on samples; the bound of the trained "
        "function and the divergence itself are integrated numerically, so nothing but training stands between them. "
        "A bound cannot exceed its divergence."
    )
    return of_claims("objectives", 100, "Every f-divergence against its exact value", text, claims)


def strip(at: float) -> Callable[[int, Generator], Tensor]:
    """Points of a vertical line of length 1 at x = `at`."""

    def sample(n: int, generator: Generator) -> Tensor:
        return torch.stack([torch.full((n,), at), torch.rand(n, generator=generator)], dim=1)

    return sample


def steepest(network: Curve, distance: float) -> float:
    """The largest slope of a critic between the two lines, on a fine grid: its Lipschitz constant there."""
    grid = torch.cartesian_prod(torch.linspace(0, distance, 201), torch.linspace(0, 1, 101)).requires_grad_()
    (slope,) = torch.autograd.grad(network(grid).sum(), grid)
    return float(slope.norm(dim=1).max().item())


def line_estimate(distance: float, seed: int, rounds: int, earth_mover: bool) -> tuple[float, float]:
    """(estimated divergence of two lines `distance` apart, mean slope that a generator would feel)."""
    torch.manual_seed(seed)
    network = Curve(inputs=2, bent=earth_mover)
    jensen = DIVERGENCES["jensen-shannon"].objective()

    def loss(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        if not earth_mover:
            return {"objective": jensen.discriminator(network(real), network(fake)).mean()}
        value = wasserstein.discriminator(network(real), network(fake)).mean()
        return {"objective": value, "penalty": 10 * gradient_penalty(network, real, fake).mean()}

    stream = draws(seed, 1024 if earth_mover else 256, real=strip(0.0), fake=strip(distance))
    train(critic_only(network, loss, 1e-3 if earth_mover else 1e-2), stream, Train(rounds, seed))
    test = next(draws(seed + 10_000, 4096, real=strip(0.0), fake=strip(distance)))
    fake = test["fake"].requires_grad_()
    scores = network(fake)
    payoff = wasserstein if earth_mover else jensen
    (slope,) = torch.autograd.grad(payoff.generator(torch.full_like(scores, torch.nan), scores).sum(), fake)
    with torch.no_grad():
        value = -payoff.discriminator(network(test["real"]), network(test["fake"])).mean().item()
    scale = steepest(network, distance) if earth_mover else 2.0  # Nowozin's Jensen-Shannon is twice the textbook's
    felt = slope[:, 0].abs().mean().item()
    return value / scale, (felt / scale if earth_mover else felt)


def lines(seeds: int, effort: Effort) -> Result:
    """Two lines that do not overlap: Jensen-Shannon is blind to their distance, Wasserstein is their distance."""
    rounds = 3000 if effort == "full" else 1000
    claims = []
    seen: dict[str, tuple[list[float], list[float]]] = {"Jensen-Shannon": ([], []), "Wasserstein": ([], [])}
    for distance in DISTANCES:
        jensen = [line_estimate(distance, seed, rounds // 3, False) for seed in range(seeds)]
        earth = [line_estimate(distance, seed, rounds, True) for seed in range(seeds)]
        case, two = f"distance {distance:g}", math.log(2)
        for (estimates, slopes), of in zip(seen.values(), (jensen, earth), strict=True):
            estimates.append(statistics.fmean(value for value, _ in of))
            slopes.append(statistics.fmean(slope for _, slope in of))
        claims += [
            Claim(case, "Jensen-Shannon", [j[0] for j in jensen], 0.99 * two, 1.01 * two, "log 2 = 0.6931 within 1 %"),
            Claim(case, "gradient under it", [j[1] for j in jensen], reference=True),
            Claim(
                case, "Wasserstein", [w[0] for w in earth], 0.97 * distance, 1.03 * distance, f"{distance:g} within 3 %"
            ),
            Claim(case, "gradient under it", [w[1] for w in earth], 0.97, 1.03, "1 within 3 %"),
        ]
    low, high = 0.97 * 2, 1.03 * 2
    blind = [line_estimate(2.0, seed, rounds // 3, False)[0] for seed in range(seeds)]
    claims.append(Claim("distance 2", "Jensen-Shannon as a distance", blind, low, high, "must miss 2", control=True))
    text = (
        "Arjovsky et al. 2017, example 1: a vertical line at 0 and one at a distance. They do not overlap, so Jensen-"
        "Shannon is log 2 wherever the second stands and its gradient dies, while the earth mover's distance is the "
        "distance and its gradient 1. The Wasserstein critic (2-64-64-1, leaky ReLU, penalty 10) is divided by "
        "its steepest slope between the lines: by Kantorovich's duality that is a lower bound of the distance for any "
        "critic. Undivided it reads 1 + d / 20 too much, since the penalty lets the slope be that much above 1."
    )
    pictures = {"lines": [draw.lines(DISTANCES, seen)], "pulls": [draw.pulls(SHOWN)]}
    return of_claims("lines", 101, "Two lines: what Jensen-Shannon cannot see", text, claims, pictures)
