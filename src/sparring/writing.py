"""The losses of a writer of texts and its critic: likelihood, and two ways for a score to reach whole words."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparring.config import UserError
from sparring.duel import Dial
from sparring.game import Batch, Loss
from sparring.nn.sequence import TokenGenerator
from sparring.objectives import Objective


@dataclass(frozen=True)
class Writing:
    """The losses of both networks."""

    generator: TokenGenerator
    critic: nn.Module
    """Symbols, or one-hot rows of them -> scores."""
    objective: Objective
    usual: nn.Module
    """Rewards -> those less what is usual."""
    tau: Dial
    """Temperature of the Gumbel-softmax."""
    weight: float
    """Of likelihood beside the adversary."""
    rollouts: int
    """Endings by which each word is rewarded; 0 for the finished text alone."""

    def likelihood(self, batch: Batch) -> Loss:
        """Minus the log-probability of real texts."""
        return Loss({"nats per text": self.nll(batch["text"])})

    def nll(self, text: Tensor) -> Tensor:
        """(N, L) -> nats per text."""
        return -self.generator.log_prob(text).sum(1).mean()

    def discriminator(self, batch: Batch) -> Loss:
        """Real texts against written ones."""
        real = batch["text"]
        fake = self.generator.draw(torch.rand(real.shape, device=real.device))
        scores = self.score(torch.cat([real, fake])).chunk(2)
        return Loss({"objective": self.objective.discriminator(*scores).mean()}, _means(*scores))

    def straight(self, batch: Batch) -> Loss:
        """The score's gradient through whole words. Jang et al. 2017; Nie et al. 2019."""
        real = batch["text"]
        scores = self.critic(self.generator.relaxed(len(real), self.tau.value)).float()
        seen = self.score(real) if self.objective.paired else torch.full_like(scores, torch.nan)
        return Loss({"objective": self.objective.generator(seen, scores).mean(), **self.anchor(real)})

    def policy(self, batch: Batch) -> Loss:
        """The score as a reward. Yu et al. 2017, equation 8, with a baseline."""
        real = batch["text"]
        text = self.generator.draw(torch.rand(real.shape, device=real.device))
        reward = self.rewards(text)
        gained = (self.usual(reward) * self.generator.log_prob(text)).sum(1).mean()
        return Loss({"objective": -gained, **self.anchor(real)}, {"reward": reward[:, -1].mean()})

    @torch.no_grad()
    def rewards(self, text: Tensor) -> Tensor:
        """(N, L): of each word, the discriminator's belief in the texts that begin so. Yu et al. 2017, equation 4."""
        last = self.score(text).sigmoid()[:, None]
        if not self.rollouts or text.shape[1] == 1:
            return last.expand(text.shape)
        found = []
        for known in range(1, text.shape[1]):
            many = text[:, :known].repeat(self.rollouts, 1)
            ended = self.generator.draw(torch.rand(len(many), text.shape[1], device=text.device), given=many)
            found.append(self.score(ended).sigmoid().view(self.rollouts, -1).mean(0))
        return torch.cat([torch.stack(found, 1), last], 1)

    def anchor(self, real: Tensor) -> dict[str, Tensor]:
        """Likelihood beside the adversary, where it has a weight."""
        return {"anchor": self.weight * self.nll(real)} if self.weight else {}

    def score(self, text: Tensor) -> Tensor:
        """(N, L) numbers of words -> (N,)."""
        out: Tensor = self.critic(text - self.generator.first).float()
        return out


def _means(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    return {"real score": real.detach().mean(), "fake score": fake.detach().mean()}


def check(likelihood: float, early: float, temperature: float, idle: int) -> None:
    """`UserError` for numbers that cannot be, and for `idle` roll-outs, which another carrier would not draw."""
    if not (0 <= likelihood <= 1 and 0 <= early <= 1 and temperature > 0):
        raise UserError(
            f"likelihood={likelihood} and early={early} must lie in [0, 1], and temperature={temperature} above 0"
        )
    if idle:
        raise UserError(f"rollouts={idle} are of the policy gradient; use --carrier policy, or --rollouts 0")
