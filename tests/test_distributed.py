"""Several processes, one result."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

import sparring
from sparring import checkpoint, cli, sampling, session, trial
from sparring.config import UserError
from sparring.data import Data, clusters, open_data
from sparring.distributed import ALONE, Shards, World, joined, tree
from sparring.engine import flat, spread
from sparring.game import Loss
from sparring.machine import shared_device
from sparring.runs import read_events, write_config
from sparring.testing import toy_game
from sparring.trial import Trial, check_norm, choose_threads
from tests.cases import CPU, plan_of
from tests.worlds import answer, hash_of, name_of, short

HERE = Path(__file__).parent
FOUR = ["dcgan/classic/digits", "wgan_gp/tuned/digits", "r3/tiny/digits", "vae/tuned/digits"]
SYNCHRONISED = ["synchronised dcgan/classic/digits", "synchronised mlp/tuned/ring", "synchronised vae_gan/tuned/digits"]
OF_A_SHARD = {
    "text_to_image/tuned/shapes": "wrong captions are those of other pictures of the shard",
    "word_translation/tuned/words": "the words that refinements look at are those that shard 0 has seen",
    "text_style/tuned/moods": "how much is drawn depends on the words of a shard",
    "ae/tuned/digits": "the decoder's mean of the data is that of shard 0",
    "ae/dense/digits": "the decoder's mean of the data is that of shard 0",
    "ae/points/ring": "the decoder's mean of the data is that of shard 0",
    "vae/tuned/digits": "the decoder's mean of the data is that of shard 0",
    "vae/mnist/digits": "the decoder's mean of the data is that of shard 0",
    "vae/points/ring": "the decoder's mean of the data is that of shard 0",
    "vqvae/tuned/pictures": "codes that nothing chooses move to places that shard 0 has seen",
    "semi_supervised/tuned/digits": "features are matched by their means over a shard",
    "semi_supervised/paper/digits": "features are matched by their means over a shard",
    "sequence/seqgan/letters": "the usual reward, which gains are measured from, is that of a shard",
    "sequence/seqgan/verses": "the usual reward, which gains are measured from, is that of a shard",
}
"""Why two shards are not the whole batch, beyond batch norm."""
NOT_COMPARED = {"text_style/tuned/moods", "vqvae/tuned/pictures"}
"""Whose draws cannot be dealt out."""
QUICK = {"mlp/smallest/digits", "wgan_gp/tuned/digits", "sngan/tuned/ring", "r3/tiny/digits", "ae/points/ring"}


def torchrun(processes: int, *arguments: str, module: bool = False) -> subprocess.CompletedProcess[str]:
    """A command in so many processes, one thread each."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [*launcher, *(["-m"] if module else []), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)


def hashes(processes: int, shards: int, pictures: Path, out: Path, chosen: list[str]) -> dict[str, str]:
    out.mkdir()
    done = torchrun(processes, str(HERE / "worlds.py"), str(pictures), str(out), str(shards), *chosen)
    assert done.returncode == 0, done.stderr[-3000:]
    every = [json.loads(file.read_text()) for file in sorted(out.glob("*.json"))]
    assert len(every) == processes
    assert all(each == every[0] for each in every), "processes differ from each other"
    return dict(every[0])


