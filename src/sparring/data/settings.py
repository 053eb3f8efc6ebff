"""How a user says which data, and how to read it: the flags `--data`, `--size`, `--fit` and their kin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Data:
    """Which data, and how they are read. `sparring data list` shows the names."""

    data: str = "digits"
    """A name (`digits`, `mnist`, `ring`, `shapes`, ...), a folder or zip of pictures, or `file.py:function`."""
    size: str | int | None = None
    """Height and width of the pictures, `64` or `64x48`; none keeps a set's own size (64 for your own pictures)."""
    color: Literal["auto", "gray", "rgb", "rgba"] = "auto"
    """Channels; auto keeps a set's own, and for your own pictures takes gray, rgb or rgba as they need."""
    fit: Literal["crop", "pad", "stretch"] = "crop"
    """How another shape is brought to size: cut the centre, add a border, or distort."""
    labels: str | None = None
    """A CSV or JSON file of `file name, label`; otherwise sub-folders, where there are any, name the classes. Of
    sounds `names`: what comes before the first _ of a file's name; `names:2` before the second, and so on."""
    source: str | None = None
    """What each picture is made from, for recipes that translate or restore: a view of it (`edges`, `gray`, `inverted`,
    `small:2`, `small:4` at its own size, `reduced:2`, `reduced:4`, `masked`, `masked:14`, `masked:free`), `left` where
    pictures show both side by side, or other data. For texts `cipher:substitution` or `cipher:vigenere:3`, for points
    `turned`."""
    paired: bool = False
    """Pictures of --source belong to those of --data one by one: by the names of their files, else by their order."""
    captions: str | None = None
    """What each picture shows, for text_to_image: `names` (of the files), a CSV, TSV or JSON file of `file, sentence`,
    `classes`, or `own` for shapes."""
    frames: int | None = None
    """Pictures of a clip, where the data are films: folders of numbered pictures, GIFs, videos."""
    strips: bool = False
    """Each picture is a film: squares side by side."""
    frame_step: int = 1
    """Every so many-th picture of a film is taken."""
    unit: Literal["auto", "words", "characters", "letters", "symbols"] = "auto"
    """What texts are made of: words where lines have spaces, else characters; letters: running text as a to z and
    spaces, cut into windows; symbols: alike, of whatever characters there are but line breaks."""
    length: int | None = None
    """Longest text, in words or characters (40, 64), or the window of letters (48)."""
    vocabulary: int = 5000
    """So many words at most, the most frequent ones; the others are unknown."""
    rate: int | None = None
    """Samples a second of sounds; none is that of most of the files. Others are resampled."""
    seconds: float | None = None
    """Length of sounds, to the next multiple of 1,024 samples; none is what holds nine of ten, at most 2 seconds."""
    cut: Literal["start", "pieces"] = "start"
    """What is taken of sounds that are longer: their beginning, or as many pieces as they have."""
    test_names: str | None = None
    """A regular expression: sounds whose file names (without their endings) it is found in are the test split."""
    test: float = 0.1
    """Share held out for judging, when the set has no test split of its own."""
    validation: float = 0.0
    """Share of the training split set aside for choosing settings (`evaluate --split validation`)."""
    limit: int | None = None
    """Train on so many samples only, as many of each class as can be; none is all. Held-out ones stay as they are."""
    limit_seed: int = 0
    """Another one chooses others."""
    workers: int | None = None
    """Threads that read and decode the next batches; none is 2 for shards and 0 for what is in memory. The result does
    not depend on it."""
    shard_cache: float = 8.0
    """GB of disk, in the cache folder, for shards that come from elsewhere; those not used for longest make room."""
