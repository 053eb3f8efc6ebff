"""Every recipe and preset: two rounds, resume in the middle, and the losses that it has always had."""

import dataclasses
import json
import os
from pathlib import Path

import pytest
import torch
from torch.nn.functional import l1_loss

from sparring import checkpoint, recipes, sampling, training
from sparring.config import UserError, check_limits
from sparring.data import Source
from sparring.duel import DiscriminatorAugment, Duel, Penalties
from sparring.engine import MEASURED, rounds, start
from sparring.nn.r3 import R3Discriminator, R3Generator, Resample
from sparring.objectives import OBJECTIVES
from sparring.optimizers import Adam
from sparring.recipes import RECIPES
from sparring.runs import Plan
from sparring.schedules import Schedule
from sparring.training import Job
from tests.cases import CASES, CPU, plan_of

GOLDEN = Path(__file__).parent / "golden" / "losses.json"
WITHOUT_PENALTIES = (
    "ae", "vae", "vqvae", "vae_gan", "pix2pix", "cyclegan", "cut", "stargan", "superres", "inpaint", "semi_supervised",
    "sequence", "classifier", "text_translation", "word_translation", "text_style", "vocoder",
)  # fmt: skip


def job_of(plan: Plan, source: Source, folder: Path) -> Job:
    game = training.assemble(plan, source.about, CPU)
    return Job(folder, plan, {"train": source}, source, CPU, game, start(game))


def play(job: Job, until: int) -> dict[str, float]:
    """Rounds up to `until`, the last one's losses."""
    settings = dataclasses.replace(job.settings, check_every=1)
    stream = training.stream(job.plan, job.source, CPU, job.state.drawn)
    values: dict[str, float] = {}
    for done in rounds(job.game, stream, settings, job.state):
        assert done.losses is not None
        values = dict(done.losses.values)
        if done.state.round == until:
            break
    return values


def resumes_to(after: dict[str, torch.Tensor], plan: Plan, source: Source, folder: Path, stop: int) -> None:
    """A run that is saved after `stop` rounds and goes on in a fresh game ends at `after`, bitwise."""
    first, second = job_of(plan, source, folder), job_of(plan, source, folder)
    play(first, stop)
    path = checkpoint.save(folder / "checkpoints", first.game, first.state)
    checkpoint.restore(second.game, second.state, *checkpoint.read(path))
    play(second, 4)
    resumed = checkpoint.tensors_of(second.game, second.state)
    assert set(resumed) == set(after)
    assert all(torch.equal(after[name], resumed[name]) for name in after)


@pytest.mark.parametrize(("recipe", "preset", "data"), CASES, ids=lambda v: v if isinstance(v, str) else v["data"])
def test_a_recipe_trains_resumes_and_keeps_its_losses(
    recipe: str, preset: str, data: dict[str, str], pictures: Path, tmp_path: Path
) -> None:
    plan, source = plan_of(recipe, preset, data, pictures)
    whole = job_of(plan, source, tmp_path)
    before = checkpoint.tensors_of(whole.game, whole.state)
    losses = play(whole, 4)
    after = checkpoint.tensors_of(whole.game, whole.state)
    learnt = [
        name for name, module in whole.game.modules.items() for _ in module.state_dict()
    ]  # codes and pools are buffers
    moved = [n for n in before if not torch.equal(before[n], after[n])]
    assert {n.split("/")[1] for n in moved if n.startswith("modules/")} == set(learnt)

    resumes_to(after, plan, source, tmp_path, stop=2)

    golden(f"{recipe}/{preset}/{data['data']}", losses)
    if whole.game.sample is not None:
        modules = sampling.for_sampling(whole.game, whole.state, latents=16, pool=source)
        samples = sampling.generate(whole.game, modules, sampling.draw(whole.game, 3, seed=0, pool=source))
        assert samples.shape == (3, *source.about.shape)
        assert torch.isfinite(samples).all()


