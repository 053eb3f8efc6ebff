"""What of a trained model is exported: one network from what samples are made of to samples, and inputs to try it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

from sparring.config import UserError
from sparring.data.source import About
from sparring.data.words import FIRST
from sparring.game import Game
from sparring.nn.autoencoder import CodeGaussian
from sparring.nn.signal import mel_of
from sparring.nn.translate import AlwaysDropout
from sparring.trained import CLASSIFIER, VOCODER, Run

REFUSED: Mapping[str, str] = {
    "sequence": "it writes word by word, each drawn after what it wrote before, which is a program and no network",
}
"""Recipes whose samples no graph of ONNX gives, and why. All other recipes have one."""
OF_SOUNDS = "a classifier of sounds begins with a Fourier transform, of which torch writes no ONNX"
"""Why a classifier may have none where its data are sounds."""


@dataclass(frozen=True, eq=False)
class Network:
    """A network as it is given away."""

    module: nn.Module
    """forward(*inputs, in the order of `inputs`) -> (N, ...) samples, or logits of a classifier."""
    inputs: Mapping[str, Sequence[int]]
    """Name -> shape of one row: `latent`, `label` (int64), `caption` (int64), `source`, `spectrogram`, `image`."""
    output: str
    """`image`, `point`, `sound`, `clip`, `text`, or `logits`."""
    about: About
    game: Game
    notes: tuple[str, ...] = ()
    """Where it differs from the run's own samples."""
    live: nn.Module | None = None
    """The same of the run's own modules, which a graph is compared with; none where these make noise."""

    def example(self, n: int, seed: int) -> dict[str, Tensor]:
        """Inputs of `n` rows: as samples are drawn, and noise in the place of data. A function of (n, seed)."""
        chance, drawn = torch.Generator().manual_seed(seed), {}
        if self.game.draw is not None and self.game.sample is not None:
            drawn = self.game.draw(n, chance)
        return {
            name: drawn[name] if name in drawn else self._noise(name, (n, *shape), chance)
            for name, shape in self.inputs.items()
        }

    def _noise(self, name: str, shape: tuple[int, ...], chance: torch.Generator) -> Tensor:
        known = len(self.about.source_vocabulary) if name == "source" else len(self.about.vocabulary)
        if name == "caption" or self.about.key == "text":
            return torch.randint(FIRST, FIRST + known, shape, generator=chance)
        if self.about.key == "point":
            return torch.randn(shape, generator=chance)
        noise = torch.rand(shape, generator=chance) * 2 - 1
        if name == "source" and self.about.masked:  # a hole in the middle
            noise[:, -1] = -1.0
            noise[:, -1, shape[2] // 4 : shape[2] // 2, shape[3] // 4 : shape[3] // 2] = 1.0
        return noise


class _Sampling(nn.Module):
    """The recipe's way from drawn numbers to samples, as a module."""

    def __init__(self, game: Game, modules: Mapping[str, nn.Module], names: Sequence[str]) -> None:
        super().__init__()
        self.game, self.names, self.keys = game, tuple(names), tuple(modules)
        self.parts = nn.ModuleList(modules.values())

    def forward(self, *columns: Tensor) -> Tensor:
        """As `Game.sample`."""
        assert self.game.sample is not None
        found = dict(zip(self.keys, self.parts, strict=True))
        return self.game.sample(found, dict(zip(self.names, columns, strict=True)))


def settled(module: nn.Module) -> nn.Module:
    """A copy on the CPU for use alone: weights that are computed from others computed, noise at rest."""
    if isinstance(module, AlwaysDropout | CodeGaussian):
        return module.settled().requires_grad_(False).eval()
    copied: nn.Module = copy.deepcopy(module).cpu().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    for inner in copied.modules():
        if is_parametrized(inner):
            _of_own_class(inner)
            for name in dict(inner.parametrizations.named_children()):  # type: ignore[union-attr]
                remove_parametrizations(inner, name, leave_parametrized=True)
        for name, child in inner.named_children():
            if isinstance(child, AlwaysDropout | CodeGaussian):
                setattr(inner, name, child.settled())
    return copied.requires_grad_(False).eval()


def _of_own_class(module: nn.Module) -> None:
    """Torch makes a class for a parametrized module, which copies share and `remove_parametrizations` takes apart."""
    kind = type(module)
    inside = {name: value for name, value in vars(kind).items() if name not in ("__dict__", "__weakref__")}
    module.__class__ = type(kind.__name__, kind.__bases__, inside)


def on_cpu(module: nn.Module) -> nn.Module:
    """The module itself where it is there, else a copy."""
    there = all(tensor.device.type == "cpu" for tensor in (*module.parameters(), *module.buffers()))
    return module if there else copy.deepcopy(module).cpu()


def network_of(run: Run) -> Network:
    """The network of a run or a model file. `UserError` for a recipe that has none that could stand alone."""
    inputs, built = _plan(run)
    about, game, modules = run.about, run.model.game, run.model.modules
    noisy = any(isinstance(inner, AlwaysDropout) and inner.share for m in modules.values() for inner in m.modules())
    notes = ("dropout, the only noise of its samples, is at rest: one answer for each source",) if noisy else ()
    alone = built({name: settled(module) for name, module in modules.items()})
    live = None if noisy else built({name: on_cpu(module) for name, module in modules.items()})
    return Network(alone, inputs, "logits" if game.sample is None else about.key, about, game, notes, live)


def _plan(run: Run) -> tuple[dict[str, Sequence[int]], Callable[[Mapping[str, nn.Module]], nn.Module]]:
    """What a network takes, and how it is put together of modules of a run's names. `UserError` where there is none."""
    recipe, about, game = run.plan.recipe, run.about, run.model.game
    if recipe in REFUSED:
        raise UserError(f"recipe={recipe}: {REFUSED[recipe]}; use --to safetensors, which sparring.load opens")
    if game.sample is None:
        if about.key == "sound":
            raise UserError(f"recipe={recipe}: {OF_SOUNDS}; use --to safetensors, which sparring.load opens")
        return {about.key: about.shape}, itemgetter(CLASSIFIER)
    if recipe == VOCODER:
        mel = mel_of(about.rate, run.plan.model.bands, run.plan.model.hop)
        return {"spectrogram": (1, mel.bands, about.shape[1] // mel.hop)}, itemgetter("generator")
    drawn: dict[str, Any] = {} if game.draw is None else game.draw(1, torch.Generator().manual_seed(0))
    given = {"source": about.source, "caption": (about.caption,)}
    inputs: dict[str, Sequence[int]] = {name: tuple(column.shape[1:]) for name, column in drawn.items()}
    inputs |= {name: given[name] for name in game.given}
    return inputs, lambda parts: _Sampling(game, parts, list(inputs)).eval()
