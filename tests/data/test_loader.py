from itertools import islice

import pytest
import torch

from sparring.config import UserError
from sparring.data import About, Data, carve, open_data, subset, tensor_source
from sparring.data.clusters import clustered, kmeans, unlabelled
from sparring.data.kinds import to_float, to_uint8
from sparring.data.loader import Augment, augmented, batches
from sparring.data.source import Rows
from sparring.seeds import hashed


def numbered(n: int = 10) -> object:
    images = torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1).expand(n, 1, 4, 6).contiguous()
    return tensor_source(
        About("numbers", "image", (1, 4, 6), ("a", "b")), {"image": images, "label": torch.arange(n) % 2}
    )


def seen(source: object, start: int, count: int, **more: object) -> list[list[int]]:
    stream = batches(source, 3, seed=5, start=start, **more)  # type: ignore[arg-type]
    return [to_uint8(b["image"])[:, 0, 0, 0].tolist() for b in islice(stream, count)]


def test_every_epoch_shows_each_sample_at_most_once_in_a_new_order() -> None:
    rows = seen(numbered(9), 0, 6)
    first, second = ([i for row in part for i in row] for part in (rows[:3], rows[3:]))
    assert sorted(first) == sorted(second) == list(range(9))
    assert first != second


def test_starting_anywhere_gives_the_same_batches() -> None:
    whole = seen(numbered(), 0, 12)
    for start in (1, 3, 4, 11):
        assert seen(numbered(), start, 12 - start) == whole[start:]


def test_augmentation_depends_on_seed_epoch_and_index_alone() -> None:
    augment = Augment(flip=True, shift=1)
    source = open_data(Data())["train"]
    whole = [b["image"] for b in islice(batches(source, 600, 0, 0, augment), 5)]
    later = [b["image"] for b in islice(batches(source, 600, 0, 3, augment), 2)]
    assert all(torch.equal(a, b) for a, b in zip(whole[3:], later, strict=True))
    assert not torch.equal(whole[0], next(batches(source, 600, 0, 0))["image"])


def test_shift_moves_and_flip_mirrors_exactly() -> None:
    images = torch.zeros(400, 1, 5, 5, dtype=torch.uint8)
    images[:, :, 2, 2] = 9
    moved = augmented(images, hashed(torch.arange(400), 3), Augment(shift=2))
    places = {tuple((moved[i, 0] == 9).nonzero()[0].tolist()) for i in range(400)}
    assert places == {(r, c) for r in range(5) for c in range(5)}
    assert int((moved == 9).sum()) == 400
    ramp = torch.arange(4, dtype=torch.uint8).expand(200, 1, 1, 4)
    flipped = augmented(ramp, hashed(torch.arange(200), 3), Augment(flip=True))
    backwards = (flipped[:, 0, 0, 0] == 3).float().mean().item()
    assert 0.35 < backwards < 0.65
    assert {tuple(row) for row in flipped[:, 0, 0].tolist()} == {(0, 1, 2, 3), (3, 2, 1, 0)}


def test_bytes_survive_the_trip_to_floats() -> None:
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_float(every)), every)
    assert (to_float(every).min().item(), to_float(every).max().item()) == (-1.0, 1.0)
    assert to_uint8(torch.tensor([-9.0, 9.0])).tolist() == [0, 255]


def test_a_batch_larger_than_the_set_is_refused() -> None:
    with pytest.raises(UserError, match="batch=11 is larger than the 10 samples"):
        next(batches(numbered(), 11, 0))  # type: ignore[arg-type]


def test_hash_bits_are_balanced_and_depend_on_both() -> None:
    bits = hashed(torch.arange(20_000), 7)
    for shift in (0, 1, 20, 40, 62):
        assert abs((bits >> shift & 1).double().mean().item() - 0.5) < 0.02
    assert not torch.equal(bits, hashed(torch.arange(20_000), 8))


def test_splits_are_disjoint_first_class_and_repeatable() -> None:
    source = numbered(50)
    stay, aside = carve(source, 0.2, seed=1)  # type: ignore[arg-type]
    a, b = (set(s[torch.arange(len(s))]["image"][:, 0, 0, 0].tolist()) for s in (stay, aside))
    assert (len(a), len(b)) == (40, 10)
    assert not a & b
    assert carve(source, 0.2, seed=1)[1].about.sha256 == aside.about.sha256  # type: ignore[arg-type]
    assert stay.about.sha256 != aside.about.sha256
    splits = open_data(Data(validation=0.25))
    assert {name: len(s) for name, s in splits.items()} == {"train": 1214, "test": 179, "validation": 404}


def test_a_subset_of_a_large_source_copies_nothing() -> None:
    class Large:
        about = About("large", "image", (1, 1, 1), ("a", "b"), sha256="x")

        def __len__(self) -> int:
            return 5

        def __getitem__(self, index: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"image": index.view(-1, 1, 1, 1).byte(), "label": index % 2}

    part = subset(Large(), torch.tensor([4, 2, 0]))  # type: ignore[arg-type]
    assert isinstance(part, Rows)
    assert part.about.prior == (1.0, 0.0)
    assert part[torch.tensor([0, 2])]["image"].flatten().tolist() == [4, 0]


def test_kmeans_finds_well_separated_groups_and_fills_every_cluster() -> None:
    torch.manual_seed(0)
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    truth = torch.arange(400) % 4
    labels = kmeans(centres[truth] + torch.randn(400, 2), 4)
    for group in range(4):
        assert labels[truth == group].unique().numel() == 1
    assert labels.unique().numel() == 4
    assert kmeans(torch.zeros(30, 2), 5).unique().numel() == 5


def test_clusters_are_invented_labels_and_small_sets_get_fewer() -> None:
    digits = open_data(Data())["train"]
    source = clustered(digits, 40)
    assert (len(source.about.classes), source.about.invented) == (40, True)
    assert sum(source.about.prior) == pytest.approx(1)
    pure = sum(
        torch.bincount(digits[(source[torch.arange(len(source))]["label"] == c).nonzero().flatten()]["label"])
        .max()
        .item()
        for c in range(40)
    )
    assert pure / len(source) > 0.8  # the clusters know digits without having been told
    assert len(clustered(subset(digits, torch.arange(100)), 40).about.classes) == 6
    for none in (clustered(subset(digits, torch.arange(20)), 40), clustered(digits, 0), unlabelled(digits)):
        assert not none.about.classes
        assert "label" not in none[torch.tensor([0])]
