"""Likelihoods, bounds, codes: each against what is known exactly."""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

import sparring
from sparring.config import UserError, read_json
from sparring.data import About
from sparring.engine import Train, start, train
from sparring.metrics.likelihood import bounds, gaussian_kl, importance_bound, normal_log_density
from sparring.nn.autoencoder import Codebook, CodeGaussian, CodePrior, ConvDown, ConvUp, Decoder, drawn, posterior
from sparring.nn.likelihoods import Bernoulli, DiscretisedLogistic, Gaussian
from sparring.optimizers import Adam
from sparring.recipes import ae, vae, vae_gan, vqvae
from sparring.schedules import Schedule

PICTURES = About("p", "image", (1, 8, 8))


def test_the_kl_of_gaussians_is_that_of_monte_carlo_and_0_for_the_prior() -> None:
    torch.manual_seed(0)
    mean, log_variance = torch.randn(3, 4), torch.randn(3, 4)
    z = drawn(mean, log_variance, 200_000)
    ratio = normal_log_density(z, mean[:, None], log_variance[:, None]) - normal_log_density(z)
    torch.testing.assert_close(gaussian_kl(mean, log_variance), ratio.mean(1), rtol=0.01, atol=0.02)
    assert gaussian_kl(torch.zeros(2, 3), torch.zeros(2, 3)).tolist() == [0, 0]
    wide = gaussian_kl(torch.zeros(1, 1), torch.tensor([[2.0]])).item()
    assert wide == pytest.approx(0.5 * (math.e**2 - 3))  # the sign of the log-variance


@pytest.mark.parametrize("scale", [0.002, 0.05, 3.0])
def test_a_discretised_logistic_sums_to_1_over_the_256_values(scale: float) -> None:
    likelihood = DiscretisedLogistic(scale)
    values = torch.arange(256).float() * 2 / 255 - 1
    for mean in (-1.3, -1.0, 0.1, 0.999):
        log_p = likelihood.log_density(torch.tensor(mean), values).double()
        assert log_p.isfinite().all()
        assert log_p.exp().sum().item() == pytest.approx(1, abs=2e-3)  # narrow bins are rounded in float32


def test_densities_are_torchs_and_bits_are_drawn_by_their_probability() -> None:
    torch.manual_seed(0)
    x, out = torch.rand(5, 4) * 2 - 1, torch.randn(5, 4)
    normal = torch.distributions.Normal(out, 0.3)
    torch.testing.assert_close(Gaussian(0.3).log_density(out, x), normal.log_prob(x))
    bits = Bernoulli().observe(x)
    torch.testing.assert_close(
        Bernoulli().log_density(out, bits), torch.distributions.Bernoulli(logits=out).log_prob(bits)
    )
    many = Bernoulli().observe(torch.full((20_000,), -0.4))
    assert many.unique().tolist() == [0, 1]
    assert many.mean().item() == pytest.approx(0.3, abs=0.02)
    torch.testing.assert_close(Bernoulli().mean(Bernoulli().offset(torch.tensor(0.3))), torch.tensor(-0.4))


def test_a_decoder_begins_at_the_mean_of_the_data_and_sums_over_pixels() -> None:
    torch.manual_seed(0)
    game = vae.build(vae.Config(width=8, latent=3), PICTURES)
    decoder = game.modules["decoder"]
    assert isinstance(decoder, Decoder)
    for parameter in decoder.parameters():
        torch.nn.init.zeros_(parameter)
    decoder.meet(torch.full((4, 1, 8, 8), 0.5))
    blank = decoder.log_prob(torch.zeros(2, 5, 3), torch.ones(2, 1, 8, 8))
    torch.testing.assert_close(blank, torch.full((2, 5), -64 * math.log(2)))
    decoder.met.zero_()
    decoder.meet(torch.full((4, 1, 8, 8), 0.25))
    shown = decoder.mean(torch.zeros(1, 3))
    torch.testing.assert_close(shown, torch.full((1, 1, 8, 8), -0.5))
    for _ in range(200):
        decoder.meet(torch.full((4, 1, 8, 8), 0.25))
    decoder.meet(torch.zeros(4, 1, 8, 8))  # long after the first hundred
    torch.testing.assert_close(decoder.centre, torch.full((1, 8, 8), 0.25))