@pytest.mark.parametrize(
    ("recipe", "preset", "data"),
    [c for c in CASES if not hasattr(c, "values") and c[0] not in WITHOUT_PENALTIES],
    ids=lambda v: v if isinstance(v, str) else v["data"],
)
def test_r1_works_with_every_network_or_is_refused(
    recipe: str, preset: str, data: dict[str, str], pictures: Path, tmp_path: Path
) -> None:
    plan, source = plan_of(recipe, preset, data, pictures)
    plan = dataclasses.replace(plan, model=dataclasses.replace(plan.model, penalty=Penalties(r1=1.0)))
    if preset == "classic" and recipe == "dcgan":
        with pytest.raises(UserError, match="batch norm"):
            job_of(plan, source, tmp_path)
    else:
        assert play(job_of(plan, source, tmp_path), 4)["discriminator/r1"] > 0


def golden(name: str, losses: dict[str, float]) -> None:
    """Compare with what is on file; SPARRING_GOLDEN=write puts it there (after a change that is meant)."""
    unsteady = ("sign", *MEASURED)  # these jump with the last bit
    losses = {term: value for term, value in losses.items() if not term.endswith(unsteady)}
    known = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if os.environ.get("SPARRING_GOLDEN") == "write":
        known[name] = {term: round(value, 6) for term, value in losses.items()}
        GOLDEN.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    assert losses == pytest.approx(known[name], rel=1e-3, abs=1e-4)


def test_the_table_names_every_module_and_measured_figures_belong_to_it() -> None:
    folder = Path(recipes.__file__).parent
    assert set(recipes.RECIPES) == {p.stem for p in folder.glob("*.py")} - {"__init__"}
    assert set(recipes.measured()) <= set(recipes.RECIPES)


@pytest.mark.parametrize(
    ("recipe", "preset", "data", "message"),
    [
        ("dcgan", "classic", {"data": "digits"}, "--size 28x28 --color gray"),
        ("dcgan", "tuned", {"data": "ring"}, "recipe mlp"),
        ("cdcgan", "tuned", {"data": "swiss-roll"}, "no labels"),
        ("cdcgan", "tuned", {"data": "pictures"}, "no labels"),
        ("classifier", "tuned", {"data": "pictures"}, "no labels"),
        ("semi_supervised", "tuned", {"data": "pictures"}, "has no labels"),
        ("semi_supervised", "tuned", {"data": "ring"}, "has no pictures"),
        ("r3", "tiny", {"data": "ring"}, "points, not pictures"),
        ("pacgan", "points", {"data": "digits"}, "--preset pictures"),
        ("vae", "mnist", {"data": "ring"}, "--preset points"),
        ("vqvae", "tuned", {"data": "ring"}, "points, not pictures"),
        ("superres", "tuned", {"data": "digits"}, "--source reduced:4"),
        ("superres", "tuned", {"data": "digits", "source": "inverted"}, "2, 4, 8 ... times as large"),
        ("inpaint", "tuned", {"data": "digits"}, "--source masked"),
        ("pix2pix", "tuned", {"data": "digits", "source": "reduced:2"}, "the recipe superres"),
        ("cyclegan", "tuned", {"data": "digits", "source": "reduced:2"}, "of one size"),
        ("sequence", "tuned", {"data": "digits"}, "sequence writes texts"),
        (
            "cut",
            "tuned",
            {"data": "prose", "unit": "letters", "source": "cipher:substitution"},
            "use the recipe text_translation",
        ),
        ("stargan", "tuned", {"data": "words", "source": "turned"}, "use the recipe word_translation"),
        ("text_translation", "tuned", {"data": "digits", "source": "inverted"}, "needs texts of two languages"),
        ("word_translation", "tuned", {"data": "words"}, "needs vectors of two languages"),
        ("text_style", "tuned", {"data": "verses"}, "needs texts of two styles or more"),
        ("text_style", "tuned", {"data": "digits"}, "positive.txt and negative.txt"),
        ("classifier", "recurrent", {"data": "digits"}, "only texts have words"),
        ("melgan", "tuned", {"data": "digits"}, "melgan makes sounds"),
        ("wavegan", "small", {"data": "digits"}, "wavegan makes sounds"),
        ("vocoder", "small", {"data": "ring"}, "vocoder makes sounds"),
    ],
)
def test_data_that_do_not_fit_a_recipe_are_refused_with_the_fix(
    recipe: str, preset: str, data: dict[str, str], message: str, pictures: Path
) -> None:
    def assemble() -> None:
        plan, source = plan_of(recipe, preset, data, pictures)
        training.assemble(plan, source.about, CPU)

    with pytest.raises(UserError, match=message):
        assemble()


