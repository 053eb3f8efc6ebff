"""Extractors by name, protocols of resizing, and published weights where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from sparring.config import UserError
from sparring.metrics.extractors import PRETRAINED, extractor_named, resized
from sparring.metrics.features import extract
from sparring.nn.dino import DinoV2
from sparring.nn.pretrained import FidInception, LeNet, SqueezeNet


def nets() -> Path:
    folder = Path(os.environ.get("SPARRING_DATA", "")) / "featnets"
    if not folder.is_dir():
        pytest.skip("SPARRING_DATA has no featnets")
    return folder


def test_the_inception_graph_is_the_one_of_the_published_file() -> None:
    network = FidInception()
    assert len(network.state_dict()) == 566
    assert sum(p.numel() for p in network.parameters()) == 23_850_960
    assert [t.shape for t in network.eval()(torch.zeros(1, 3, 299, 299))] == [(1, 2048), (1, 1008)]


def test_squeezenet_has_the_published_parameters() -> None:
    assert sum(p.numel() for p in SqueezeNet().parameters()) == 1_248_424


@pytest.mark.parametrize("protocol", ["tf1", "clean"])
def test_lenet_reads_mnist_as_published(protocol: str) -> None:
    from sparring.data import Data, open_data

    name = f"lenet:{nets() / 'lenet_mnist_csinva.safetensors'}"
    columns = open_data(Data(data="mnist"))["test"][torch.arange(10_000)]
    found = extract(extractor_named(name, protocol), columns["image"])  # type: ignore[arg-type]
    assert found.features.shape == (10_000, 84)
    assert found.logits is not None
    right = (found.logits.argmax(1) == columns["label"]).float().mean()
    assert float(right) == pytest.approx(0.9908, abs=0.0006)


def test_the_other_networks_take_their_files() -> None:
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    for kind, file, width in (
        ("resnet20", "resnet20-12fca82f", 64),
        ("resnet56", "resnet56-4bfd9763", 64),
        ("squeezenet", "squeezenet10_imagenet_bsd", 512),
    ):
        found = extract(extractor_named(f"{kind}:{nets() / file}.safetensors"), images)
        assert found.features.shape == (3, width)
        assert bool(found.features.isfinite().all())


def test_tf1_resizing_reads_at_the_corner_and_clean_is_bicubic_without_aliases() -> None:
    ramp = torch.arange(0, 200, 50, dtype=torch.uint8).view(1, 1, 1, 4).expand(1, 1, 4, 4)
    assert resized(ramp, 8, "tf1")[0, 0, 0].tolist() == [0, 25, 50, 75, 100, 125, 150, 150]
    noise = torch.randint(0, 256, (1, 1, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert float(resized(noise, 8, "clean").std()) < 0.4 * float(resized(noise, 8, "tf1").std())
    assert resized(noise, 64, "native").shape == (1, 1, 64, 64)
    with pytest.raises(UserError, match="protocol=native: this network takes 32x32, and the pictures are 64x64"):
        resized(noise, 32, "native")


def test_a_function_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def mean(images):\n    return images.float().mean((2, 3))\n")
    (tmp_path / "bad.py").write_text("def flat(images):\n    return images.float().mean()\n")
    images = torch.full((4, 2, 5, 5), 7, dtype=torch.uint8)
    one = extractor_named(f"{tmp_path}/mine.py:mean")
    assert extract(one, images).features.tolist() == [[7.0, 7.0]] * 4
    (tmp_path / "mine.py").write_text("def mean(images):\n    return images.float().mean((2, 3)) + 1\n")
    assert extractor_named(f"{tmp_path}/mine.py:mean").sha256 != one.sha256
    with pytest.raises(UserError, match="expected is a tensor of"):
        extract(extractor_named(f"{tmp_path}/bad.py:flat"), images)


def test_what_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(3)}, other)
    pickled = tmp_path / "evil.pth"
    torch.save({"a": Path}, pickled)
    plain = tmp_path / "lenet.pth"
    torch.save(LeNet().state_dict(), plain)
    assert extractor_named(f"lenet:{plain}").name == "lenet"
    for name, message in (
        ("lenet", "needs the file of its weights"),
        (f"lenet:{tmp_path}/none", "there is no file"),
        (f"lenet:{other}", "does not hold the weights of lenet"),
        (f"lenet:{pickled}", "more than weights, which is refused"),
        (f"inception:{plain}", "FID is defined by the file 6726825d"),
        ("lenett", "did you mean"),
        (f"{tmp_path}/none.onnx", "there is no file"),
    ):
        with pytest.raises(UserError, match=message):
            extractor_named(name)
    with pytest.raises(UserError, match="protocol=clear is not one of"):
        extractor_named("pixels", "clear")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [("dinov2-small", 22_056_576), ("dinov2-base", 86_580_480), ("dinov2-large", 304_368_640)],
)
def test_dinov2_has_the_published_parameters(kind: str, parameters: int) -> None:
    with torch.device("meta"):
        network = PRETRAINED[kind].network()
    assert sum(p.numel() for p in network.parameters()) == parameters
    names = set(network.state_dict())
    assert {"cls_token", "pos_embed", "mask_token", "patch_embed.proj.weight", "norm.bias"} <= names
    assert {"blocks.0.attn.qkv.weight", "blocks.11.ls2.gamma", "blocks.11.mlp.fc2.bias"} <= names


def test_a_block_of_dinov2_is_a_transformer_layer_with_scaled_branches() -> None:
    torch.manual_seed(0)
    network = DinoV2(128, 1).eval()
    block: Any = network.blocks[0]
    layer = torch.nn.TransformerEncoderLayer(128, 2, 512, 0.0, "gelu", 1e-6, True, True).eval()
    pairs = [
        (layer.self_attn.in_proj_weight, block.attn.qkv.weight), (layer.self_attn.in_proj_bias, block.attn.qkv.bias),
        (layer.linear1.weight, block.mlp.fc1.weight), (layer.linear1.bias, block.mlp.fc1.bias),
        (layer.self_attn.out_proj.weight, 0.3 * block.attn.proj.weight),
        (layer.self_attn.out_proj.bias, 0.3 * block.attn.proj.bias),
        (layer.linear2.weight, 0.7 * block.mlp.fc2.weight), (layer.linear2.bias, 0.7 * block.mlp.fc2.bias),
    ]  # fmt: skip
    with torch.no_grad():
        block.ls1.gamma.fill_(0.3)
        block.ls2.gamma.fill_(0.7)
        for mine, theirs in pairs:
            mine.copy_(theirs)
        x = torch.randn(2, 5, 128)
        assert torch.allclose(block(x), layer(x), atol=1e-5)


def test_dinov2_sees_at_any_size_and_is_taken_from_a_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = DinoV2(384, 12)
    with torch.no_grad():
        rows = torch.arange(37.0)[:, None].expand(37, 37).flatten()
        network.pos_embed[0, 1:, 0] = rows
        grid = network.positions(16, 16)[0, 1:, 0].reshape(16, 16)
        assert torch.allclose(grid[:, 0], grid[:, 9])
        steps = grid[1:, 0] - grid[:-1, 0]
        assert float(steps[4:-4].mean()) == pytest.approx(37 / 16.1, rel=3e-3)
        assert torch.equal(network.positions(37, 37), network.pos_embed)
    save_file({name: value.clone() for name, value in network.state_dict().items()}, tmp_path / "small.safetensors")
    images = torch.randint(0, 256, (2, 1, 20, 20), dtype=torch.uint8)
    found = extract(extractor_named(f"dinov2-small:{tmp_path / 'small.safetensors'}"), images)
    assert found.features.shape == (2, 384)
    assert found.logits is None
    with pytest.raises(UserError, match="does not hold the weights of dinov2-base"):
        extractor_named(f"dinov2-base:{tmp_path / 'small.safetensors'}")
