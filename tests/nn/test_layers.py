import pytest
import torch

from sparring.config import UserError
from sparring.nn.layers import FourierFeatures, Maxout, MinibatchDeviation, packed


def test_minibatch_deviation_tells_a_collapsed_group_from_a_varied_one() -> None:
    layer = MinibatchDeviation(group=4)
    x = torch.randn(8, 3, 5, 5)
    out = layer(x)
    assert out.shape == (8, 4, 5, 5)
    assert torch.equal(out[:, :3], x)
    groups = x.view(4, 2, 3, 5, 5)  # samples 0, 2, 4, 6 and 1, 3, 5, 7
    expected = groups.std(0, correction=0).mean((1, 2, 3))
    torch.testing.assert_close(out[:, 3, 0, 0], expected.repeat(4), rtol=1e-4, atol=1e-5)
    same = layer(x[:1].repeat(8, 1, 1, 1))
    assert float(same[:, 3].max()) < 1e-3
    with pytest.raises(UserError, match="not a multiple of the 4"):
        layer(torch.randn(6, 3, 5, 5))


def test_a_pack_stacks_neighbours_on_their_channels() -> None:
    x = torch.arange(24.0).view(4, 2, 3)
    both = packed(x, 2)
    assert both.shape == (2, 4, 3)
    assert torch.equal(both[0], torch.cat([x[0], x[1]]))
    assert packed(x, 1) is x


def test_maxout_takes_the_largest_piece() -> None:
    layer = Maxout(3, 2, pieces=4)
    x = torch.randn(5, 3)
    pieces = layer.linear(x).view(5, 4, 2)
    assert torch.equal(layer(x), pieces.max(1).values)


def test_fourier_features_keep_the_input_and_add_waves() -> None:
    layer = FourierFeatures(2, 6)
    x = torch.randn(5, 2)
    out = layer(x)
    assert out.shape == (5, 14)
    assert torch.equal(out[:, :2], x)
    torch.testing.assert_close(out[:, 2:8].square() + out[:, 8:].square(), torch.ones(5, 6))