def test_classics_are_what_was_published() -> None:
    classic = recipes.preset(recipes.find("mlp"), "classic")[1]
    assert (classic.hidden, classic.discriminator_hidden, classic.latent) == ((256, 512, 1024), (512, 256), 100)
    assert (classic.rounds, classic.generator.lr, classic.generator.beta1) == (2000, 2e-4, 0.5)
    assert (2 * classic.batch, classic.batch * classic.generator_batch) == (32, 32)  # 16 real + 16 fake; 32 fakes
    radford = recipes.preset(recipes.find("dcgan"), "radford")[1]
    assert (radford.batch, radford.generator.lr, radford.generator.beta1, radford.uniform) == (128, 2e-4, 0.5, True)
    for preset in (classic, radford):
        assert (preset.clusters, preset.average, preset.share_fakes, preset.decay) == (0, 0.0, False, 1.0)


def test_unknown_names_are_suggested() -> None:
    with pytest.raises(UserError, match="did you mean 'dcgan'"):
        recipes.find("dcgann")
    with pytest.raises(UserError, match="did you mean 'classic'"):
        recipes.preset(recipes.find("mlp"), "clasic")


@pytest.mark.parametrize(
    "changes",
    [DiscriminatorAugment(diffaugment=("color", "translation", "cutout")), DiscriminatorAugment(adaptive=True, p=0.2)],
    ids=["diffaugment", "ada"],
)
def test_augmentation_of_what_the_discriminator_sees_trains_and_resumes(
    changes: DiscriminatorAugment, pictures: Path, tmp_path: Path
) -> None:
    plan, source = plan_of("r3", "tiny", {"data": "digits"}, pictures)
    plan = dataclasses.replace(plan, model=dataclasses.replace(plan.model, discriminator_augment=changes))
    whole = job_of(plan, source, tmp_path)
    play(whole, 4)
    after = checkpoint.tensors_of(whole.game, whole.state)
    resumes_to(after, plan, source, tmp_path, stop=3)
    moved = [float(v) for name, v in after.items() if name.endswith("augmentation.p")]
    assert len(moved) == int(changes.adaptive)
    assert all(p != pytest.approx(0.2) for p in moved)  # the rule acted in the fourth round


def test_augmentations_that_cannot_be_are_refused(pictures: Path, tmp_path: Path) -> None:
    ring, ring_source = plan_of("mlp", "tuned", {"data": "ring"}, pictures)
    digits, source = plan_of("sngan", "tuned", {"data": "digits"}, pictures)
    both = DiscriminatorAugment(diffaugment=("color",), adaptive=True)
    ada = DiscriminatorAugment(adaptive=True)
    idle, empty = DiscriminatorAugment(target=0.5), DiscriminatorAugment(p=0.3, policy=())
    for plan, of, model, message in (
        (digits, source, {"discriminator_augment": idle}, "belong to ADA"),
        (digits, source, {"discriminator_augment": empty}, "policy is empty"),
        (ring, ring_source, {"discriminator_augment": ada}, "points, not pictures"),
        (digits, source, {"discriminator_augment": both}, "exclude each other"),
        (
            digits,
            source,
            {"discriminator_augment": ada, "penalty": Penalties(r1=1.0, difference=True)},
            "each in its own way",
        ),
    ):
        changed = dataclasses.replace(plan, model=dataclasses.replace(plan.model, **model))
        with pytest.raises(UserError, match=message):
            job_of(changed, of, tmp_path)


