"""The semi-supervised recipe: its terms, its control, and that its classifier is used like any other."""

from pathlib import Path

import pytest
import torch

import sparring
from sparring import training
from sparring.config import UserError
from sparring.data.few import LABELLED
from sparring.recipes import semi_supervised

QUICK = {"rounds": 4, "batch": 16, "threads": 1, "snapshots": 2, "evaluate": False, "quiet": True}


def test_a_classifier_of_few_labels_is_used_like_any_other(tmp_path: Path) -> None:
    settings = {**QUICK, "runs": str(tmp_path), "data": "digits", "labelled": 30}
    run = sparring.train("semi_supervised", **settings)
    pictures = sparring.open_data(sparring.Data(data="digits"))["test"][torch.arange(20)]["image"]
    probabilities = run.classify(pictures)
    assert probabilities.shape == (20, 10)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(20))
    assert {"accuracy", "frechet distance"} <= set(run.evaluate()["metrics"])
    assert run.sample(3).shape == (3, 1, 8, 8)
    with pytest.raises(UserError, match="not made by label"):
        run.sample(3, label=7)
    with pytest.raises(UserError, match=r"uint8 \(N, 1, 8, 8\)"):
        run.classify(pictures.float())
    alone = sparring.train("semi_supervised", preset="labels-only", **settings)
    assert set(alone.evaluate()["metrics"]) == {"accuracy"}
    with pytest.raises(UserError, match="makes no samples"):
        alone.sample(3)


def test_the_control_begins_with_the_same_classifier(tmp_path: Path) -> None:
    settings = {**QUICK, "runs": str(tmp_path), "data": "digits", "labelled": 30, "seed": 5}
    first = [sparring.train("semi_supervised", preset=preset, **settings) for preset in ("tuned", "labels-only")]
    weights = [training.assemble(run.plan, run.about, run.machine).modules["classifier"].state_dict() for run in first]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_the_terms_are_those_of_one_class_more() -> None:
    """Salimans et al. 2016, section 5: a softmax over K + 1 classes whose last logit is 0."""
    about = sparring.open_data(sparring.Data(data="digits"))["train"].about
    game = semi_supervised.build(semi_supervised.Config(noise=0.0), about)
    torch.manual_seed(0)
    batch = {"image": torch.rand(6, 1, 8, 8) * 2 - 1, LABELLED: torch.rand(6, 1, 8, 8) * 2 - 1}
    batch |= {"label": torch.arange(6)}
    assert game.prepare is not None
    full = game.prepare(batch)
    terms = game.player("classifier").loss(full).terms
    network = game.modules["classifier"]

    def one_more(x: torch.Tensor) -> torch.Tensor:
        return torch.cat([network(x), torch.zeros(len(x), 1)], 1).log_softmax(1)

    generated = one_more(full["fake"])[:, -1]
    real = one_more(batch["image"])[:, :-1].logsumexp(1)
    torch.testing.assert_close(terms["real"], -real.mean() / 2)
    torch.testing.assert_close(terms["fake"], -generated.mean() / 2)
    # given that it is real, the classes share what is left: the cross-entropy of K classes
    labelled = one_more(batch[LABELLED])
    given = labelled[torch.arange(6), batch["label"]] - labelled[:, :-1].logsumexp(1)
    torch.testing.assert_close(terms["cross-entropy"], -given.mean())
    matched = game.player("generator").loss(full).terms["feature matching"]
    apart = network.features(batch["image"]).mean(0) - network.features(full["fake"]).mean(0)  # type: ignore[operator]
    torch.testing.assert_close(matched, apart.square().mean())
