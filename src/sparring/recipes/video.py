"""Clips: what stays, what moves, and critics of single pictures and of all of them. Tulyakov et al. 2018 (MoCoGAN).

    sparring train video --data moving-digits
    sparring sample runs/video-moving-digits-1 --label 3            a GIF
    sparring train video --data my_clips --frames 16 --size 32      a folder of frames for each clip

A picture is made of `content` numbers, the same all through a clip, and of `path` numbers, the state of a recurrent
network that begins where the content says, and that noise and the label drive on. The discriminator is a list of views:
a picture at random judges what is seen, and all pictures together how it moves; both scores count alike in the
objective. With the first view alone no clip goes anywhere, which is the control of the proof. The paper's clip critic
convolves over time; here time is channels, which costs a fraction of it and is enough for short clips.

Written from the paper. Labels, where there are any, are told to both (projection).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sparring.config import UserError
from sparring.data.source import About, Source
from sparring.duel import Duel, duel
from sparring.game import Game
from sparring.nn.video import ClipDiscriminator, VideoGenerator
from sparring.optimizers import Adam
from sparring.schedules import ever


@dataclass(frozen=True)
class Config(Duel):
    """Numbers of the pair; `latent` is not read: it follows from content, motion and the clips' length."""

    batch: int = 32
    """Clips per round."""
    content: int = 32
    """Random numbers that stay the same in a clip."""
    motion: int = 4
    """Random numbers per picture."""
    path: int = 32
    """Numbers of the path that these drive."""
    views: tuple[int, ...] = (1, 0)
    """Pictures in a row that each critic sees; 0 stands for all of them."""
    width: int = 16
    """Channels of the generator at full size, doubling towards its small maps."""
    discriminator_width: int = 32
    """Channels of each critic's first layer."""


_PAPER = Adam(2e-4, 0.5, 0.999)
PRESETS: Mapping[str, Config] = {
    "tuned": Config(),
    "frames": Config(views=(1,)),
    "paper": Config(
        rounds=100_000, content=50, motion=10, path=10, width=64, discriminator_width=64, objective="non-saturating",
        generator=_PAPER, discriminator=_PAPER, decay=1.0, average=0.0,
    ),
}  # fmt: skip


def data(config: Config, source: Source) -> Source:
    """Clips are required."""
    if source.about.key != "clip":
        raise UserError(
            f"--data {source.about.name} has no clips; use moving-digits, or --frames 16 for folders of frames, "
            "strips of pictures side by side, GIFs and videos"
        )
    return source


def refuse(config: Config, least: int, length: int) -> None:
    """`UserError` for numbers that would do nothing, or harm; `least` pictures are the shortest view."""
    if config.discriminator_augment.module() is not None or config.augment.flip or config.augment.shift:
        raise UserError("augment and discriminator_augment change pictures, and these are clips; leave them out")
    if config.latent != Duel.latent:
        raise UserError(f"latent={config.latent}: clips are made of content, motion and path; set those")
    if min(config.content, config.motion, config.path) < 1:
        raise UserError(f"content={config.content}, motion={config.motion}, path={config.path}: each at least 1")
    if least < length and (config.penalty.difference or ever(config.penalty.consistency)):
        raise UserError(
            "penalty.difference and penalty.consistency compare two scores of nearly the same clip, and views shorter "
            f"than its {length} pictures look at other moments; leave them out, or use --views 0"
        )


def build(config: Config, about: About) -> Game:
    """A generator of clips, and a critic for each view."""
    channels, length, height, width = about.shape
    shape = (channels, length, height, width)
    views = [count or length for count in config.views]
    if not views or not all(1 <= count <= length for count in views):
        raise UserError(f"views={config.views}: name 1 to {length} pictures each, the length of the clips; 0 is all")
    refuse(config, min(views), length)
    classes = len(about.classes)
    generator = VideoGenerator(config.content, config.motion, config.path, shape, config.width, classes)
    discriminator = ClipDiscriminator(shape, views, config.discriminator_width, classes)
    numbers = replace(config, latent=config.content + length * config.motion)
    return duel(numbers, about, generator, discriminator)
