from __future__ import annotations

import io
import json
import math
import zipfile
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from sparring import cli
from sparring.config import UserError
from sparring.data import About, Data, Splits, open_data, open_reported, tensor_source
from sparring.data import copies as c
from sparring.data.counts import class_counts, cropped_away, enlarged, typical_size, unbalanced
from sparring.data.finding import Finding
from sparring.data.inspect import Inspection, inspected, together
from sparring.data.scan import members

FEWEST = 10


def scenes(n: int, seed: int = 0, side: int = 32, channels: int = 3) -> Tensor:
    """uint8 (n, channels, side, side): smooth, and as different as chance makes them."""
    generator = torch.Generator().manual_seed(seed)
    light, tint = (torch.randn(n, k, 6, 6, generator=generator) for k in (1, channels))
    smooth = F.interpolate(light + 0.2 * tint, (side, side), mode="bicubic")
    return (128 + 50 * smooth).clamp(0, 255).byte()


def splits_of(train: Tensor, test: Tensor | None = None, labels: Tensor | None = None, classes: int = 0) -> Splits:
    about = About(
        "made", "image" if train.ndim == 4 else "point", tuple(train.shape[1:]), tuple(map(str, range(classes)))
    )

    def source(column: Tensor, label: Tensor | None) -> object:
        return tensor_source(about, {about.key: column} | ({} if label is None else {"label": label}))

    held_out = train[:0] if test is None else test
    return {
        "train": source(train, labels),
        "test": source(held_out, labels if labels is None else labels[: len(held_out)]),
    }  # type: ignore[dict-item]


def found(splits: Splits) -> dict[str, Finding]:
    return {finding.kind: finding for finding in look_at(splits).findings}


def look_at(splits: Splits) -> Inspection:
    return inspected(splits, Data(), None, FEWEST)


def saved_again(image: Tensor, quality: int) -> Tensor:
    stream, pixels = io.BytesIO(), image.permute(1, 2, 0)
    Image.fromarray((pixels[:, :, 0] if len(image) == 1 else pixels).numpy()).save(stream, "JPEG", quality=quality)
    with Image.open(stream) as opened:
        return torch.frombuffer(bytearray(opened.tobytes()), dtype=torch.uint8).view(pixels.shape).permute(2, 0, 1)


def groups(images: Tensor, rows: Tensor | None = None) -> set[frozenset[int]]:
    """By `near_copies`, of two and more."""
    small = c.comparable(images)
    prints = c.Prints(c.low_coefficients(small), (small.shape[1], small.shape[2], small.shape[3]))
    rows = torch.arange(len(images)) if rows is None else rows
    group = c.near_copies(prints, rows, lambda numbers: images[numbers], c.unwatched)
    return {frozenset(rows[torch.tensor(g)].tolist()) for g in members(group)}


def moved(images: Tensor) -> Tensor:
    """One pixel down and right; what enters repeats the border."""
    return F.pad(images[:, :, :-1, :-1].float(), (1, 0, 1, 0), mode="replicate").byte()


# -- near-copies -------------------------------------------------------------------------------------------


def versions() -> Tensor:
    """40 scenes, and as many saved again, moved, brightened and made flatter, in this order."""
    images = scenes(40)
    again = torch.stack([saved_again(image, 75) for image in images])
    return torch.cat([images, again, moved(images), (images.float() * 0.7 + 60).byte()])


def test_saved_again_moved_or_brightened_is_the_same_and_nothing_else_is() -> None:
    assert groups(versions()) == {frozenset({n, n + 40, n + 80, n + 120}) for n in range(40)}


def test_groups_do_not_depend_on_the_order_of_the_pictures() -> None:
    images = versions()
    mixed = torch.randperm(len(images), generator=torch.Generator().manual_seed(5))
    assert {frozenset(mixed[list(g)].tolist()) for g in groups(images[mixed])} == groups(images)
    some = mixed[:90].sort().values
    assert groups(images, some) == {kept for g in groups(images) if len(kept := g & frozenset(some.tolist())) > 1}


def test_blocks_do_not_change_what_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    images, whole = versions(), groups(versions())
    for name, value in (("_ROWS", 7), ("_COLUMNS", 11), ("_PAIRS", 16)):
        monkeypatch.setattr(c, name, value)
    assert groups(images) == whole


def test_the_search_finds_what_comparing_every_pair_finds() -> None:
    base = scenes(12, seed=3, channels=1)
    share = torch.linspace(0, 0.4, 10).repeat_interleave(12)[:, None, None, None]  # from equal to clearly others
    other = scenes(120, seed=4, channels=1)
    images = (base.repeat(10, 1, 1, 1) * (1 - share) + other * share).byte()
    i, j = torch.combinations(torch.arange(120)).T
    alike = (c.correlation(images[i], images[j]) >= c.ALIKE).nonzero()[:, 0]
    assert 20 < len(alike) < 400
    by_all = c.joined(torch.arange(120), torch.stack([i[alike], j[alike]], 1))
    assert groups(images) == {frozenset(g) for g in members(by_all)}


@pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 32), (1, 8), (3, 20), (1, 33)])
def test_low_coefficients_lie_no_further_apart_than_pictures_do(channels: int, side: int) -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randint(0, 256, (2, 50, channels, side, side), generator=generator).byte()
    b[:25] = (0.9 * a[:25] + 0.1 * b[:25]).byte()
    pixels = (c.standardised(a) - c.standardised(b)).square().mean((1, 2, 3)).sqrt()
    low_a, low_b = c.low_coefficients(a), c.low_coefficients(b)
    assert ((low_a - low_b).abs().square().sum(1).sqrt() <= pixels + 1e-5).all()
    assert (low_a.abs().square().sum(1) <= 1 + 1e-5).all()
    turned = c.low_coefficients(b.roll((2, 3), (2, 3)))  # no move round the border changes their sizes
    assert torch.allclose(turned.abs(), low_b.abs(), atol=1e-5)
    smooth = c.low_coefficients(scenes(20, side=side // 4 * 4, channels=channels))
    assert (smooth.abs().square().sum(1) > 0.3).all()  # a bound of nothing would hold as well


def test_correlation_is_symmetric_and_one_for_moved_pictures() -> None:
    images = scenes(30)
    other = images.roll(1, 0)
    assert torch.allclose(c.correlation(images, other), c.correlation(other, images), atol=1e-5)
    assert (c.correlation(images, other) < 0.9).all()
    assert (c.correlation(images, moved(images)) > 0.9999).all()
    assert (c.correlation(images, 255 - images) < 0.5).all()


def test_large_pictures_are_compared_by_averages() -> None:
    images = scenes(6, side=256)
    assert c.comparable(images).shape == (6, 3, 64, 64)
    again = torch.stack([saved_again(image, 50) for image in images])
    assert groups(torch.cat([images, again])) == {frozenset({n, n + 6}) for n in range(6)}


def test_groups_are_joined_through_chains() -> None:
    group = torch.arange(8)
    for pairs in ([[6, 7], [0, 1]], [[1, 6]], [[4, 3], [3, 4]]):
        group = c.joined(group, torch.tensor(pairs))
    assert group.tolist() == [0, 0, 2, 3, 3, 5, 0, 0]


def test_digits_of_mnist_are_not_taken_for_copies_and_planted_ones_are(shared_data: Path) -> None:
    if not (shared_data / "mnist").is_dir():
        pytest.skip("there is no mnist in SPARRING_DATA")
    images = open_data(Data("mnist"))["train"][torch.arange(5000)]["image"]
    assert groups(images) == set()
    planted = torch.cat([moved(images[:200]), torch.stack([saved_again(image, 75) for image in images[:200]])])
    assert groups(torch.cat([images, planted])) == {frozenset({n, 5000 + n, 5200 + n}) for n in range(200)}


# -- planted defects ---------------------------------------------------------------------------------------


def test_clean_sets_have_no_findings() -> None:
    assert found(open_data(Data("digits"))) == {}
    assert found(open_data(Data("ring"))) == {}
    assert found(splits_of(scenes(1000), scenes(20, seed=1))) == {}


def test_copies_within_and_between_splits() -> None:
    train, test = scenes(1000), scenes(30, seed=1)
    train[500:503] = train[0]
    train[700] = moved(train[7:8])[0]
    test[4], test[9] = train[11], saved_again(train[12], 80)
    told = found(splits_of(train, test))
    assert set(told) == {"held-out copies", "copies", "near-copies"}
    assert told["held-out copies"].evidence == {"samples": 2, "share": 2 / 30, "exactly": 1}
    assert told["held-out copies"].groups == ((11, 1004), (12, 1009))
    assert told["copies"].groups == ((0, 500, 501, 502), (11, 1004))
    assert told["copies"].evidence["samples"] == 4
    assert told["near-copies"].groups == ((7, 700), (12, 1009))


def test_the_names_of_samples_are_those_of_their_splits() -> None:
    inspection = look_at(splits_of(scenes(30), scenes(12, seed=1)))
    assert [inspection.name_of(n) for n in (0, 29, 30, 41)] == ["train 0", "train 29", "test 0", "test 11"]
    with pytest.raises(IndexError):
        inspection.name_of(42)


def test_black_white_and_flat_pictures_are_one_finding_and_no_copies() -> None:
    train = scenes(1000)
    train[3:6], train[8] = 0, 255
    train[9] = torch.tensor([200, 30, 90], dtype=torch.uint8)[:, None, None]
    train[20] = 100 + train[20] // 64
    told = found(splits_of(train, scenes(20, seed=1)))
    assert set(told) == {"one colour", "low contrast"}
    assert told["one colour"].evidence == {"pictures": 5, "share": 5 / 1020, "black": 3, "white": 1}
    assert told["one colour"].groups == ((3,), (4,), (5,), (8,), (9,))
    assert told["low contrast"].groups == ((20,),)


def test_flat_clear_pictures_are_seen_on_white() -> None:
    train = torch.cat([scenes(1000), torch.full((1000, 1, 32, 32), 255, dtype=torch.uint8)], 1)
    train[5, 3] = 0  # clear altogether, whatever its colours
    told = found(splits_of(train, train[:20].roll(7, 3).flip(2)))
    assert set(told) == {"one colour"}
    assert told["one colour"].groups == ((5,), (1005,))
    assert told["one colour"].evidence["white"] == 2


def test_gray_stored_as_colour() -> None:
    gray = scenes(1000, channels=1)
    rest = scenes(20, 1, channels=1)
    told = found(splits_of(gray.expand(-1, 3, -1, -1).clone(), rest.expand(-1, 3, -1, -1).clone()))
    assert set(told) == {"gray as colour"}
    assert "--color gray" in told["gray as colour"].remedy
    assert found(splits_of(gray, rest)) == {}


def test_a_border_that_never_changes() -> None:
    train, test = scenes(1000), scenes(20, seed=1)
    for images in (train, test):
        images[:, :, :2], images[:, :, :, -3:] = 0, 77
    told = found(splits_of(train, test))
    assert set(told) == {"fixed border"}
    evidence = told["fixed border"].evidence
    assert [evidence[side] for side in ("top", "bottom", "left", "right")] == [2, 0, 0, 3]
    assert evidence["share"] == pytest.approx(1 - 30 * 29 / 32**2)


def test_too_few_to_train_and_to_judge() -> None:
    told = found(splits_of(scenes(94), scenes(6, seed=1)))
    assert set(told) == {"few pictures", "cannot be judged"}
    assert told["few pictures"].evidence == {"training pictures": 94}
    assert told["cannot be judged"].remedy == "--test 0.11"
    assert "20 or more" in found(splits_of(scenes(9), scenes(1, seed=1)))["cannot be judged"].remedy


def test_class_balance() -> None:
    labels = torch.tensor([0] * 900 + [1] * 100 + [2] * 20)
    splits = splits_of(scenes(1020), scenes(20, seed=1), labels, 4)
    assert class_counts(splits) == {"0": 900, "1": 100, "2": 20, "3": 0}
    told = found(splits)
    assert set(told) == {"small classes", "unbalanced classes"}
    assert told["unbalanced classes"].evidence == {"ratio": 45, "largest": 900, "smallest": 20}
    assert told["small classes"].evidence == {"classes": 2, "smallest": 0}
    assert unbalanced({"a": 40, "b": 10}) is None
    assert unbalanced({"a": 40}) is None


def test_points_with_nan_constants_copies_and_odd_scales() -> None:
    points = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    points[:, 2] = 4
    points[:, 1] *= 100
    points[7, 0], points[8, 1] = math.nan, math.inf
    points[20] = points[21]
    told = found(splits_of(points, points[30:60].clone()))
    assert set(told) == {"not a number", "constant columns", "unusual scale", "held-out copies", "copies"}
    assert told["not a number"].groups == ((7,), (8,))
    assert "columns 2 " in told["constant columns"].what
    assert told["held-out copies"].evidence == {"samples": 30, "share": 1, "exactly": 30}
    assert told["copies"].evidence["samples"] == 31


def test_what_is_neither_pictures_nor_points_is_refused() -> None:
    about = About("odd", "image", (1, 8, 8))
    with pytest.raises(UserError, match=r"data=odd: the column 'image' is torch.float32.*torch.uint8"):
        together({"train": tensor_source(about, {"image": torch.zeros(4, 1, 8, 8)})})


# -- files -------------------------------------------------------------------------------------------------


def folder(root: Path, images: Tensor, ending: str = "png") -> Path:
    root.mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(root / f"{number:03}.{ending}")
    return root


def test_sizes_that_are_enlarged_or_cropped_away() -> None:
    sizes = [(100, 100, 50), (30, 40, 30), (100, 400, 20)]
    small, long = enlarged(sizes, 64, 64), cropped_away(sizes, 64, 64, "crop")
    assert small is not None
    assert long is not None
    assert small.evidence == {"pictures": 30, "share": 0.3}
    assert "--size 30" in small.remedy
    assert long.evidence == {"pictures": 20, "share": 0.2, "least left": 0.25}
    assert cropped_away(sizes, 64, 64, "pad") is None
    assert cropped_away(sizes, 64, 256, "crop") is not None  # now the square ones are cut
    assert enlarged([(30, 40, 1), (100, 100, 99)], 64, 64) is None
    assert typical_size({"10x10": 4, "9x200": 1, "8x4": 2}) == ("8x4", "10x10", "9x200")


def test_a_folder_with_everything_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = scenes(30, side=64)
    images[3] = images[2]
    root = folder(tmp_path / "mine", images)
    Image.fromarray(images[4].permute(1, 2, 0).numpy()).save(root / "saved-again.jpg", quality=80)
    Image.new("RGB", (64, 64)).save(root / "black.png")
    (root / "cut.png").write_bytes((root / "000.png").read_bytes()[:90])
    sheet = tmp_path / "out" / "sheet.png"
    assert cli.main(["data", "inspect", str(root), "--json", "--sheet", str(sheet)]) == 0
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert "sheet:" in printed.err
    by_kind = {finding["kind"]: finding for finding in told["findings"]}
    assert set(by_kind) >= {"bad files", "few pictures", "cannot be judged", "copies", "near-copies", "one colour"}
    assert by_kind["copies"]["samples"] == [["002.png", "003.png"]]
    assert [set(group) for group in by_kind["near-copies"]["samples"]] == [{"004.png", "saved-again.jpg"}]
    assert by_kind["one colour"]["samples"] == [["black.png"]]
    assert [entry["file"] for entry in told["files"]["bad"]] == ["cut.png"]
    assert told["files"]["copies"] == 1
    with Image.open(sheet) as picture:
        assert picture.width > 800
        assert (
            len(
                set(
                    picture.convert("RGB").get_flattened_data()
                    if hasattr(picture, "get_flattened_data")
                    else picture.getdata()
                )
            )
            > 100
        )


def test_inspect_tells_people_on_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = folder(tmp_path / "mine", scenes(30, side=16))
    packed = tmp_path / "mine.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for file in sorted(root.iterdir()):
            archive.write(file, f"pictures/{file.name}")
    assert cli.main(["data", "inspect", str(packed)]) == 0
    told = capsys.readouterr().out
    assert "30 good pictures, 0 bad files, 0 copies" in told
    assert "sizes: smallest 16x16, median 16x16, largest 16x16" in told
    assert "30 of 30 pictures are smaller than 64x64" in told
    assert "try: --size 16" in told
    assert cli.main(["data", "inspect", str(packed), "--size", "16"]) == 0
    assert "smaller than" not in capsys.readouterr().out


def test_inspect_takes_names_and_functions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet = tmp_path / "points.png"
    assert cli.main(["data", "inspect", "ring", "--sheet", str(sheet)]) == 0
    assert "nothing is wrong" in capsys.readouterr().out
    assert sheet.stat().st_size > 1000
    mine = tmp_path / "mine.py"
    mine.write_text(
        "import torch\nfrom sparring.data import About, tensor_source\n\n"
        "def opened(settings):\n"
        "    about = About('mine', 'point', (2,))\n"
        "    points = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))\n"
        "    points[3] = torch.nan\n"
        "    return {'train': tensor_source(about, {'point': points})}\n"
    )
    assert cli.main(["data", "inspect", f"{mine}:opened"]) == 0
    told = capsys.readouterr().out
    assert "1 point of 40 with NaN or infinity" in told
    assert "cannot be judged" in told


def test_where_nothing_is_usable_the_code_is_2_after_all_reasons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "b.png").write_bytes(b"no picture")
    assert cli.main(["data", "inspect", str(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert "bad: a.png: the file is empty" in printed.out
    assert "bad: b.png" in printed.out
    assert "nothing here can be trained on" in printed.err
    assert cli.main(["data", "inspect", "digits", "--sheet", "sheet.jpg"]) == 2
    assert "must end in .png" in capsys.readouterr().err


def test_wrong_labels_do_not_hide_the_pictures(tmp_path: Path) -> None:
    root = folder(tmp_path / "mine", scenes(12, side=16))
    (tmp_path / "labels.csv").write_text("file,label\n000.png,cat\n")
    splits, report = open_reported(Data(str(root), size=16, labels=str(tmp_path / "labels.csv")))
    assert report is not None
    assert any("11 pictures without a label" in note for note in report.notes)
    assert {split: len(source) for split, source in splits.items()} == {"train": 11, "test": 1}
    assert sorted(name for names in report.names.values() for name in names) == [f"{n:03}.png" for n in range(12)]