def stream(x: Tensor, batch: int) -> Iterator[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    while True:
        yield {"point": x[torch.randint(len(x), (batch,), generator=generator)]}


def factor_data(n: int) -> tuple[Tensor, float, float]:
    """(n, 6) points of two factors and noise; their mean log-likelihood under probabilistic PCA's optimum; its noise.

    Tipping and Bishop 1999, equations 7 and 8: the least eigenvalues' mean is the noise; the rest stays.
    """
    generator = torch.Generator().manual_seed(3)
    loadings = torch.tensor([[2.0, 0, 1, 0, 0.5, 0], [0, 1.5, 0, 1, 0, -0.5]])
    x = torch.randn(n, 2, generator=generator) @ loadings + 0.5 * torch.randn(n, 6, generator=generator) + 1.0
    values = torch.linalg.eigvalsh(torch.cov(x.T, correction=0).double())
    noise = values[:4].mean()
    log_likelihood = -0.5 * (6 * math.log(2 * math.pi) + values[4:].log().sum() + 4 * noise.log() + 6)
    return x, log_likelihood.item(), noise.sqrt().item()


def linear(x: Tensor, beta: float = 1.0, rounds: int = 1500) -> tuple[float, float]:
    """(bound, learnt noise) of a VAE without hidden layers after training, the bound at weight 1."""
    torch.manual_seed(0)
    config = replace(
        vae.PRESETS["points"],
        hidden=(),
        latent=2,
        beta=beta,
        rounds=rounds,
        average=0.0,
        optimizer=Adam(2e-2, 0.9, 0.99),
    )
    game = vae.build(config, About("factors", "point", (6,)))
    train(game, stream(x, 256), Train(config.rounds))
    assert game.bound is not None
    found = bounds(partial(game.bound.log_weights, game.modules), x, 20)
    decoder = game.modules["decoder"]
    assert isinstance(decoder, Decoder)
    assert isinstance(decoder.likelihood, Gaussian)
    return found.elbo.value, decoder.likelihood.log_scale.exp().item()


def test_a_linear_vae_reaches_the_optimum_of_probabilistic_pca_and_a_wrong_weight_does_not() -> None:
    x, best, noise = factor_data(4000)
    bound, learnt = linear(x)
    assert best - 0.03 < bound < best + 0.01
    assert learnt == pytest.approx(noise, rel=0.03)
    mean_over_values, _ = linear(x, beta=6.0, rounds=500)  # the mean over the 6 values instead of their sum
    assert mean_over_values < best - 0.3


def test_the_bound_of_more_weights_is_tighter() -> None:
    torch.manual_seed(0)
    game = vae.build(vae.Config(networks="dense", hidden=(), latent=4), PICTURES)
    for parameter in game.modules["decoder"].parameters():
        parameter.data.mul_(4)  # so that the code matters
    x = torch.rand(40, 1, 8, 8) * 2 - 1
    assert game.bound is not None
    weights = game.bound.log_weights(game.modules, x, 256).detach()
    # the same weights in groups of k: by Jensen's inequality, larger groups are never lower
    tight = [importance_bound(weights.reshape(-1, k)).mean().item() for k in (1, 4, 16, 64, 256)]
    assert tight == sorted(tight)
    assert tight[-1] > tight[0] + 0.1
    found = bounds(partial(game.bound.log_weights, game.modules), x, 64)
    assert found.nll.value < -found.elbo.value
    assert found.nll.se is not None
    assert found.nll.se > 0
    inside = torch.log(weights.double().exp().mean(1))
    torch.testing.assert_close(importance_bound(weights).double(), inside, rtol=1e-4, atol=1e-3)


def test_bounds_do_not_depend_on_how_many_are_taken_at_once() -> None:
    def weights(part: Tensor, k: int) -> Tensor:
        return part[:, :k]

    x = torch.randn(10, 6)
    one, other = bounds(weights, x, 6, at_once=6), bounds(weights, x, 6)
    assert one == other
    assert one.elbo.value == pytest.approx(x.mean().item())


def test_a_bound_of_many_weights_trains_and_beta_has_no_place_in_it() -> None:
    torch.manual_seed(0)
    config = vae.Config(width=8, latent=3, importance=5, rounds=2, batch=8)
    game = vae.build(config, PICTURES)
    before = [p.detach().clone() for p in game.modules["encoder"].parameters()]
    images = ({"image": torch.rand(8, 1, 8, 8) * 2 - 1} for _ in range(2))
    train(game, images, Train(2))
    assert any(not torch.equal(a, b) for a, b in zip(before, game.modules["encoder"].parameters(), strict=True))
    with pytest.raises(UserError, match="beta=1"):
        vae.build(replace(config, beta=0.5), PICTURES)
    with pytest.raises(UserError, match="--preset points"):
        vae.build(replace(config, networks="dense"), About("ring", "point", (2,)))


def test_beta_follows_its_schedule() -> None:
    torch.manual_seed(0)
    game = vae.build(vae.Config(width=8, latent=3, beta=Schedule(0.0, 2.0)), PICTURES)
    assert game.on_round is not None
    assert game.prepare is not None
    batch = game.prepare({"image": torch.rand(8, 1, 8, 8) * 2 - 1})
    for progress, weight in ((0.0, 0.0), (0.5, 1.0)):
        game.on_round(progress)
        loss = game.players[0].loss(batch)
        torch.testing.assert_close(loss.terms["divergence"].detach(), weight * loss.watch["kl"])


def test_an_evaluation_gives_bounds_that_can_be_repeated_and_samples_are_of_their_seed(tmp_path: Path) -> None:
    run = sparring.train(
        "vae", data="digits", rounds=60, batch=32, width=8, threads=1, snapshots=1, runs=str(tmp_path), quiet=True
    )
    first = read_json(run.path / "evaluation.json")["metrics"]
    again = sparring.load(run.path).evaluate()["metrics"]
    elbo, nll = (next(row for name, row in first.items() if name.startswith(word)) for word in ("elbo", "nll"))
    assert nll["value"] <= -elbo["value"]
    assert (elbo["better"], nll["better"]) == ("higher", "lower")
    assert nll["se"] > 0
    assert 0 < first["reconstruction error"]["value"] < 1
    assert again["elbo (bernoulli)"] == first["elbo (bernoulli)"]
    assert "Lower bound on the log-probability" in (run.path / "report.html").read_text()
    assert torch.equal(run.sample(4, seed=3), sparring.load(run.path).sample(4, seed=3))


def test_a_codebook_lets_the_gradient_straight_through() -> None:
    torch.manual_seed(0)
    book = Codebook(8, 3).eval()
    z = torch.randn(2, 3, 4, 4, requires_grad=True)
    quantised, index = book(z)
    torch.testing.assert_close(quantised, book.look_up(index))
    distance = torch.cdist(z.detach().movedim(1, -1).reshape(-1, 3), book.codes)
    assert torch.equal(distance.argmin(1).view(2, 4, 4), index)
    weights = torch.randn_like(z)
    (gradient,) = torch.autograd.grad((quantised * weights).sum(), z)
    torch.testing.assert_close(gradient, weights)


def test_codes_move_to_the_means_of_their_inputs_and_none_stays_dead() -> None:
    torch.manual_seed(0)
    book, centres = Codebook(8, 2), torch.tensor([[0.0, 0], [5, 0], [0, 5], [5, 5]])
    book.codes.fill_(100.0)  # too far away for any input but by revival
    for _ in range(300):
        z = centres[torch.randint(4, (64,))] + 0.1 * torch.randn(64, 2)
        book(z.T[None, :, None])
    nearest = torch.cdist(centres, book.codes).min(1).values
    assert nearest.max() < 0.2
    assert (book.codes < 10).all()
    still = book.codes.clone()
    book.eval()(torch.randn(1, 2, 1, 9))
    assert torch.equal(book.codes, still)


def test_the_prior_sees_only_what_is_before_and_draws_what_it_predicts() -> None:
    torch.manual_seed(0)
    prior = CodePrior(5, 6, 16, 2).eval()
    index = torch.randint(5, (1, 6))
    other = index.clone()
    other[0, 3] = (other[0, 3] + 1) % 5
    one, two = prior(index), prior(other)
    torch.testing.assert_close(one[:, :4], two[:, :4])
    assert not torch.allclose(one[:, 4:], two[:, 4:])
    with torch.no_grad():
        drawn_codes = prior.draw(torch.rand(4000, 6))
        found = torch.zeros(5, 5)
        for first, second in drawn_codes[:, :2].tolist():
            found[first, second] += 1 / 4000
        logits = prior(torch.tensor([[k, 0, 0, 0, 0, 0] for k in range(5)]))
        wanted = logits[0, 0].softmax(0)[:, None] * logits[:, 1].softmax(1)
    torch.testing.assert_close(found, wanted, atol=0.02, rtol=0)


def test_the_sampler_of_an_autoencoder_has_the_moments_of_its_codes() -> None:
    torch.manual_seed(0)
    codes, turn = CodeGaussian(3, keep=0.9), torch.tensor([[2.0, 0, 0], [1, 0.5, 0], [0, 0, 0.1]])
    for _ in range(200):
        codes.meet(torch.randn(500, 3) @ turn + 1)
    made = codes(torch.randn(20_000, 3))
    torch.testing.assert_close(made.mean(0), torch.ones(3), atol=0.1, rtol=0)
    torch.testing.assert_close(torch.cov(made.T), turn.T @ turn, atol=0.2, rtol=0.1)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 30, 45), (1, 5, 5)])
