from pathlib import Path

from sparring.data import Data, open_data
from tests.mixed import mixed_folder


def test_500_pictures_of_every_kind_are_read_and_all_broken_ones_named(shared_data: Path, tmp_path: Path) -> None:
    broken = mixed_folder(shared_data, tmp_path / "pictures")
    splits = open_data(Data(data=str(tmp_path / "pictures"), size="32"))
    assert len(splits["train"]) + len(splits["test"]) == 495
    told = "\n".join(splits["train"].about.notes)
    assert all(name in told for name in broken)
