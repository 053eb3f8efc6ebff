"""Ciphers as data, tables that read them, maps between vectors: each against what is known of it."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

import sparring
from sparring import cli, trained
from sparring.config import UserError, check_limits
from sparring.data import About, Data, open_data, tensor_source
from sparring.data.ciphers import enciphered, key_of
from sparring.data.texts import encoded
from sparring.data.vectors import rotation
from sparring.data.views import words_of
from sparring.data.words import FIRST, written
from sparring.nn import alignment
from sparring.nn.alignment import Maps, Memory, csls, dictionary, procrustes
from sparring.nn.cipher import Tables, TextCritic, chosen, read, spelled
from sparring.proofs import languages
from sparring.proofs.play import played
from sparring.recipes import sequence, text_translation, word_translation
from sparring.recipes.sequence import PRESETS
from sparring.recipes.text_translation import missed

SAID = "the quick brown fox jumps over the lazy dog and runs away "


@pytest.fixture
def prose(tmp_path: Path) -> Path:
    file = tmp_path / "prose.txt"
    file.write_text(SAID * 60)
    return file


def test_a_cipher_writes_every_symbol_as_another_and_nobody_sees_both(prose: Path) -> None:
    for said, period in (("cipher:substitution:4", 1), ("cipher:vigenere:3", 3)):
        splits = open_data(Data(data=str(prose), unit="letters", length=30, source=said))
        train, test = splits["train"], splits["test"]
        key = key_of(said, len(train.about.vocabulary))
        assert key.shape == (period, 27)
        assert (key.sort(1).values == torch.arange(27)).all()
        back = key.argsort(1)
        columns = train[torch.arange(len(train))]
        plain = enciphered(columns["source"], back)
        assert not bool((columns["text"] == plain).all(1).any())  # beside each other by chance
        held = test[torch.arange(len(test))]
        assert torch.equal(enciphered(held["source"], back), held["text"])
        assert (train.about.paired, test.about.paired) == (False, True)
        assert train.about.source_vocabulary == train.about.vocabulary
    whole = open_data(Data(data=str(prose), unit="letters", length=30))["train"]
    assert len(train) == len(whole) // 2
    secrets = plain.tolist()
    assert secrets == whole[len(train) + torch.arange(len(train))]["text"].tolist()


def test_what_is_no_word_stays_so_in_a_cipher() -> None:
    texts = torch.tensor([[2, 3, 4, 1, 0, 0]])
    assert enciphered(texts, torch.tensor([[2, 0, 1]])).tolist() == [[4, 2, 3, 1, 0, 0]]
    assert enciphered(texts, torch.tensor([[0, 1, 2], [1, 2, 0]])).tolist() == [[2, 4, 4, 1, 0, 0]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": "cipher:rot13"}, "is no cipher; use cipher:substitution"),
        ({"source": "cipher:vigenere:0"}, "a key of 0 for 27 symbols"),
        ({"source": "cipher:vigenere:5", "length": 48}, "use --length 45"),
        ({"source": "cipher:substitution", "paired": True}, "texts are translated without pairs"),
        ({"source": "nowhere"}, "neither one of cipher:substitution"),
        ({"source": "digits"}, "has pictures, and --data has texts"),
    ],
)
def test_sources_of_texts_that_cannot_be_are_refused(prose: Path, settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_data(Data(data=str(prose), unit="letters", **settings))  # type: ignore[arg-type]


def test_a_secret_of_another_file_keeps_its_own_symbols(prose: Path) -> None:
    (prose.parent / "secret.txt").write_text("2!_X\n" * 300)
    train = open_data(Data(data=str(prose), unit="letters", source=str(prose.parent / "secret.txt")))["train"]
    assert train.about.source_vocabulary == ("!", "2", "X", "_")
    assert train[torch.tensor([0])]["source"].tolist() == [[3, 2, 5, 4] * 12]


def test_lines_of_another_file_are_filled_up_and_translated_at_their_own_length(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("a cat\na dog\n" * 30)
    (tmp_path / "long.txt").write_text("un chat noir dort\nun chien\n" * 20)
    train = open_data(Data(data=str(tmp_path / "short.txt"), source=str(tmp_path / "long.txt")))["train"]
    about, columns = train.about, train[torch.arange(len(train))]
    assert (about.shape, about.source, len(train)) == ((4,), (4,), 54)
    assert not columns["text"][:, 2:].any()
    assert {len(set(row)) for row in columns["source"].tolist()} == {3, 4}  # with 0 for none
    game = text_translation.build(text_translation.Config(width=4), about)
    assert game.sample is not None
    made = game.sample(game.modules, {"source": columns["source"]})
    assert torch.equal(made > 0, columns["source"] > 0)
    assert [row[0].tolist() for row in encoded("un chien\nun chat\n", about, "auto")] == [
        [about.source_vocabulary.index(a) + FIRST for a in line.split()] for line in ("un chien", "un chat")
    ]
    with pytest.raises(UserError, match="period=3: texts of 4 symbols"):
        text_translation.build(text_translation.Config(period=3), about)


def test_a_table_that_knows_the_key_reads_everything() -> None:
    key = key_of("cipher:vigenere:3", 27)
    plain = torch.randint(FIRST, 27 + FIRST, (5, 10), generator=torch.Generator().manual_seed(0))
    plain[0, 7:] = torch.tensor([1, 0, 0])
    secret, table = enciphered(plain, key), Tables(27, 27, 3)
    with torch.no_grad():
        table.rows.copy_(torch.nn.functional.one_hot(key.argsort(1), 27).float())
    logits = table(spelled(secret, 27))
    assert torch.equal(read(logits, secret), plain)
    assert float(missed(1000 * logits, plain).detach()) == 0
    other = missed(torch.zeros(5, 10, 27), plain)
    assert float(other) == pytest.approx(np.log(27) * 47 / 50, rel=1e-5)  # three places hold no symbol


def test_what_is_drawn_is_a_symbol_with_the_slope_of_a_chance() -> None:
    torch.manual_seed(0)
    logits = torch.tensor([0.5, 0.3, 0.2]).log().expand(1, 20_000, 3).clone().requires_grad_()
    there = torch.ones(1, 20_000, 1)
    there[0, 0] = 0
    made = chosen(logits, there)
    assert made[0, 0].tolist() == [0, 0, 0]
    assert set(made[0, 1:].unique().round().tolist()) == {0, 1}
    torch.testing.assert_close(made[0].mean(0), torch.tensor([0.5, 0.3, 0.2]), atol=0.02, rtol=0)
    made[..., 0].sum().backward()
    assert logits.grad is not None
    assert logits.grad[0, 1:, 0].mean() > 0 > logits.grad[0, 1:, 1].mean()
    soft = chosen(logits, there, hard=False)
    torch.testing.assert_close(soft[0, 1], torch.tensor([0.5, 0.3, 0.2]))


def test_a_critic_of_secrets_knows_the_phase_and_one_of_texts_does_not() -> None:
    torch.manual_seed(0)
    x = spelled(torch.full((1, 12), 5), 27)
    with torch.no_grad():
        plain, phased = TextCritic(27, 8, 2)(x)[0, 3:9], TextCritic(27, 8, 2, period=3)(x)[0, 3:9]
    torch.testing.assert_close(plain, plain[:1].expand(6))
    torch.testing.assert_close(phased[:3], phased[3:])
    assert len({round(float(score), 5) for score in phased}) == 3


def test_texts_of_another_vocabulary_judge_no_samples(tmp_path: Path) -> None:
    for name, words in (("one", "a b c d"), ("two", "a x y z")):
        lines = [" ".join(p) for p in itertools.permutations(words.split())]
        (tmp_path / f"{name}.txt").write_text("\n".join(lines * 3))
    run = sparring.train(
        "sequence", data=str(tmp_path / "one.txt"), rounds=1, batch=4, quiet=True, runs=str(tmp_path), evaluate=False,
        test=0.4, threads=1, snapshots=0,
    )  # fmt: skip
    with pytest.raises(UserError, match=r"against=two: .* \(6 words are only in one"):
        run.evaluate(against=Data(data=str(tmp_path / "two.txt"), test=0.4))
    assert run.evaluate(against=Data(data=str(tmp_path / "one.txt"), test=0.5))["samples"] == 36


@pytest.mark.parametrize(("carrier", "rollouts"), [("straight", 0), ("policy", 2)])
def test_texts_of_one_word_are_learnt_where_a_convolution_fits(carrier: str, rollouts: int) -> None:
    about = About("words", "text", (1,), vocabulary=("a", "b", "c"), whole=True)
    rows = torch.arange(40).remainder(3)[:, None] + FIRST
    settings = {"rounds": 2, "batch": 4, "likelihood": 0.5, "carrier": carrier, "rollouts": rollouts}
    for widths in ((2, 3), ()):
        with pytest.raises(UserError, match=r"from 1 to 1, .* use --critic-widths 1,"):
            sequence.build(sequence.Config(critic_widths=widths), about)
    run = played("sequence", None, {**settings, "critic_widths": (1,)}, tensor_source(about, {"text": rows}), 0)
    assert run.game.player("generator").acts(1)


def test_likelihood_alone_has_no_critic_to_train() -> None:
    about = About("words", "text", (1,), vocabulary=("a", "b"), whole=True)
    game = sequence.build(PRESETS["likelihood"], about)
    assert [player.name for player in game.players] == ["likelihood"]
    assert game.score is None


def test_the_rotation_of_known_pairs_is_found_exactly() -> None:
    x, by = torch.randn(200, 10, generator=torch.Generator().manual_seed(0)), rotation(10, 3)
    torch.testing.assert_close(by @ by.T, torch.eye(10), atol=1e-5, rtol=0)
    torch.testing.assert_close(procrustes(x, x @ by), by, atol=1e-5, rtol=0)
    here, there, near = dictionary(x @ by, (x @ by)[torch.arange(199, -1, -1)])
    assert (here + there == 199).all()
    assert (len(here), near) == (200, pytest.approx(1.0, abs=1e-5))
    assert dictionary(x, x @ rotation(10, 4))[2] < 0.9


def test_a_dictionary_looks_at_some_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = torch.randn(2, 50, 5, generator=torch.Generator().manual_seed(0))
    close, cosines = csls(x, y[:40])
    there, back = close.argmax(1), close.argmax(0)
    mutual = (back[there] == torch.arange(50)).nonzero()[:, 0]
    monkeypatch.setattr(alignment, "ROWS", 7)
    here, other, near = dictionary(x, y[:40])
    assert torch.equal(here, mutual)
    assert torch.equal(other, there[mutual])
    assert near == pytest.approx(float(cosines[torch.arange(50), there].mean()))


def test_a_map_is_chosen_by_its_nearness_or_the_numbers_are_refused() -> None:
    about = About("vectors", "point", (5,), source=(5,))
    source = tensor_source(about, {"point": torch.randn(40, 5), "source": torch.randn(40, 5)})
    run = played("word_translation", None, {"rounds": 2, "refinements": 1, "batch": 8}, source, 0)
    assert (run.game.modules["choice"].nearness > -1).all()  # type: ignore[operator]
    for name, value in {"refinements": 0, "memory": 1, "maps": 0, "forget": 1.0}.items():
        with pytest.raises(UserError, match=f"{name}={value} is out of range"):
            check_limits(word_translation.Config(**{name: value}))
    with pytest.raises(UserError, match="rounds=1: one is needed to learn"):
        word_translation.build(word_translation.Config(rounds=1), about)


def test_csls_takes_away_what_is_near_to_everything() -> None:
    mapped = torch.tensor([[1.0, 0.1, 0.0], [0.1, 1.0, 0.0], [0.0, 0.1, 1.0]])
    hub = torch.tensor([[1.0, 1.0, 1.0]])
    points = torch.cat([mapped + torch.tensor([0.9, 0.9, 0.9]) * (1 - torch.eye(3)), hub])
    close, cosines = csls(mapped, points, k=3)
    plain = 2 * cosines - cosines.topk(3, 1).values.mean(1, keepdim=True) - cosines.topk(3, 0).values.mean(0)
    torch.testing.assert_close(close, plain)
    assert close[:, 3].max() < close[:, :3].max()


def test_maps_are_brought_back_to_rotations_and_a_memory_holds_each_point_once() -> None:
    torch.manual_seed(0)
    maps = Maps(6, 3)
    with torch.no_grad():
        maps.weight.add_(0.05 * torch.randn(3, 6, 6))
    for _ in range(200):
        maps.straighten(0.1)
    torch.testing.assert_close(maps.weight @ maps.weight.mT, torch.eye(6).expand(3, -1, -1), atol=1e-3, rtol=0)
    memory, points = Memory(2, 5), torch.arange(8.0).reshape(4, 2)
    for rows in ([0, 1], [2, 1], [3, 0]):
        memory.seen(points[rows], -points[rows])
        memory.keep()
    found, sources = memory.both()
    assert found.tolist() == points.tolist()  # the sixth went over the first, and came again
    assert len(sources) == 4


def test_vectors_of_words_are_read_with_their_names(tmp_path: Path) -> None:
    file = tmp_path / "en.vec"
    file.write_text("40 3\n" + "".join(f"w{i} {i} {i + 1} 0.5\n" for i in range(40)))
    splits = open_data(Data(data=str(file), vocabulary=30, test=0.2))
    assert [len(split) for split in splits.values()] == [24, 6]
    names = [*splits["train"].names, *splits["test"].names]  # type: ignore[attr-defined]
    assert sorted(names) == sorted(f"w{i}" for i in range(30))
    first = splits["train"][torch.tensor([0])]["point"].tolist()[0]
    assert first == [float(names[0][1:]), float(names[0][1:]) + 1, 0.5]
    (tmp_path / "odd.vec").write_text("the\t1\t2\n. . .\t3\t4\nat me@home.org 5 6\n")
    odd = open_data(Data(data=str(tmp_path / "odd.vec"), test=0.3))
    assert {name for split in odd.values() for name in split.names} == {"the", ". . .", "at me@home.org"}  # type: ignore[attr-defined]
    np.savez(tmp_path / "many.npz", np.zeros((20, 4)))
    (tmp_path / "many.npz").rename(tmp_path / "many.npy")
    with pytest.raises(UserError, match="is an archive of arrays"):
        open_data(Data(data=str(tmp_path / "many.npy")))
    np.save(tmp_path / "p.npy", np.zeros((20, 4)))
    assert open_data(Data(data=str(tmp_path / "p.npy")))["train"].about.shape == (4,)
    turned = open_data(Data(data=str(file), source="turned:2", test=0.5))
    held = turned["test"][torch.arange(5)]
    torch.testing.assert_close(held["source"], held["point"] @ rotation(3, 2))
    for name, content, message in (
        ("bad.vec", b"a 1 2\nb 1\n", "word 2 must have 2 numbers"),
        ("odd.vec", b"a 1 nan\nb 1 2\n", "NaN or infinity"),
        ("one.npy", b"no array", "no plain array|cannot be read"),
        ("none.npy", b"", "is no plain array"),
        ("none.vec", b"", "has 0 points"),
        ("head.vec", b"2 3\n", "has 0 points"),
        ("less.vec", b"a 1 2 3 4\nb 1 2\n", "word 2 must have 4 numbers"),
        ("more.vec", b"a 1 2\nb 1 2 3\n", "word 2 must have 2 numbers"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=message):
            open_data(Data(data=str(tmp_path / name)))


def test_a_run_that_knows_the_rotation_is_a_dictionary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = np.random.default_rng(0).normal(size=(80, 6)).tolist()
    (tmp_path / "en.vec").write_text("".join(f"w{i} {' '.join(map(str, row))}\n" for i, row in enumerate(rows)))
    shorter = torch.tensor(rows[10:60]) @ rotation(6, 5)
    lines = (f"v{i + 10} {' '.join(map(str, row))}\n" for i, row in enumerate(shorter.tolist()))
    (tmp_path / "it.vec").write_text("".join(lines))
    words = ["train", "word_translation", "--data", str(tmp_path / "en.vec"), "--source", str(tmp_path / "it.vec")]
    quick = ["--rounds", "3", "--batch", "8", "--threads", "1", "--snapshots", "2", "--runs", str(tmp_path)]
    assert cli.main([*words, *quick, "--no-evaluate"]) == 0
    path, asked = Path(capsys.readouterr().out.strip()), tmp_path / "words.txt"
    asked.write_text("v12\nv40\nv59\nv77\n")
    assert cli.main(["translate", str(path), str(asked)]) == 0
    told = [line.split("\t") for line in (path / "translated" / "words.txt").read_text().splitlines()]
    assert [(word, len(best.split())) for word, best in told] == [("v12", 3), ("v40", 3), ("v59", 3)]
    run = trained.load(path)
    with torch.no_grad():
        run.model.modules["maps"].weight[:] = rotation(6, 5).T  # type: ignore[index, operator]
        for name in ("centre of sources", "centre of points"):
            run.model.modules[name].mean.zero_()  # type: ignore[union-attr, operator]
    assert run.dictionary(["v12", "v40"], 1) == {"v12": ["w12"], "v40": ["w40"]}


def test_turned_words_keep_their_names(tmp_path: Path) -> None:
    rows = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)).tolist()
    (tmp_path / "en.vec").write_text("".join(f"w{i} {' '.join(map(str, row))}\n" for i, row in enumerate(rows)))
    split = open_data(Data(data=str(tmp_path / "en.vec"), source="turned:5"))["train"]
    points, sources = words_of(split)
    assert set(points) == set(sources)
    assert len(points) == len(split)
    for name, point in points.items():
        torch.testing.assert_close(sources[name], point @ rotation(3, 5))


def test_frequencies_read_a_substitution_of_letters_that_differ_and_a_key_only_by_phase() -> None:
    random = torch.Generator().manual_seed(0)
    chances = 0.72 ** torch.arange(8.0)
    letters = torch.multinomial(chances, 40_000, replacement=True, generator=random)
    words = ["".join("abcdefgh"[i] for i in part) for part in letters.reshape(-1, 50).tolist()]
    assert languages.by_frequency(languages.ciphers("cipher:substitution", words), 1) > 0.9
    splits = languages.ciphers("cipher:vigenere:3", words)
    assert languages.by_frequency(splits, 1) < 0.6
    assert languages.by_frequency(splits, 3) > 0.9


def test_words_of_like_neighbours_get_like_vectors() -> None:
    said = [
        w
        for i in range(400)
        for w in ("the", ("cat", "dog")[i % 2], "eats", ("fish", "meat")[i // 2 % 2], "at", "home")
    ]
    names, points = languages.vectors(said, most=8, numbers=4)
    assert sorted(names) == sorted({"the", "cat", "dog", "eats", "fish", "meat", "at", "home"})
    unit = torch.nn.functional.normalize(points)
    close = {(a, b): float(unit[names.index(a)] @ unit[names.index(b)]) for a in names for b in names}
    assert close["cat", "dog"] > 0.9 > 0.5 > close["cat", "home"]
    spread, by = torch.randn(30, 4, generator=torch.Generator().manual_seed(0)), rotation(4, 1)
    assert languages.named_rightly(torch.stack([by.T, torch.eye(4)]), spread @ by, spread)[0] == 1


def test_a_run_reads_the_secrets_of_a_user(prose: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "text_translation", "--data", str(prose), "--unit", "letters", "--source", "cipher:substitution"]
    words += ["--test", "0.3"]
    quick = ["--rounds", "3", "--batch", "8", "--threads", "1", "--snapshots", "2", "--runs", str(prose.parent)]
    assert cli.main([*words, *quick, "--no-evaluate"]) == 0
    path = Path(capsys.readouterr().out.strip())
    run, about = trained.load(path), trained.load(path).about
    plain = SAID * 3
    key, letters = key_of("cipher:substitution", 27), about.vocabulary
    secret = "".join(letters[key[0, letters.index(letter)]] for letter in plain)
    (prose.parent / "secret.txt").write_text(f"{secret[:70]}\n{secret[70:]}\n")
    assert cli.main(["translate", str(path), str(prose.parent / "secret.txt")]) == 0
    made = (path / "translated" / "secret.txt").read_text().rstrip("\n")
    assert len(made) == len(plain)
    assert len({(a, b) for a, b in zip(secret, made, strict=True)}) == 27  # each symbol always as the same
    modules = run.model.modules
    with torch.no_grad():
        modules["to text"].rows.copy_(torch.nn.functional.one_hot(key.argsort(1), 27).float())  # type: ignore[union-attr, operator]
    assert run.translate_text(secret) == plain
    scored = run.evaluate()["metrics"]
    assert scored["words right"]["value"] == 1
    shown = (
        next(itertools.islice(sorted((path / "samples").glob("*.txt")), 1)).read_text().split("\n\n")[0].splitlines()
    )
    assert len(shown) == 3
    assert shown[2] in written(run.pool[torch.arange(len(run.pool))]["text"], about)
    (prose.parent / "other.txt").write_text("WHAT IS THIS\n")
    assert cli.main(["translate", str(path), str(prose.parent / "other.txt")]) == 2
    assert "was trained to read" in " ".join(capsys.readouterr().err.split())