def test_penalties_by_schedule_lazily_and_clipped(pictures: Path, tmp_path: Path) -> None:
    plan, source = plan_of("sngan", "tuned", {"data": "ring"}, pictures)

    def played(penalty: Penalties, rounds: int = 4, **model: object) -> tuple[Job, dict[str, float]]:
        changed = dataclasses.replace(plan, model=dataclasses.replace(plan.model, penalty=penalty, **model))
        job = job_of(changed, source, tmp_path)
        return job, play(job, rounds)

    _, falling = played(Penalties(r1=Schedule(1.0, 0.0, 0.75)))
    assert falling["discriminator/r1"] == 0  # progress 3/4 in the last of four rounds
    job, lazy = played(Penalties(r1=1.0, r2=1.0, every=3))
    assert {"penalty/r1", "penalty/r2"} <= set(lazy)  # rounds 0 and 3
    assert not {"discriminator/r1", "discriminator/r2"} & set(lazy)
    assert job.game.player("penalty").optimizer is job.game.player("discriminator").optimizer
    job, _ = played(Penalties(clip=0.01))
    weights = [p.detach().abs().max().item() for n, p in job.game.modules["discriminator"].named_parameters()]
    assert max(weights) <= 0.01
    job, _ = played(Penalties(r1=1.0, every=2, clip=0.01))  # the step of a lazy penalty is clipped, too
    weights = [p.detach().abs().max().item() for n, p in job.game.modules["discriminator"].named_parameters()]
    assert max(weights) <= 0.01
    with pytest.raises(UserError, match="fail altogether on Stacked MNIST"):
        played(Penalties(r1=1.0, r2=1.0, every=3), objective="relativistic")


def test_r3_has_the_parameters_of_the_papers_tables() -> None:
    def millions(module: torch.nn.Module) -> float:
        return round(sum(p.numel() for p in module.parameters()) / 1e6, 2)

    for shape, widths, classes, generator, discriminator in (
        ((3, 32, 32), (768,) * 4, 0, 20.73, 20.68),  # Stacked MNIST
        ((3, 32, 32), (768,) * 4, 10, 20.78, 21.28),  # CIFAR-10, conditional
        ((3, 64, 64), (*(768,) * 4, 384), 0, 22.43, 22.38),  # FFHQ-64
    ):
        assert millions(R3Generator(64, shape, widths, 2, classes)) == generator
        assert millions(R3Discriminator(shape, widths, 2, classes)) == discriminator


def test_r3_resamples_by_the_papers_filter_with_zeros_outside() -> None:
    x, row = torch.randn(2, 5, 8, 6), torch.tensor([1.0, 3.0, 3.0, 1.0])
    kernel = (torch.outer(row, row) / 64).expand(5, 1, 4, 4)
    down = torch.nn.functional.conv2d(x, kernel, stride=2, padding=1, groups=5)
    up = torch.nn.functional.conv_transpose2d(x, 4 * kernel, stride=2, padding=1, groups=5)
    torch.testing.assert_close(Resample(8, 6, down=True)(x), down)
    torch.testing.assert_close(Resample(8, 6, down=False)(x), up)


def test_a_run_resumes_in_the_middle_of_its_ramps(pictures: Path, tmp_path: Path) -> None:
    plan, source = plan_of("r3", "tiny", {"data": "digits"}, pictures)
    ramp = Schedule(1.0, 0.1, 1.0, "cosine")
    model = dataclasses.replace(
        plan.model,
        objective="non-saturating",
        penalty=Penalties(r1=ramp, r2=0.5, every=2),
        generator=Adam(Schedule(2e-3, 2e-4), 0.0, Schedule(0.9, 0.99)),
        discriminator=Adam(2e-3, 0.0, 0.99),
        half_life=Schedule(0.0, 64.0),
    )
    plan = dataclasses.replace(plan, model=model)
    whole = job_of(plan, source, tmp_path)
    play(whole, 4)
    resumes_to(checkpoint.tensors_of(whole.game, whole.state), plan, source, tmp_path, stop=1)


STEERED = (
    "pix2pix", "cyclegan", "cut", "stargan", "superres", "semi_supervised", "text_translation", "word_translation",
    "text_style", "vocoder",
)  # fmt: skip