@pytest.fixture(scope="module")
def by_two(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    every = [name_of(*case) for case in short()] + SYNCHRONISED + [f"apart {name}" for name in QUICK]
    return hashes(2, 2, pictures, tmp_path_factory.mktemp("worlds") / "two", every)


@pytest.mark.parametrize(("recipe", "preset", "data"), short(), ids=lambda v: v if isinstance(v, str) else v["data"])
def test_two_processes_are_bitwise_one(
    recipe: str,
    preset: str,
    data: dict[str, str],
    pictures: Path,
    by_two: dict[str, str],
) -> None:
    assert hash_of(recipe, preset, data, pictures, Shards(2)) == by_two[name_of(recipe, preset, data)]


@pytest.mark.parametrize("case", SYNCHRONISED)
def test_synchronised_batch_norm_is_bitwise_that_of_one_process(
    case: str, pictures: Path, by_two: dict[str, str]
) -> None:
    assert answer(case, pictures, Shards(2)) == by_two[case]
    assert by_two[case] != by_two[case.rpartition(" ")[2]]


def test_worlds_of_1_2_and_4_are_one(pictures: Path, tmp_path: Path) -> None:
    cases = [*FOUR, SYNCHRONISED[0]]
    alone = {case: answer(case, pictures, Shards(4)) for case in cases}
    assert hashes(2, 4, pictures, tmp_path / "two", cases) == alone
    assert hashes(4, 4, pictures, tmp_path / "four", cases) == alone


def far(found: Mapping[str, Any], chosen: Iterable[str]) -> set[str]:
    """Those whose losses or gradients differ by more than a millionth from the whole batch's."""
    return {name for name in chosen if max(found[f"apart {name}"].values()) > 1e-6}


def test_two_processes_are_the_whole_batch_in_float64(by_two: dict[str, Any]) -> None:
    assert far(by_two, QUICK) == QUICK & set(OF_A_SHARD)


@pytest.mark.long
def test_two_processes_are_the_whole_batch_for_every_recipe(pictures: Path, tmp_path: Path) -> None:
    chosen = {name_of(*case) for case in short()} - NOT_COMPARED
    found = hashes(2, 2, pictures, tmp_path / "apart", [f"apart {name}" for name in sorted(chosen)])
    assert far(found, chosen) == chosen & set(OF_A_SHARD)


def test_a_synchronised_layer_is_the_whole_one_and_so_are_its_derivatives() -> None:
    x, weight = torch.randn(12, 3, 4, dtype=torch.float64), torch.randn(12, dtype=torch.float64)

    def slopes(rows: torch.Tensor, share: torch.Tensor) -> list[torch.Tensor]:
        score = (layer(points := rows.clone().requires_grad_()).pow(3).flatten(1).sum(1) * share).sum()
        (first,) = torch.autograd.grad(score, points, create_graph=True)
        return [score.detach(), first.detach(), *torch.autograd.grad(first.square().sum(), points)]

    layer = torch.nn.BatchNorm1d(3, dtype=torch.float64)
    whole = slopes(x, weight)
    statistics = layer.running_mean.clone(), layer.running_var.clone()
    layer.reset_running_stats()
    parts = list(zip(x.chunk(4), weight.chunk(4), strict=True))
    found = Shards(4, together=True).each([layer], lambda n: slopes(*parts[n]))
    assert torch.allclose(sum(score for score, *_ in found), whole[0])
    for order in (1, 2):
        assert torch.allclose(torch.cat([each[order] for each in found]), whole[order], rtol=1e-10)
    assert torch.allclose(torch.stack(statistics), torch.stack([layer.running_mean, layer.running_var]))


def test_gradients_of_what_was_made_in_another_turn_are_added_in_one_order() -> None:
    torch.manual_seed(0)
    net, rows = torch.nn.Linear(64, 64), torch.randn(2, 3, 32, 64)

    def slopes(together: bool) -> list[torch.Tensor]:
        def made(n: int) -> list[torch.Tensor]:
            late = torch.zeros(1, requires_grad=True)
            for _ in range(50):  # many steps, so that those of the loss would come before in a count begun anew
                late = late + 1
            return [net(part).tanh() for part in rows[n, :2]]

        def slope(n: int) -> torch.Tensor:
            one, other = shared[n]
            loss = net(rows[n, 2]).sin().square().exp().sum() + (one.square().sum() + other.pow(3).sum())
            return torch.autograd.grad(loss, [net.weight])[0]

        shards = Shards(2, together=together)
        shared = shards.each([net], made)
        return shards.each([net], slope)

    assert all(torch.equal(*pair) for pair in zip(slopes(False), slopes(True), strict=True))


def test_shards_that_meet_unequally_or_fail_end_in_words() -> None:
    layer = torch.nn.BatchNorm1d(3)
    shards = Shards(2, together=True)
    with pytest.raises(RuntimeError, match="do not meet as often"):
        shards.each([layer], lambda n: layer(torch.randn(4, 3)) if n == 0 else None)
    with pytest.raises(RuntimeError, match="do not meet as often"):
        shards.each([layer], lambda n: layer(torch.randn(4, 3)) if n == 1 else None)
    with pytest.raises(ZeroDivisionError):
        shards.each([layer], lambda n: layer(torch.randn(4, 3)) / (n // n))


def test_sums_do_not_depend_on_who_added_the_lower_branches() -> None:
    torch.manual_seed(0)
    values = list(torch.randn(8, 1000) * 10.0 ** torch.randint(-3, 4, (8, 1)))
    whole = tree(values)
    for share in (2, 4):
        assert torch.equal(tree([tree(values[i : i + share]) for i in range(0, 8, share)]), whole)
    assert not torch.equal(torch.stack(values).sum(0), whole)  # what the tree is for
    assert torch.equal(tree(values[:3]), values[0] + values[1] + values[2])


def test_a_batch_is_cut_in_the_order_of_its_rows() -> None:
    batch = {"point": torch.arange(8.0)[:, None]}
    assert [part["point"].flatten().tolist() for part in Shards(4).cut(batch)] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert Shards(1).cut(batch) == [batch]
    assert list(Shards(4, World(1, 2)).mine) == [2, 3]
    assert ALONE.told({"a": 1}) == {"a": 1}


@pytest.mark.parametrize(("count", "size", "message"), [(4, 3, "start 1, 2, 4 of them"), (0, 1, "at least 1")])
def test_shards_that_cannot_be_shared_are_refused(count: int, size: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Shards(count, World(0, size))


@dataclass(frozen=True)
class Beside(World):
    """The first of two processes; what the other one found is given."""

    size: int = 2
    other: torch.Tensor = field(default_factory=lambda: torch.empty(0))

    def gathered(self, mine: torch.Tensor) -> list[torch.Tensor]:
        return [mine, self.other]


def test_a_gradient_that_only_another_process_found_is_followed() -> None:
    head, unused = torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(3))
    owned, loss = [head, unused], Loss({"objective": torch.tensor(3.0)})
    there = flat(loss, [torch.tensor([2.0, 4.0]), None], owned)
    nothing = flat(Loss({"objective": torch.tensor(1.0)}), [None, None], owned)
    mean = spread(Shards(2, Beside(other=there)).mean([nothing]), loss, owned, [False, False])
    assert head.grad is not None
    assert head.grad.tolist() == [1.0, 2.0]
    assert unused.grad is None
    assert float(mean.terms["objective"]) == 2.0


def test_a_small_set_gets_a_batch_that_shards_can_share(tmp_path: Path) -> None:
    plan = session.plan_of("dcgan", None, {"reproducible": True})
    assert session.fit_batch(plan, 50, Console(quiet=True), 4).model.batch == 24
    assert session.fit_batch(plan, 50, Console(quiet=True)).model.batch == 25
    with pytest.raises(UserError, match="use 8 or more"):
        sparring.train("dcgan", shards=4, batch=4, rounds=4, data="digits", runs=str(tmp_path), quiet=True)


def test_synchronised_shards_may_be_of_one_sample_each(tmp_path: Path) -> None:
    words = {"shards": 2, "batch": 2, "rounds": 2, "data": "digits", "evaluate": False, "runs": str(tmp_path)}
    with pytest.raises(UserError, match="use 4 or more"):
        sparring.train("dcgan", quiet=True, **words)
    run = sparring.train("dcgan", quiet=True, sync_norm=True, **words)
    assert run.plan.how.sync_norm
    on_gpu = dataclasses.replace(run.machine, device=torch.device("meta"))  # not the CPU
    with pytest.raises(UserError, match="start 2 processes, or leave --sync-norm out"):
        check_norm(run.model.game, run.plan, on_gpu, Shards(2, together=True))


def test_only_the_run_of_this_launcher_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def begun(name: str, launch: str) -> None:
        (tmp_path / name).mkdir()
        plan, about = session.plan_of("dcgan", None, {}), open_data(Data(data="digits"))["train"].about
        write_config(tmp_path / name, plan, about, {"launch": launch})

    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "mine")
    begun("other", session.launcher())
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "another")  # the same process number, in a container of its own
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert session.relaunched(tmp_path) is None
    begun("mine", session.launcher())
    assert session.relaunched(tmp_path) == str(tmp_path / "mine")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    assert session.relaunched(tmp_path) is None


def test_each_process_has_a_device_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert shared_device("auto") == torch.device("cpu")
    with pytest.raises(UserError, match="not for several processes"):
        shared_device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert shared_device("auto") == torch.device("cuda")
    with pytest.raises(UserError, match="names one device"):
        shared_device("cuda:1")
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(UserError, match="there are 2 CUDA devices"):
        shared_device("cuda")


def test_several_processes_without_a_launcher_are_told_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MASTER_ADDR", "MASTER_PORT", "RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="start them by torchrun"), joined():
        pass