def test_odd_sizes_come_back_as_they_were(shape: tuple[int, int, int]) -> None:
    down = ConvDown(shape, 8, 6)
    code = down(torch.randn(2, *shape))
    assert code.shape == (2, 6, *down.side)
    assert ConvUp(6, 8, shape)(code).shape == (2, *shape)


def test_an_encoder_of_a_vae_gan_does_not_feel_the_verdict() -> None:
    torch.manual_seed(0)
    game = vae_gan.build(vae_gan.Config(width=8, discriminator_width=8, latent=4), PICTURES)
    assert set(game.player("encoder").loss({"image": torch.rand(4, 1, 8, 8)}).terms) == {"reconstruction", "divergence"}
    with pytest.raises(UserError, match="level=9"):
        vae_gan.build(vae_gan.Config(level=9), PICTURES)
    with pytest.raises(UserError, match="of pairs"):
        vae_gan.build(vae_gan.Config(objective="relativistic"), PICTURES)


def test_the_prior_of_a_vqvae_begins_where_the_autoencoder_stops() -> None:
    game = vqvae.build(vqvae.Config(rounds=10, phase=0.3), PICTURES)
    acting = [[p.name for p in game.players if p.acts(number)] for number in range(10)]
    assert acting == [["autoencoder"]] * 3 + [["prior"]] * 7
    assert vqvae.perplexity(torch.tensor([0, 1, 2, 3]), 8).item() == pytest.approx(4)
    with pytest.raises(UserError, match="phase=1"):
        vqvae.build(vqvae.Config(phase=1.0), PICTURES)


def test_an_autoencoder_learns_to_rebuild_points_on_a_line() -> None:
    torch.manual_seed(0)
    along = torch.rand(2000, 1) * 4 - 2
    config = replace(ae.PRESETS["points"], rounds=400, average=0.0)
    game = ae.build(config, About("line", "point", (2,)))
    state = start(game)
    x = torch.cat([along, along.sin()], dim=1)
    train(game, stream(x, 128), Train(config.rounds), state)
    assert game.reconstruct is not None
    assert (game.reconstruct(game.modules, x) - x).square().mean().sqrt() < 0.1
    mean, log_variance = posterior(torch.nn.Linear(2, 4), x)
    assert mean.shape == log_variance.shape == (2000, 2)