@pytest.mark.parametrize("recipe", STEERED)
def test_every_optimizer_follows_the_schedules_of_its_numbers(recipe: str, pictures: Path) -> None:
    case = next(c for c in CASES if isinstance(c, tuple) and c[0] == recipe)
    plan, source = plan_of(*case, pictures)
    names = [f.name for f in dataclasses.fields(plan.model) if f.type == "Adam"]
    ramp = {name: Adam(Schedule(1e-3, 1e-1), 0.5, Schedule(0.9, 0.99)) for name in names}
    game = training.assemble(
        dataclasses.replace(plan, model=dataclasses.replace(plan.model, **ramp)), source.about, CPU
    )
    flat = training.assemble(plan, source.about, CPU)
    falls = [flat.player(p.name).optimizer.param_groups[0]["lr"] for p in game.players]
    for one in (game, flat):
        assert one.on_round is not None
        one.on_round(0.625)
    for player, begun in zip(game.players, falls, strict=True):
        group, scale = (
            player.optimizer.param_groups[0],
            flat.player(player.name).optimizer.param_groups[0]["lr"] / begun,
        )
        assert group["lr"] == pytest.approx(scale * (1e-3 + 0.625 * 0.099))
        assert group["betas"] == pytest.approx((0.5, 0.95625))


@pytest.mark.parametrize("penalty", [Penalties(r1=1.0, r2=1.0, difference=True), Penalties(consistency=1.0)])
def test_penalties_that_look_twice_take_labels(penalty: Penalties, pictures: Path, tmp_path: Path) -> None:
    plan, source = plan_of("cdcgan", "tuned", {"data": "digits"}, pictures)
    plan = dataclasses.replace(plan, model=dataclasses.replace(plan.model, penalty=penalty))
    losses = play(job_of(plan, source, tmp_path), 2)
    assert all(losses[f"discriminator/{name}"] > 0 for name in penalty.chosen())


def test_an_objective_without_a_bound_on_the_slope_is_refused(pictures: Path, tmp_path: Path) -> None:
    plan, source = plan_of("wgan", "classic", {"data": "ring"}, pictures)
    unbounded = dataclasses.replace(plan, model=dataclasses.replace(plan.model, penalty=Penalties()))
    with pytest.raises(UserError, match="slope is bounded"):
        job_of(unbounded, source, tmp_path)


def test_no_recipe_narrows_a_number_that_may_be_a_schedule() -> None:
    base = {f.name: f.type for f in dataclasses.fields(Duel)}
    for name in recipes.RECIPES:
        config = recipes.find(name).Config
        for f in dataclasses.fields(config) if issubclass(config, Duel) else ():
            if base.get(f.name) == "Number":
                assert f.type == "Number", f"{name}.{f.name} is {f.type}"


def test_labels_that_are_dropped_become_a_class_of_their_own(pictures: Path, tmp_path: Path) -> None:
    plan, source = plan_of("cdcgan", "tuned", {"data": "digits"}, pictures)
    plan = dataclasses.replace(plan, model=dataclasses.replace(plan.model, label_dropout=0.25, batch=500))
    job = job_of(plan, source, tmp_path)
    stream = training.stream(plan, source, CPU, 0)
    first, second, third, again = (next(stream)["label"] for _ in range(4))  # three batches are an epoch
    every = torch.cat([first, second, third])
    assert int(every.max()) == 10
    assert float((every == 10).float().mean()) == pytest.approx(0.25, abs=0.04)
    assert not torch.equal(first, again)
    play(job, 1)
    drawn = sampling.draw(job.game, 4, 0, label=10)
    modules = sampling.for_sampling(job.game, job.state, latents=16)
    without = sampling.generate(job.game, modules, drawn)
    assert not torch.equal(without, sampling.generate(job.game, modules, {**drawn, "label": torch.zeros(4).long()}))
    wrong = dataclasses.replace(plan, model=dataclasses.replace(plan.model, label_dropout=1.0))
    with pytest.raises(UserError, match=r"label_dropout=1.0 must be"):
        job_of(wrong, source, tmp_path)


def test_a_discriminator_that_reads_labels_says_what_is_known_of_it(pictures: Path, tmp_path: Path) -> None:
    plan, source = plan_of("cdcgan", "classifier", {"data": "digits"}, pictures)
    job = job_of(plan, source, tmp_path)
    assert "Odena et al. 2017" in job.game.notes[0]
    losses = play(job, 2)
    assert losses["discriminator/class"] > 0
    assert losses["generator/class"] > 0
    changed = dataclasses.replace(plan, model=dataclasses.replace(plan.model, share_fakes=False))
    with pytest.raises(UserError, match="share_fakes"):
        job_of(changed, source, tmp_path)


