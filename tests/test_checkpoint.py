import json
import os
import random
import threading
import time
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from sparring import checkpoint
from sparring.average import Average
from sparring.checkpoint import CorruptCheckpointError
from sparring.engine import State, Train, start, train
from sparring.files import replacing
from sparring.game import Game
from sparring.testing import toy_game
from tests.test_engine import parameters, points


def game() -> Game:
    return replace(toy_game(), average=Average(0.9))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    played = game()
    return checkpoint.save(tmp_path, played, train(played, points(), Train(5)))


def test_a_round_trip_goes_on_bitwise(tmp_path: Path) -> None:
    whole, first, second = game(), game(), game()
    a = train(whole, points(), Train(12))
    path = checkpoint.save(tmp_path, first, train(first, points(), Train(12), record=lambda r: r.state.round == 7))
    state = start(second)
    checkpoint.restore(second, state, *checkpoint.read(path))
    assert (state.round, state.drawn) == (7, 7)
    train(second, points(first=state.drawn), Train(12), state)
    assert all(torch.equal(x, y) for x, y in zip(parameters(whole), parameters(second), strict=True))
    assert checkpoint.tensors_of(whole, a).keys() == checkpoint.tensors_of(second, state).keys()
    for name, value in checkpoint.tensors_of(whole, a).items():
        assert torch.equal(value, checkpoint.tensors_of(second, state)[name]), name


def test_every_single_flipped_byte_is_noticed(saved: Path) -> None:
    data = saved.read_bytes()
    for position in random.Random(0).sample(range(len(data)), 40):
        saved.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        with pytest.raises(CorruptCheckpointError, match="damaged"):
            checkpoint.read(saved)


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_a_file_cut_short_is_noticed(saved: Path, keep: int) -> None:
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(CorruptCheckpointError, match="damaged"):
        checkpoint.read(saved)


def renamed(path: Path) -> Path:
    import hashlib

    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return path.rename(path.with_name(f"00000001-{digest}.safetensors"))


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    save_file({"x": torch.ones(2)}, tmp_path / "a.safetensors")
    with pytest.raises(CorruptCheckpointError, match="not a checkpoint of sparring"):
        checkpoint.read(renamed(tmp_path / "a.safetensors"))
    for content in (b"", b"\x80\x04pickle", b"\xff" * 64, (9).to_bytes(8, "little") + b'{"a": [1]}'):
        (tmp_path / "b.safetensors").write_bytes(content)
        with pytest.raises(CorruptCheckpointError):
            checkpoint.read(renamed(tmp_path / "b.safetensors"))


def test_a_checkpoint_of_another_network_is_refused_by_name(saved: Path) -> None:
    other = toy_game()
    other.modules["generator"].linear = torch.nn.Linear(5, 2)
    with pytest.raises(CorruptCheckpointError, match="network 'generator'"):
        checkpoint.restore(other, start(other), *checkpoint.read(saved))


def test_only_the_last_few_are_kept_and_nothing_half_written_stays(tmp_path: Path) -> None:
    played = game()
    train(played, points(), Train(9), record=lambda r: checkpoint.save(tmp_path, played, r.state) and None)
    assert [p.name[:8] for p in checkpoint.listed(tmp_path)] == ["00000008", "00000009"]
    assert len(list(tmp_path.iterdir())) == 2


def test_files_of_later_rounds_do_not_push_out_what_was_just_saved(tmp_path: Path) -> None:
    for number in (25, 35):
        (tmp_path / f"000000{number}-0123456789abcdef.safetensors").write_text("x")
    played = game()
    path = checkpoint.save(tmp_path, played, train(played, points(), Train(9)))
    assert path.exists()
    told: list[str] = []
    assert checkpoint.restore_newest(game(), tmp_path, told.append).round == 9
    assert len(told) == 2


def test_a_renamed_checkpoint_is_refused(saved: Path) -> None:
    other = saved.rename(saved.with_name(saved.name.replace("00000005", "00000099")))
    with pytest.raises(CorruptCheckpointError, match="round 5, not of the one in its name"):
        checkpoint.read(other)


