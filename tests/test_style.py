"""Sentences in another style: the editor, what it draws, what the proof measures with, and a style that is learnt."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import sparring
from sparring import cli, trained
from sparring.config import UserError
from sparring.data import About, Data, open_data, tensor_source
from sparring.data.kinds import KINDS
from sparring.data.views import domains, half_asked, others_of
from sparring.data.words import FIRST, UNKNOWN, written
from sparring.metrics.features import Extractor
from sparring.metrics.text import bleu_of_pairs
from sparring.nn.style import Editor, Rewritten, StyleCritic
from sparring.proofs.play import played
from sparring.proofs.style import known_runs, swapped
from sparring.recipes import text_style
from sparring.session import summary

THINGS = ("food", "place", "music", "staff", "room", "soup", "bread", "tea")


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """Two styles that differ by one word of nine."""
    (tmp_path / "reviews").mkdir()
    for style, words in (("bad", ("bad", "cold")), ("good", ("good", "warm"))):
        lines = [
            f"the {a} and the {b} is so {words[(i + j) % 2]} now"
            for i, a in enumerate(THINGS)
            for j, b in enumerate(THINGS)
        ]
        (tmp_path / "reviews" / f"{style}.txt").write_text("\n".join(lines * 3))
    return tmp_path / "reviews"


def test_what_stands_beside_a_word_has_not_seen_it() -> None:
    torch.manual_seed(0)
    editor, text, style = Editor(9, 2, 6, 8, 8), torch.tensor([[2, 3, 4, 5, 6, 7]]), torch.tensor([1])
    other = text.clone()
    other[0, 2] = 9
    with torch.no_grad():
        near, changed = (editor.beside(editor.table[each], style) for each in (text, other))
    same = (near == changed).all(2)[0]
    assert same.tolist() == [False, False, True, False, False, False]
    assert not torch.equal(near, editor.beside(editor.table[text], torch.tensor([0])).detach())


def test_a_text_that_is_rewritten_is_whole_words_with_the_slope_of_chances() -> None:
    torch.manual_seed(0)
    text, table = torch.tensor([[4, 1, 0], [3, 5, 4]]), torch.randn(6, 4)
    places = text > 0
    kept = torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0], requires_grad=True)
    chances = torch.full((5, 4), 0.25, requires_grad=True)
    made = Rewritten(text, places, kept, torch.tensor([2, 2, 3, 3, 5]), chances)
    vectors = made.vectors(table)
    torch.testing.assert_close(vectors, table[torch.tensor([[4, 2, 0], [3, 3, 4]])])
    vectors[..., 0].sum().backward()
    assert kept.grad is not None
    assert chances.grad is not None
    old, new = text[places], torch.tensor([2, 2, 3, 3, 5])
    torch.testing.assert_close(kept.grad, (table[old] - table[new])[:, 0])
    torch.testing.assert_close(chances.grad, table[FIRST:, 0] * (1 - kept.detach())[:, None])


def test_an_editor_draws_by_its_chances_and_writes_likeliest_at_any_length() -> None:
    torch.manual_seed(0)
    editor, style = Editor(3, 2, 4, 8, 8), torch.zeros(1, dtype=torch.int64)
    text = torch.tensor([[2, 3, 1, 0]])
    with torch.no_grad():
        for p in (editor.gate[2].weight, editor.around.weight, editor.around.bias):  # type: ignore[union-attr]
            p.zero_()
        editor.gate[2].bias.fill_(-1.0)  # type: ignore[union-attr]
        editor.bias.copy_(torch.tensor([0.7, 0.2, 0.1]).log())
    many = editor.draw(text.expand(20_000, -1), style.expand(20_000))
    stay = float(torch.sigmoid(torch.tensor(-1.0)))
    assert (many[:, 3] == 0).all()
    assert float((many[:, 0] == 2).double().mean()) == pytest.approx(stay + (1 - stay) * 0.7, abs=0.02)
    assert float((many[:, 2] == UNKNOWN).double().mean()) == pytest.approx(stay, abs=0.02)
    kept = editor.rewrite(text.expand(20_000, -1), style.expand(20_000)).kept
    assert float(kept.detach().mean()) == pytest.approx(stay, abs=0.02)
    assert editor(text, style).tolist() == [[2, 2, 2, 0]]
    fresh = Editor(3, 2, 9, 8, 8)
    with torch.no_grad():
        fresh.gate[2].bias.fill_(-9.0)  # type: ignore[union-attr]
    assert torch.equal(fresh(text, style), fresh(torch.nn.functional.pad(text, (0, 5)), style)[:, :4])


def test_a_critic_scores_words_by_style_and_nothing_where_there_is_none() -> None:
    torch.manual_seed(0)
    critic, text = StyleCritic(5, 2, 8, 1).eval(), torch.tensor([[2, 3, 4, 0, 0], [2, 3, 6, 0, 0]])
    with torch.no_grad():
        here, there = critic(text, torch.tensor([0, 0])), critic(text, torch.tensor([1, 0]))
    assert (here[:, 3:] == 0).all()
    assert here[0, 0] == here[1, 0]
    assert here[0, 1] != here[1, 1]
    assert (here[0, :3] != there[0, :3]).all()
    assert torch.equal(here[1], there[1])


def test_bleu_of_pairs_is_the_published_formula() -> None:
    truth = torch.tensor([[2, 3, 4, 5, 6], [7, 8, 9, 0, 0]])
    assert bleu_of_pairs(truth, truth) == pytest.approx(1.0)
    made = torch.tensor([[2, 3, 4, 5, 9], [7, 8, 9, 0, 0]])
    shares = torch.tensor([7 / 8, 5 / 6, 3 / 4, 1 / 2])
    assert bleu_of_pairs(made, truth) == pytest.approx(float(shares.log().mean().exp()), rel=1e-6)
    shorter = torch.tensor([[2, 3, 4, 5, 0], [7, 8, 9, 0, 0]])
    assert bleu_of_pairs(shorter, truth) == pytest.approx(float(torch.tensor(1 - 8 / 7).exp()), rel=1e-6)
    assert bleu_of_pairs(truth.flip(0), truth) == 0  # against its own, not against any


def test_runs_are_known_and_words_swapped_by_their_odds() -> None:
    learnt = torch.tensor([[2, 3, 4, 5], [3, 4, 6, 0]])
    assert known_runs(torch.tensor([[2, 3, 4, 6], [5, 5, 5, 0]]), learnt) == pytest.approx(2 / 3)
    rows = {
        "text": torch.tensor([[2, 3, 0]] * 40 + [[2, 4, 5]] * 40 + [[2, 5, 0]] * 9),
        "label": torch.tensor([0] * 40 + [1] * 49),
    }
    made = swapped(torch.tensor([[2, 3, 1], [2, 4, 5], [2, 5, 0]]), torch.tensor([0, 1, 1]), rows, 4)
    assert made.tolist() == [[2, 5, 1], [2, 3, 3], [2, 3, 0]]  # 5 is the most frequent of style 1, and 3 all that 0 has


def test_a_style_is_learnt_from_texts_alone(reviews: Path) -> None:
    splits = open_data(Data(data=str(reviews)))
    source, test = splits["train"], splits["test"][torch.arange(30)]
    settings = {"rounds": 180, "batch": 24, "width": 16, "hidden": 16, "critic_width": 16}
    run = played("text_style", None, settings, source, 0)
    assert run.game.sample is not None
    made = run.game.sample(run.modules, {"source": test["text"], "label": 1 - test["label"]})
    kept = (made == test["text"]).double().mean(0)
    assert float(kept[:7].mean()) > 0.9
    said = [text.split()[7] for text in written(made, source.about)]
    right = [
        word in (("good", "warm") if own == 0 else ("bad", "cold"))
        for word, own in zip(said, test["label"].tolist(), strict=True)
    ]
    assert sum(right) >= 27


def test_samples_are_judged_by_texts_that_none_was_made_from() -> None:
    rows = tensor_source(About("rows", "text", (1,)), {"text": torch.arange(21)[:, None]})
    pool = half_asked(domains(rows))
    asked = pool[torch.arange(len(pool))]["source"]
    beside = others_of(pool, rows)
    told = torch.cat([asked, beside[torch.arange(len(beside))]["text"]])
    assert (len(asked), len(beside)) == (10, 11)
    assert sorted(told[:, 0].tolist()) == list(range(21))
    assert others_of(domains(rows), rows) is rows


def test_an_editor_that_changes_nothing_does_not_shine(reviews: Path) -> None:
    run = sparring.train(
        "text_style", data=str(reviews), rounds=2, batch=8, threads=1, snapshots=0, runs=str(reviews.parent),
        on_trouble="ignore", average=0.0, evaluate=False,
    )  # fmt: skip
    editor = run.model.modules["generator"]
    with torch.no_grad():
        editor.gate[2].bias.fill_(99.0)  # type: ignore[index, union-attr, operator]
    splits = open_data(run.plan.data)
    good = [splits["test"].about.vocabulary.index(word) + FIRST for word in ("good", "warm")]

    def read(texts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        said = torch.isin(texts, torch.tensor(good)).any(1)
        return KINDS["text"].coarse(texts), torch.stack([~said, said], 1).float()

    scored = run._judged(splits, "test", 100, 1, Extractor("by its words", "0", read, names_classes=True))
    assert (scored["samples"], scored["reference"]["count"]) == (19, 19)
    assert 0.2 < scored["metrics"]["class right"]["value"] < 0.8
    line = summary(scored)
    assert "class right" in line
    assert "frechet" not in line


def test_a_run_rewrites_the_texts_of_a_user(reviews: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["--rounds", "8", "--batch", "8", "--threads", "1", "--snapshots", "2", "--runs", str(reviews.parent)]
    assert cli.main(["train", "text_style", "--data", str(reviews), *quick, "--no-evaluate"]) == 0
    path = Path(capsys.readouterr().out.strip())
    shown = sorted((path / "samples").glob("*.txt"))[-1].read_text().split("\n\n")[0].splitlines()
    assert len(shown) == 3  # as it was, and in both styles
    assert "coverage" in (told := (path / "events.jsonl").read_text())
    assert "real scale" not in told  # of a thousand words it would be hundreds, and the doctor would complain
    (reviews.parent / "mine.txt").write_text("the zebra is so bad now\nthe tea is cold\n")
    run = trained.load(path)
    assert run.model.game.sample is not None
    with torch.no_grad():
        run.model.modules["generator"].gate[2].bias.fill_(99.0)  # type: ignore[index, union-attr, operator]
    assert run.translate_text("the zebra is so bad now", "good") == "the zebra is so bad now"
    passes: list[int] = []
    seen = run.model.modules["generator"].register_forward_hook(lambda *_: passes.append(1))
    lines = "the food is bad\n\nso warm\nthe tea is cold"
    assert run.translate_text(lines, "good") == lines  # the empty line is one, too
    assert len(passes) == 3  # lengths, not lines
    seen.remove()
    with pytest.raises(UserError, match="anchor=0 is a number of rounds"):
        text_style.build(text_style.Config(anchor=0), run.about)
    assert cli.main(["translate", str(path), str(reviews.parent / "mine.txt"), "--label", "good"]) == 0
    made = (path / "translated-good" / "mine.txt").read_text().splitlines()
    assert [len(line.split()) for line in made] == [6, 4]
    assert cli.main(["translate", str(path), str(reviews.parent / "mine.txt")]) == 2
    assert "translates to any of bad, good; say which" in " ".join(capsys.readouterr().err.split())