@pytest.mark.parametrize("name", RECIPES)
def test_every_preset_is_within_the_limits_of_its_numbers(name: str) -> None:
    for config in recipes.find(name).PRESETS.values():
        check_limits(config)


def test_the_critic_of_pix2pix_joins_late_and_the_distance_works_alone_before(pictures: Path, tmp_path: Path) -> None:
    data = {"data": "digits", "source": "inverted"}
    plan, source = plan_of("pix2pix", "tuned", data, pictures)
    plan = dataclasses.replace(plan, model=dataclasses.replace(plan.model, rounds=4, begin=0.5, fine=True))
    job = job_of(plan, source, tmp_path)
    before = [p.clone() for p in job.game.modules["critic"].parameters()]
    assert not [name for name in play(job, 2) if name.startswith(("discriminator", "generator"))]
    assert all(torch.equal(a, b) for a, b in zip(before, job.game.modules["critic"].parameters(), strict=True))
    late = play(job, 4)
    assert {"discriminator/objective", "generator/objective", "generator/distance"} <= set(late)
    assert "distance/distance" not in late
    short = dataclasses.replace(plan.model, begin=0.9)  # of 4 rounds are nearly all
    assert recipes.find("pix2pix").build(short, source.about).player("discriminator").acts(3)
    for changes in ({"begin": 1.0}, {"begin": 0.5, "adversarial": 0.0}, {"fine": True, "network": "residual"}):
        with pytest.raises(UserError, match=r"begin=|fine"):
            recipes.find("pix2pix").build(dataclasses.replace(plan.model, **changes), source.about)


def test_what_players_of_cyclegan_share_gives_the_losses_of_its_formulas(pictures: Path) -> None:
    """What is made and what is kept come of one pass, and critics move no translator."""
    plan, source = plan_of("cyclegan", "tuned", {"data": "digits", "source": "inverted", "size": "16"}, pictures)
    model = dataclasses.replace(plan.model, identity=2.5, pool=0)
    game = recipes.find("cyclegan").build(model, source.about)
    assert game.prepare is not None
    to_image, to_source, of_images, of_sources = game.modules.values()
    x, y = torch.rand(2, 4, 1, 16, 16) * 2 - 1
    batch, objective = game.prepare({"source": x, "image": y}), OBJECTIVES["least-squares"]
    made_y, made_x = to_image(x), to_source(y)
    nan = torch.tensor(torch.nan)
    terms = game.player("generator").loss(batch).terms
    fooling = [objective.generator(nan, critic(m)).mean() for critic, m in ((of_images, made_y), (of_sources, made_x))]
    wanted = {
        "objective": sum(fooling),
        "cycle": model.cycle * (l1_loss(to_source(made_y), x) + l1_loss(to_image(made_x), y)),
        "identity": 2.5 * (l1_loss(to_image(y), y) + l1_loss(to_source(x), x)),
    }
    judged = game.player("discriminator").loss(batch).terms
    told = [
        objective.discriminator(of_images(y), of_images(made_y)),
        objective.discriminator(of_sources(x), of_sources(made_x)),
    ]
    torch.testing.assert_close(terms, wanted)
    torch.testing.assert_close(judged, {"objective": told[0].mean() + told[1].mean()})
    slopes = torch.autograd.grad(
        judged["objective"], [*to_image.parameters(), *to_source.parameters()], allow_unused=True
    )
    assert all(slope is None for slope in slopes)


def test_the_critics_of_cyclegan_may_have_more_turns_than_the_translators(pictures: Path, tmp_path: Path) -> None:
    plan, source = plan_of("cyclegan", "tuned", {"data": "digits", "source": "inverted", "size": "16"}, pictures)
    job = job_of(plan, source, tmp_path)
    job.game = job.game.with_player("discriminator", repeat=2)
    assert torch.isfinite(torch.tensor(play(job, 1)["discriminator/objective"]))
