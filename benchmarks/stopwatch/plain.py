"""The loops that tutorials write, for the networks of a case: float32, eager, contiguous, torch's own threads.

Two passes through D in its step, D not frozen in G's step, fakes made anew for G, `.item()` of every loss in every
step, a DataLoader over a TensorDataset of floats, Adam as it comes. Where the recipe averages, so does the loop,
parameter by parameter. Where the code that tutorials copy saves work, so does this: R3GAN's penalties use the scores
that are there already, and CycleGAN's critics the fakes of the translators' step.
"""

from __future__ import annotations

import copy
import itertools
import random
from collections.abc import Callable, Generator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from sparring.data import Source
from sparring.schedules import at
from stopwatch.cases import Case, plain_game, plan_for
from stopwatch.loop import Loop


def plain(case: Case, source: Source, seed: int = 0) -> Loop:
    """The case as a plain loop."""
    game, config = plain_game(case, source.about, seed), plan_for(case).model
    columns = source[torch.arange(len(source))]
    names = [name for name in ("source", "image") if name in columns]
    data = TensorDataset(*[columns[name].float() / 127.5 - 1 for name in names])
    loader = DataLoader(data, batch_size=case.batch, shuffle=True, drop_last=True)
    written: Mapping[str, Callable[..., Generator[dict[str, float], None, None]]] = {"r3": r3, "cyclegan": cyclegan}
    steps = written.get(case.recipe, gan)(game.modules, loader, config)

    def sample() -> Tensor:
        if case.recipe == "cyclegan":
            return game.modules["to image"](data[0][0][None])
        return game.modules["generator"](torch.randn(16, config.latent))

    return Loop(steps, sample, case.batch, dict(game.modules), {"precision": "float32"})


def adam(modules: list[nn.Module], numbers: Any) -> torch.optim.Adam:
    betas = (float(numbers.beta1), float(at(numbers.beta2, 0)))
    return torch.optim.Adam([p for m in modules for p in m.parameters()], lr=at(numbers.lr, 0), betas=betas)


def averaged(average: nn.Module, live: nn.Module, decay: float) -> None:
    with torch.no_grad():
        for mine, other in zip(average.parameters(), live.parameters(), strict=True):
            mine.mul_(decay).add_(other, alpha=1 - decay)


def discriminator_loss(objective: str, real: Tensor, fake: Tensor) -> Tensor:
    if objective == "hinge":
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    yes, no = torch.ones_like(real), torch.zeros_like(fake)
    return F.binary_cross_entropy_with_logits(real, yes) + F.binary_cross_entropy_with_logits(fake, no)


def generator_loss(objective: str, fake: Tensor) -> Tensor:
    if objective == "hinge":
        return -fake.mean()
    return F.binary_cross_entropy_with_logits(fake, torch.ones_like(fake))


def gan(
    modules: Mapping[str, nn.Module], loader: DataLoader[Any], config: Any
) -> Generator[dict[str, float], None, None]:
    """MLP GAN and DCGAN."""
    G, D = modules["generator"], modules["discriminator"]
    optimizer_g, optimizer_d = adam([G], config.generator), adam([D], config.discriminator)
    average = copy.deepcopy(G) if config.average else None
    for _ in itertools.count():
        for (real,) in loader:
            optimizer_d.zero_grad()
            fake = G(torch.randn(len(real), config.latent)).detach()
            loss_d = discriminator_loss(config.objective, D(real), D(fake))
            loss_d.backward()
            optimizer_d.step()
            optimizer_g.zero_grad()
            loss_g = generator_loss(config.objective, D(G(torch.randn(len(real), config.latent))))
            loss_g.backward()
            optimizer_g.step()
            if average is not None:
                averaged(average, G, config.average)
            yield {"D": loss_d.item(), "G": loss_g.item()}


def r3(
    modules: Mapping[str, nn.Module], loader: DataLoader[Any], config: Any
) -> Generator[dict[str, float], None, None]:
    """R3GAN: which of a pair is real, R1 and R2, as in its authors' trainer."""
    G, D = modules["generator"], modules["discriminator"]
    optimizer_g, optimizer_d = adam([G], config.generator), adam([D], config.discriminator)
    average, gamma = copy.deepcopy(G), at(config.penalty.r1, 0)
    for _ in itertools.count():
        for (real,) in loader:
            optimizer_d.zero_grad()
            fake = G(torch.randn(len(real), config.latent)).detach().requires_grad_()
            real.requires_grad_()
            real_scores, fake_scores = D(real), D(fake)
            objective = F.softplus(fake_scores - real_scores).mean()
            penalty = torch.zeros(())
            for scores, x in ((real_scores, real), (fake_scores, fake)):
                (slope,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
                penalty = penalty + gamma / 2 * slope.square().sum((1, 2, 3)).mean()
            (objective + penalty).backward()
            optimizer_d.step()
            optimizer_g.zero_grad()
            fake = G(torch.randn(len(real), config.latent))
            loss_g = F.softplus(D(real.detach()) - D(fake)).mean()
            loss_g.backward()
            optimizer_g.step()
            averaged(average, G, 0.99)
            yield {"D": objective.item(), "penalty": penalty.item(), "G": loss_g.item()}


class Buffer:
    """Former fakes in a list."""

    def __init__(self, size: int) -> None:
        self.size, self.kept = size, list[Tensor]()

    def push_and_pop(self, fakes: Tensor) -> Tensor:
        """(N, C, H, W) -> the same number, about half of them former ones once it is full."""
        out = []
        for fake in fakes.detach():
            if len(self.kept) < self.size:
                self.kept.append(fake)
                out.append(fake)
            elif random.random() < 0.5:
                place = random.randrange(self.size)
                out.append(self.kept[place].clone())
                self.kept[place] = fake
            else:
                out.append(fake)
        return torch.stack(out)


def cyclegan(
    modules: Mapping[str, nn.Module], loader: DataLoader[Any], config: Any
) -> Generator[dict[str, float], None, None]:
    """CycleGAN: translators first, then each critic with the same fakes through a buffer, an optimizer each."""
    to_image, to_source, of_images, of_sources = list(modules.values())[:4]
    optimizer_g = adam([to_image, to_source], config.generator)
    critics = [(of_images, Buffer(config.pool)), (of_sources, Buffer(config.pool))]
    optimizers = [adam([critic], config.discriminator) for critic, _ in critics]
    for _ in itertools.count():
        for x, y in loader:
            optimizer_g.zero_grad()
            made_y, made_x = to_image(x), to_source(y)
            fooled = sum(F.mse_loss(s, torch.ones_like(s)) for s in (of_images(made_y), of_sources(made_x))) / 2
            cycle = config.cycle * (F.l1_loss(to_source(made_y), x) + F.l1_loss(to_image(made_x), y))
            same = config.identity * (F.l1_loss(to_image(y), y) + F.l1_loss(to_source(x), x))
            loss_g = fooled + cycle + same
            loss_g.backward()
            optimizer_g.step()
            told = {"G": loss_g.item(), "cycle": cycle.item(), "identity": same.item()}
            for n, (real, made) in enumerate(((y, made_y), (x, made_x))):
                critic, buffer = critics[n]
                optimizers[n].zero_grad()
                on_real, on_fake = critic(real), critic(buffer.push_and_pop(made))
                yes, no = torch.ones_like(on_real), torch.zeros_like(on_fake)
                loss = (F.mse_loss(on_real, yes) + F.mse_loss(on_fake, no)) / 2
                loss.backward()
                optimizers[n].step()
                told[f"D {n}"] = loss.item()
            yield told