def test_clusters_do_not_depend_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, components = list[int](), clusters.components
    monkeypatch.setattr(clusters, "components", lambda s: seen.append(torch.get_num_threads()) or components(s))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert clusters.clustered(open_data(Data(data="digits"))["train"], 20).about.invented
        assert (seen, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)


TRAIN = ["sparring", "train", "cdcgan", "--reproducible", "--no-evaluate", "--snapshots", "2", "--save-every", "0"]


def test_what_reproducible_costs_is_not_measured_where_the_memory_may_be_for_small_shards_only(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, source = plan_of("mlp", "smallest", {"data": "digits"}, pictures)

    def measured(shards: int | None) -> Trial:
        how = dataclasses.replace(plan.how, reproducible=True, shards=shards)
        return choose_threads(dataclasses.replace(plan, how=how), source, CPU, Shards(shards or 4))[1]

    played, real = list[int](), trial.trial

    def small(*given: Any, **more: Any) -> Trial:  # as a GPU would
        shards = given[4] if len(given) > 4 else more["shards"]
        played.append(shards.count)
        if shards.count == 1:
            raise torch.OutOfMemoryError
        return real(*given[:3], 0.01, shards)

    monkeypatch.setattr(trial, "trial", small)
    assert measured(None).otherwise is None
    assert measured(8).otherwise is None
    assert played == [4, 1, 8]


def last(run: Path) -> str:
    """Round and hash of the newest checkpoint."""
    return checkpoint.listed(run / "checkpoints")[-1].name


def test_a_reproducible_run_by_torchrun_is_that_of_one_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = sparring.train("cdcgan", reproducible=True, evaluate=False, rounds=40, runs=str(tmp_path), name="alone")
    cost = re.search(r"costs ([\d.]+) x the time: ([\d.]+) ms a round, ([\d.]+) ms without", capsys.readouterr().err)
    assert cost is not None
    times, ours, without = map(float, cost.groups())
    assert times == pytest.approx(ours / without, abs=0.1)
    words = [*TRAIN, "--rounds", "40", "--runs", str(tmp_path), "--name", "two"]
    done = torchrun(2, *words, module=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == [str(tmp_path / "two")]  # said once
    assert done.stderr.count("results") == 1
    assert done.stderr.count("x the time") == 1
    assert last(tmp_path / "two") == last(alone.path)
    assert sparring.load(tmp_path / "two").plan.how.shards == 4
    with pytest.raises(UserError, match="use a multiple of 4"):
        sparring.train("cdcgan", reproducible=True, batch=30, rounds=4, runs=str(tmp_path), quiet=True)


@pytest.mark.long
def test_two_processes_make_the_samples_that_are_judged_and_the_scores_are_those_of_one(tmp_path: Path) -> None:
    words = ["train", "mlp", "--data", "ring", "--limit", "1200", "--rounds", "20", "--reproducible"]
    words += ["--on-trouble", "ignore", "--snapshots", "1", "--runs", str(tmp_path), "--name"]
    assert cli.main([*words, "one"]) == 0
    done = torchrun(2, "sparring", *words, "two", module=True)
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = (json.loads((tmp_path / name / "evaluation.json").read_text()) for name in ("one", "two"))
    assert one["samples"] > 2 * sampling.CHUNK
    assert one["metrics"] == two["metrics"]


def test_parts_of_samples_have_noise_of_their_own() -> None:
    game = dataclasses.replace(toy_game(), sample=lambda modules, drawn: torch.randn(len(drawn["latent"]), 2))
    drawn = {"latent": torch.zeros(1200, 2)}
    whole = sampling.generate(game, {}, drawn, 7)
    for rank in range(2):
        other = Beside(rank=rank, other=torch.zeros(500, 2))
        ours = sampling.generate(game, {}, drawn, 7, other).split(500)
        theirs = whole.split(500)
        assert torch.equal(ours[0], theirs[rank])  # what the other one makes stands behind it
    assert not torch.equal(*whole[:1000].chunk(2))


def test_tar_shards_are_read_by_two_processes_as_by_one(pictures: Path, tmp_path: Path) -> None:
    assert cli.main(["data", "shard", str(pictures), "-o", str(tmp_path / "set"), "--bytes", "10KB"]) == 0
    assert len(list((tmp_path / "set").glob("*.tar"))) > 1
    words = ["train", "mlp", "--data", str(tmp_path / "set"), "--size", "8", "--rounds", "12", "--runs", str(tmp_path)]
    words += ["--batch", "8", "--clusters", "0", "--reproducible", "--no-evaluate", "--snapshots", "1", "--name"]
    assert cli.main([*words, "one"]) == 0
    done = torchrun(2, "sparring", *words, "two", module=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert last(tmp_path / "two") == last(tmp_path / "one")


def test_the_examples_of_schedulers_are_what_shells_and_parsers_read() -> None:
    yaml = pytest.importorskip("yaml")
    folder = HERE.parent / "docs" / "examples"
    service, job = yaml.safe_load_all((folder / "kubernetes.yaml").read_text())
    assert service["spec"]["clusterIP"] == "None"
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == 2
    (container,) = job["spec"]["template"]["spec"]["containers"]
    scripts = [(folder / "slurm.sh").read_text(), *container["args"]]
    for script in scripts:
        assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    assert all("torchrun --nnodes" in script and "-m sparring" in script for script in scripts)


def test_a_killed_process_is_started_again_and_the_run_ends_as_if_it_had_lived(tmp_path: Path) -> None:
    words = [*TRAIN, "--rounds", "60", "--runs", str(tmp_path)]
    whole = torchrun(2, *words, "--name", "whole", module=True)
    assert whole.returncode == 0, whole.stderr[-3000:]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*launcher, "--max-restarts=2", "--monitor-interval=0.1", "-m", *words, "--name", "killed"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as agent:
        deadline = time.monotonic() + 120
        while not checkpoint.listed(tmp_path / "killed" / "checkpoints") and time.monotonic() < deadline:
            time.sleep(0.01)
        victim = max(int(word) for word in children(agent.pid))
        os.kill(victim, signal.SIGKILL)
        _, told = agent.communicate(timeout=240)
    assert agent.returncode == 0, told[-3000:]
    assert "resuming" in told
    assert not (tmp_path / "killed-1").exists()
    assert last(tmp_path / "killed") == last(tmp_path / "whole")


def children(process: int) -> list[str]:
    """Process numbers."""
    return Path(f"/proc/{process}/task/{process}/children").read_text().split()


def test_a_rollback_that_the_first_process_decides_is_one_of_all(tmp_path: Path) -> None:
    words = [
        "sparring", "train", "dcgan", "--rounds", "200", "--discriminator.lr", "1e-9", "--clusters", "0", "--snapshots",
        "2", "--no-evaluate", "--on-trouble", "rollback", "--rollbacks", "1", "--data", "digits", "--shards", "2",
        "--threads", "1", "--runs", str(tmp_path), "--name", "two",
    ]  # fmt: skip
    done = torchrun(2, *words, module=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "rolled back" in done.stderr
    alone = sparring.train(
        "dcgan", rounds=200, discriminator={"lr": 1e-9}, clusters=0, snapshots=2, evaluate=False,
        on_trouble="rollback", rollbacks=1, data="digits", shards=2, threads=1, runs=str(tmp_path), name="alone",
        quiet=True,
    )  # fmt: skip
    assert [e["event"] for e in read_events(tmp_path / "two")] == [e["event"] for e in read_events(alone.path)]
    assert last(tmp_path / "two") == last(alone.path)


OWN = """
from pathlib import Path
from sparring import Objective
from sparring.objectives import OBJECTIVES
here, hinge = Path(__file__).parent, OBJECTIVES["hinge"]

def once(real, fake):
    loss = hinge.discriminator(real, fake)
    if list(here.glob("*/checkpoints/0*")) and not (here / "broken").exists():
        (here / "broken").touch()
        loss = loss * float("nan")
    return loss

own = Objective(once, hinge.generator)
"""


def test_a_loss_that_is_no_number_rolls_all_processes_back(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    words = [
        "sparring", "train", "dcgan", "--rounds", "30", "--clusters", "0", "--snapshots", "1", "--no-evaluate",
        "--on-trouble", "rollback", "--data", "digits", "--objective", f"{tmp_path}/own.py:own", "--save-every", "0",
        "--runs", str(tmp_path), "--name", "two",
    ]  # fmt: skip
    done = torchrun(2, *words, module=True)
    assert done.returncode == 0, done.stderr[-3000:]
    events = [event["event"] for event in read_events(tmp_path / "two")]
    assert "rollback" in events
    assert events[-1] == "done"


def test_what_only_the_first_process_meets_ends_all_of_them_in_words(tmp_path: Path) -> None:
    words = ["--rounds", "20", "--runs", str(tmp_path)]
    done = torchrun(2, "sparring", "train", "dcgan", "--data", str(tmp_path / "nothing"), *words, module=True)
    assert done.returncode != 0
    assert "Connection" not in done.stderr
    assert "DistBackendError" not in done.stderr


def test_ctrl_c_saves_and_any_number_of_processes_goes_on(tmp_path: Path) -> None:
    words = [*TRAIN, "--rounds", "60", "--runs", str(tmp_path)]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([*launcher, "-m", *words, "--name", "stopped"], env=environment, stderr=-3) as agent:
        deadline = time.monotonic() + 120
        while not checkpoint.listed(tmp_path / "stopped" / "checkpoints") and time.monotonic() < deadline:
            time.sleep(0.01)
        agent.send_signal(signal.SIGINT)
        agent.wait(timeout=60)
    events = [event["event"] for event in read_events(tmp_path / "stopped")]
    assert events[-1] == "stop"
    resumed = session.resume(tmp_path / "stopped", quiet=True)
    whole = sparring.train(
        "cdcgan", reproducible=True, evaluate=False, rounds=60, snapshots=2, save_every=0, runs=str(tmp_path),
        name="whole", quiet=True,
    )  # fmt: skip
    assert last(resumed.path) == last(whole.path)