def test_a_failed_write_leaves_the_old_one(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    played = game()
    state = train(played, points(), Train(6))
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(saved.parent, played, state)
    assert list(saved.parent.iterdir()) == [saved]
    checkpoint.read(saved)


def test_nan_is_never_saved(tmp_path: Path) -> None:
    played = game()
    state = start(played)
    with torch.no_grad():
        played.modules["generator"].linear.bias[0] = torch.nan
    with pytest.raises(FloatingPointError, match=r"generator/linear\.bias"):
        checkpoint.save(tmp_path, played, state)
    assert not list(tmp_path.iterdir())


def test_a_file_holds_no_code_and_its_numbers_are_json(saved: Path) -> None:
    data = saved.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert json.loads(header["__metadata__"]["sparring"])["round"] == 5


def test_a_writer_writes_what_was_there_when_it_was_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played = game()
    state, go, write = train(played, points(), Train(5)), threading.Event(), checkpoint.write
    at_once = checkpoint.save(tmp_path / "at once", played, state)

    def slow(*given: Any) -> Path:
        go.wait(10)
        return write(*given)

    monkeypatch.setattr(checkpoint, "write", slow)
    with checkpoint.Writer() as writer:
        writer.save(tmp_path / "later", played, state)
        with torch.no_grad():
            for parameter in played.modules["generator"].parameters():
                parameter.add_(1.0)
        assert not checkpoint.listed(tmp_path / "later")
        go.set()
        writer.wait()
        assert [path.name for path in checkpoint.listed(tmp_path / "later")] == [at_once.name]


def test_a_writer_tells_of_its_error_at_the_next_look_and_ends_what_it_began(tmp_path: Path) -> None:
    played = game()
    state = train(played, points(), Train(5))
    (tmp_path / "file").touch()
    with checkpoint.Writer() as writer:
        writer.save(tmp_path / "file", played, state)  # no folder can be made there
        with pytest.raises(OSError, match="file"):
            writer.wait()
        writer.look()  # told once
    with pytest.raises(ZeroDivisionError):
        loop_that_fails(tmp_path, played, state)
    assert len(checkpoint.listed(tmp_path / "good")) == 1
    with pytest.raises(OSError, match="file"), checkpoint.Writer() as writer:
        writer.save(tmp_path / "file", played, state)


def test_a_writer_loses_no_error_and_holds_on_to_nothing_that_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played, held = game(), list[weakref.ref[torch.Tensor]]()
    state, copy = train(played, points(), Train(5)), checkpoint.tensors_of

    def copied(*given: Any) -> dict[str, torch.Tensor]:
        found = copy(*given)
        held.extend(weakref.ref(value) for value in found.values())
        return found

    monkeypatch.setattr(checkpoint, "tensors_of", copied)
    for name in ("one", "other"):
        (tmp_path / name).touch()
    with checkpoint.Writer() as writer:
        writer.save(tmp_path / "good", played, state)
        writer.wait()
        assert held
        assert not [each for each in held if each() is not None]
        monkeypatch.setattr(writer, "look", lambda: None)  # between two looks
        writer.save(tmp_path / "one", played, state)
        writer.save(tmp_path / "other", played, state)
        writer.wait()
        monkeypatch.undo()
        for name in ("one", "other"):
            with pytest.raises(OSError, match=name):
                writer.look()


def test_a_third_state_is_not_copied_while_two_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = game()
    state, go, third, copies = train(played, points(), Train(5)), threading.Event(), threading.Event(), list[int]()
    copy, write = checkpoint.tensors_of, checkpoint.write

    def copied(*given: Any) -> dict[str, torch.Tensor]:
        copies.append(len(copies))
        if len(copies) == 3:
            third.set()
        return copy(*given)

    def slow(*given: Any) -> Path:
        go.wait(10)
        return write(*given)

    monkeypatch.setattr(checkpoint, "tensors_of", copied)
    monkeypatch.setattr(checkpoint, "write", slow)
    with checkpoint.Writer() as writer:
        loop = threading.Thread(target=lambda: [writer.save(tmp_path / str(n), played, state) for n in range(3)])
        loop.start()
        assert not third.wait(0.3)
        assert copies == [0, 1]
        go.set()
        loop.join()
    assert all(checkpoint.listed(tmp_path / str(number)) for number in range(3))


def test_the_mask_of_new_files_outlives_threads_that_read_it_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = os.umask

    def slowly(mask: int) -> int:
        before = setting(mask)
        time.sleep(0.01)
        return before

    def write(number: int) -> None:
        with replacing(tmp_path / str(number)) as file:
            file.write(b"mine alone")

    usual = os.umask(0o077)
    try:
        monkeypatch.setattr(os, "umask", slowly)
        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    finally:
        left = setting(usual)
    assert left == 0o077


def loop_that_fails(folder: Path, played: Game, state: State) -> None:
    """While the thread still has something to write."""
    with checkpoint.Writer() as writer:
        writer.save(folder / "good", played, state)
        writer.save(folder / "file", played, state)
        raise ZeroDivisionError
