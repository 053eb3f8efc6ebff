"""The linear probe: exact leave-one-out errors, features as they are documented, and what it must not change."""

import pytest
import torch
from torch import nn

from sparring.metrics.linear import Linear, errors, fitted, pooled_features
from sparring.nn.image import ConvDiscriminator


def direct(x: torch.Tensor, labels: torch.Tensor, classes: int, ridge: float) -> Linear:
    """Ridge regression by its normal equations, the intercept free: the slow definition."""
    targets = 2.0 * nn.functional.one_hot(labels, classes).double() - 1
    x = x.double()
    centred = x - x.mean(0)
    weight = torch.linalg.solve(
        centred.T @ centred + ridge * torch.eye(x.shape[1], dtype=torch.float64),
        centred.T @ (targets - targets.mean(0)),
    )
    return Linear(weight, targets.mean(0) - x.mean(0) @ weight, ridge)


def test_it_is_ridge_regression_and_its_left_out_errors_are_those_of_refitting() -> None:
    torch.manual_seed(0)
    x, labels = torch.randn(30, 4) * torch.tensor([1.0, 5, 0.2, 2]) + 3, torch.arange(30) % 3
    x[:, 0] += labels
    scale = float((x.double() - x.double().mean(0)).square().sum(1).mean())
    ridges = (1e-3, 1e-1, 1.0)
    wrong = {}
    for ridge in ridges:
        (found,) = (fitted(x, labels, 3, [ridge]),)
        slow = direct(x, labels, 3, ridge * scale)
        torch.testing.assert_close(found.weight, slow.weight)
        torch.testing.assert_close(found.bias, slow.bias)
        keep = ~torch.eye(30, dtype=torch.bool)
        # the strength is relative to the rows that are there, so the absolute one of all rows is refitted with
        left = [direct(x[k], labels[k], 3, ridge * scale) for k in keep]
        guesses = torch.stack([model(x[i : i + 1])[0] for i, model in enumerate(left)])
        wrong[ridge] = int((guesses != labels).sum())
    assert wrong[fitted(x, labels, 3, ridges).ridge] == min(wrong.values())


def test_noise_is_regularised_away_and_signal_is_not() -> None:
    torch.manual_seed(1)
    labels = torch.randint(0, 2, (200,))
    noise = torch.randn(200, 400)
    assert fitted(noise, labels, 2).ridge >= 1e-1
    clear = torch.stack([labels.float() * 9, torch.randn(200)], 1)
    assert errors(fitted(clear, labels, 2), clear, labels) == 0


def test_a_probe_reads_every_layer_and_leaves_the_network_alone() -> None:
    network = ConvDiscriminator((1, 28, 28), 8)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    pictures = torch.randint(0, 256, (5, 1, 28, 28), dtype=torch.uint8)
    network.train()
    found = pooled_features(network, pictures)
    assert found.shape == (5, 4 * 4 * (8 + 16 + 32))
    torch.testing.assert_close(pooled_features(network, pictures[2:3]), found[2:3])  # each by itself
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())
    with pytest.raises(ValueError, match="no activations"):
        pooled_features(nn.Linear(2, 2), pictures)
    with pytest.raises(ValueError, match="use \\(N, d\\)"):
        fitted(torch.zeros(3, 2), torch.zeros(4, dtype=torch.int64), 2)
