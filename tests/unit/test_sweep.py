"""A whole sweep on digits: made once, found again, within a budget, in rounds."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from command_line import RECIPE, listing, secateur
from secateur import store
from secateur.cli.spelled import parse_step
from secateur.errors import BudgetSpentError, MethodError
from secateur.report.gate import check
from secateur.report.policy import Policy
from secateur.sweeping import cost, read_plan, tree_of
from secateur.sweeping import run as running
from secateur.sweeping.world import Clock, World
from secateur.train import Serial
from secateur.train.engines.auto import Choice
from secateur.types import Report, Sweep
from small_world import small_membership, small_recipe, small_records

FILE = f'''
title = "Two <methods>"
data = "digits"
members = 40
population = 30
utility = 50
targets = 2
references = 4
recipe = "{RECIPE}"
attacks = ["LiRA()", "LossThreshold()"]
[[method]]
name = "magnitude"
steps = ["Magnitude(rate={{rate}}, retrain_epochs=1)"]
over = {{ rate = [2, 8] }}
[[method]]
name = "decay+mask"
steps = ["WeightDecay(strength=3.0)", "RandomMask(rate=4)"]
'''
CASES = ["dense", "magnitude rate=2", "magnitude rate=8", "decay+mask"]
MEASURED = {"context.json"}  # times and hardware


def run(*more: str, text: str = FILE):
    """Run the sweep in the current folder, in this process."""
    Path("sweep.toml").write_text(text)
    return secateur(
        *("sweep", "sweep.toml", "--out", "run", "--engine", "serial", "--workers", "1", *more)
    )


def result() -> Sweep:
    found = store.read_result("run/sweep.json")
    assert isinstance(found, Sweep)
    return found


def without_times(value):
    """Leave out what was measured with a clock, and digests over it."""
    if isinstance(value, dict):
        return {
            k: without_times(v)
            for k, v in value.items()
            if k not in ("digest", "cpu seconds", "command", "made", "audit_seconds")
        }
    if isinstance(value, list):
        return [
            without_times(v) for v in value if not (isinstance(v, dict) and v.get("risk") == "cost")
        ]
    return value


def contents(folder: Path):
    """Return every file but those of times: bytes, or JSON without times."""
    files = {p.relative_to(folder): p for p in sorted(folder.rglob("*")) if p.is_file()}
    return {
        str(name): without_times(json.loads(p.read_text()))
        if p.suffix == ".json" and p.name != "fleet.json"
        else p.read_bytes()
        for name, p in files.items()
        if p.name not in MEASURED
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Run it once without interruption."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done = run()
        assert done.code == 0, done.err
        (folder / "printed").write_text(done.out)
    return folder


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_case_is_a_point_in_its_seed_and_over_seeds(whole, monkeypatch):
    monkeypatch.chdir(whole)
    found = result()
    assert [(p.case, p.seed) for p in found.points] == [
        *((c, 0) for c in CASES),
        *((c, None) for c in CASES),
    ]
    assert any(p.front for p in found.over_seeds())
    assert found.missing == found.dropped == found.failed == ()
    assert len(found.series) == 1
    report = store.read_report("run/seed-0/report.json")
    for p in found.over_seeds():
        leak = p.rows["leak"]
        (row,) = [
            r
            for r in report.rows
            if (r.subject, r.metric, r.method) == (p.case, "auc", leak.method)
            and not r.versus
            and r.threat != "naive"
        ]
        assert row == leak == p.rows[f"leak by {leak.method}"]
        own = {n.removeprefix("leak by ") for n in p.rows if n.startswith("leak by ")}
        ran = [(r.method, r.threat) for r in report.rows if r.subject == p.case]
        ran = {name for name, threat in ran if threat not in ("naive", "insider")}
        assert own == {name for name in ran if name.partition("(")[0] in ("LiRA", "LossThreshold")}
        assert leak.value == pytest.approx(sum(p.units["leak"]) / 2)
        assert p.rows["paper's attack"].status == "not run"
        assert p.rows["LiRA"].value is not None
    matched = {(m["subject"], m["by"]): m["view"] for m in report.facts["matched"]}
    for p in found.over_seeds()[1:]:
        view = matched.get((p.case, "no less test accuracy"))
        for name in ("leak", "tpr"):
            early = p.rows[f"{name} - dense at no less test accuracy"]
            if view is None:
                assert "no snapshot of the dense models is as accurate" in early.why
            else:
                assert (early.versus, early.method) == (view, p.rows["leak"].method)
    assert any(by == "no less test accuracy" for _, by in matched)


def test_sizes_are_counted_on_the_stored_weights(whole, monkeypatch):
    monkeypatch.chdir(whole)
    points = {p.case: p for p in result().over_seeds()}
    parameters = 64 * 12 + 12 + 12 * 10 + 10
    assert points["dense"].rows["bytes"].value == 4 * parameters
    small = points["magnitude rate=8"].rows["bytes"].value
    assert 4 * 888 / 8 < small < 4 * (888 / 8 + 22) + parameters / 8 + 4
    assert points["magnitude rate=8"].rows["kept weights"].value == pytest.approx(1 / 8, abs=0.01)


def test_common_beginnings_lie_in_one_folder_and_people_find_them(whole):
    names = {p.name for p in (whole / "run/seed-0").iterdir() if p.is_dir()}
    assert names == {
        "dense",
        "magnitude-rate=2",
        "magnitude-rate=8",
        "weightdecay",
        "decay+mask",
    }


def test_reports_of_seeds_say_when_they_were_made_so_that_a_policy_may_limit_their_age(whole):
    reports = sorted((whole / "run").glob("seed-*/report.json"))
    assert reports
    for path in reports:
        found = check(store.read_report(path), Policy(max_age_days=1), now=datetime.now(UTC))
        assert [finding.holds for finding in found] == [True]


def test_the_same_command_again_changes_no_byte(whole, monkeypatch):
    monkeypatch.chdir(whole)
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in Path("run").rglob("*.safetensors")}
    text = Path("run/sweep.json").read_bytes()
    monkeypatch.setattr(running, "audit_fleets", None)  # and audits nothing
    assert run().code == 0
    after = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in Path("run").rglob("*.safetensors")}
    assert before == after
    assert Path("run/sweep.json").read_bytes() == text


def test_the_table_fits_eighty_columns_and_the_page_escapes_and_fetches_nothing(whole, elsewhere):
    done = secateur("report", whole / "run/sweep.json", "--html", "page.html", "--table")
    assert done.code == 0, done.err
    assert all(len(line) <= 80 for line in done.out.splitlines() if "page:" not in line)
    assert all(case in done.out for case in CASES)
    page = Path("page.html").read_text()
    assert "<title>Two &lt;methods&gt;</title>" in page
    assert page.count("magnitude rate=8") > 2
    without = page.replace("http://www.w3.org", "")
    assert 'src="http' not in without
    assert 'href="http' not in without
    secateur("report", whole / "run/sweep.json", "--html", "again.html")
    assert Path("again.html").read_text() == page


def test_a_sweep_that_was_stopped_ends_with_the_same_bytes(whole, elsewhere, monkeypatch):
    calls = []
    make = World.make

    def stopped(self, node, *more, **named):
        calls.append(node.label)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return make(self, node, *more, **named)

    monkeypatch.setattr(World, "make", stopped)
    done = run()
    assert done.code == 130
    assert "resume with: secateur sweep" in done.err
    assert not Path("run/sweep.json").exists()
    monkeypatch.setattr(World, "make", make)
    assert run().code == 0
    assert contents(elsewhere / "run") == contents(whole / "run")


@pytest.mark.slow
def test_a_spent_budget_leaves_an_audit_of_what_is_there_and_goes_on(whole, elsewhere, monkeypatch):
    asked = []
    audit = running.audit_fleets

    def noted(fleets, *more, **named):
        asked.append([f.name for f in fleets])
        return audit(fleets, *more, **named)

    def limit(self, *, subjects):
        del self, subjects
        limits.append(0)
        if len(limits) > 3:
            raise BudgetSpentError("spent")

    limits: list[int] = []
    monkeypatch.setattr(running, "audit_fleets", noted)
    with monkeypatch.context() as patch:
        patch.setattr(Clock, "limit", limit)
        done = run("--budget", "1h")
    assert done.code == 0, done.err
    assert "go on with: secateur sweep" in done.out
    assert asked == [CASES[:2], CASES[:3]]  # a first answer, then what there was time for
    assert result().missing == ("decay+mask, seed 0",)
    assert [p.case for p in result().over_seeds()] == CASES[:3]
    assert run().code == 0
    assert contents(elsewhere / "run") == contents(whole / "run")


def test_a_budget_that_is_spent_at_once_says_that_all_is_missing(elsewhere):
    done = run("--budget", "0.001s")
    assert done.code == 0, done.err
    assert "4 are left for another time" in done.out
    assert (
        " s, so that nothing was made and the same command may make nothing either: give more"
        in (done.out)
    )
    assert result().points == ()


def test_a_spent_budget_whose_cases_keep_no_limit_ends_with_one_and_says_how_to_go_on(elsewhere):
    done = run("--budget", "0.001s", "--max-leak", "0.6")
    assert done.code == 1, done.err
    assert "4 are left for another time" in done.out
    assert done.out.splitlines()[-1].startswith("go on with: secateur sweep sweep.toml")


def test_a_resumed_sweep_says_again_what_is_left_will_take(whole, elsewhere):
    shutil.copytree(whole / "run", "run")
    assert "trainings:" not in run().out  # all is there
    (mask,) = Path("run/seed-0").glob("*rate=8*")
    shutil.rmtree(mask)
    done = run("--budget", "0.001s")
    assert Path("run/sweep.json").exists()
    assert "trainings: 6 (5 fleets of 6 models a seed; 4 are there already)" in done.out
    assert "time: trainings about" in done.out


def test_a_result_over_more_seeds_is_not_replaced_by_one_over_fewer(elsewhere, monkeypatch):
    text = FILE.replace('title = "Two', 'seeds = [0, 1]\ntitle = "Two')
    assert run("--budget", "0.001s", text=text).code == 0
    before = Path("run/sweep.json").read_bytes()
    for more, file in ((["--seed", "1"], text), ([], FILE)):
        done = run(*more, text=file)
        assert done.code == 2
        assert "run/sweep.json is over the seeds 0, 1, and one over " in done.err
        assert "give another --out" in done.err
        assert Path("run/sweep.json").read_bytes() == before
    more = text.replace("[0, 1]", "[1, 0, 2]")
    assert run("--budget", "0.001s", text=more).code == 0
    assert result().facts["seeds"] == [1, 0, 2]


@pytest.mark.parametrize("page", ["sweep.toml", "run/sweep.json", "run/seed-0/report.json"])
def test_no_page_goes_over_what_a_sweep_reads_or_writes(elsewhere, page):
    done = run("--html", page)
    assert done.code == 2
    assert "would be overwritten; choose another path" in done.err
    assert Path("sweep.toml").read_text() == FILE
    assert not Path("run").exists()


def test_a_cache_that_is_a_file_is_refused_before_anything_is_made(elsewhere):
    Path("file").write_text("mine")
    done = run("--cache", "file")
    assert done.code == 2
    assert "Directory 'file' is a file." in done.err
    assert not Path("run").exists()


@pytest.mark.parametrize("budget", ["soon", "12 models", "0s", "-5m"])
def test_a_budget_that_is_no_time_is_refused_with_what_would_be_one(elsewhere, budget):
    done = run("--budget", budget)
    assert done.code == 2
    assert f"such as 600s, 20m or 2h, got '{budget}'" in done.err
    assert not Path("run").exists()


def test_a_method_that_diverges_where_it_is_timed_leaves_the_other_cases(elsewhere):
    text = (
        f'{FILE}[[method]]\nname = "wild"\n'
        'steps = ["RandomMask(rate=4, epochs=3, optimiser=SGD(lr=1e30))"]'
    )
    Path("sweep.toml").write_text(text)
    asked = secateur("sweep", "sweep.toml", "--dry-run", "--workers", "1")
    assert asked.code == 0, asked.err
    assert "not known before they run: wild (training diverged" in asked.out
    done = run(text=text)
    assert done.code == 0, done.err
    assert "failed: wild, seed 0: wild: training diverged" in " ".join(done.out.split())
    assert [p.case for p in result().over_seeds()] == CASES


def test_a_sweep_into_the_folder_of_another_says_where_they_part(whole, elsewhere):
    shutil.copytree(whole / "run", "run")
    done = run(text=FILE.replace("retrain_epochs=1", "retrain_epochs=2"))
    assert done.code == 2
    assert "magnitude-rate=2 holds another fleet: " in done.err
    assert "retrain_epochs=1" in done.err
    assert "retrain_epochs=2" in done.err
    assert secateur("report", "run").err.rstrip().endswith("give the file in it: run/sweep.json")


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_fleets_of_other_members_are_refused_and_not_called_there(whole, elsewhere, more):
    shutil.copytree(whole / "run", "run")
    before = listing(Path("run"))
    done = run(*more, text=FILE.replace("members = 40", "members = 45"))
    assert done.code == 2
    assert "there already" not in done.out
    wanted = "run/seed-0/dense holds another fleet: members (half of data.pools.audit) is 40 there"
    assert f"{wanted} and 45 now" in done.err
    assert "a folder each" not in done.err  # one file without scales
    assert listing(Path("run")) == before


def test_another_scale_in_the_folder_is_told_to_take_its_own(whole, elsewhere):
    shutil.copytree(whole / "run", "run")
    scaled = f"{FILE}[scale.large]\nmembers = 45\n"
    done = run("--dry-run", "--scale", "large", text=scaled)
    assert done.code == 2
    assert "is 40 there and 45 now" in done.err
    assert "need a folder each, such as --out run-large" in done.err


def test_min_max_without_a_pool_is_told_how_to_draw_one(elsewhere):
    done = run(text=f'{FILE}[[method]]\nname = "game"\nsteps = ["MinMax()"]')
    assert done.code == 2
    assert "game: this training reads records of the pool 'attack'" in done.err
    assert "attack_pool = 1000 in a sweep's file" in done.err
    assert not Path("run").exists()


def test_limits_that_no_case_keeps_end_with_one(whole, monkeypatch):
    monkeypatch.chdir(whole)
    done = run("--max-bytes", "10")
    assert done.code == 1
    assert "No case is within bytes at most 10. The nearest is" in done.out
    kept = run("--max-bytes", "1M", "--min-accuracy", "0")
    assert kept.code == 0
    assert "Within test accuracy at least 0, bytes at most 1,000,000:" in kept.out
    run()  # leaves the file as the other tests found it


def test_a_method_that_fails_leaves_out_its_cases_alone(elsewhere, monkeypatch):
    make = World.make

    def failing(self, node, *more, **named):
        if node.label == "weightdecay":
            raise MethodError("it diverged")
        return make(self, node, *more, **named)

    monkeypatch.setattr(World, "make", failing)
    done = run()
    assert done.code == 0, done.err
    (failed,) = result().failed
    assert (failed["case"], failed["why"]) == ("decay+mask", "weightdecay: it diverged")
    assert "failed: decay+mask, seed 0: weightdecay: it diverged" in " ".join(done.out.split())
    assert [p.case for p in result().over_seeds()] == CASES[:3]


@pytest.mark.slow
def test_a_funnel_measures_what_is_left_on_targets_that_no_round_saw(elsewhere, monkeypatch):
    def out(points, *, references, keep):
        del keep
        assert [p.case for p in points] == CASES
        return [{"case": CASES[1], "by": "dense", "references": references, "why": "worse"}]

    monkeypatch.setattr(running, "dropped", out)
    text = "funnel = [2]\nseeds = [0, 1]" + FILE
    done = run(text=text)
    assert done.code == 0, done.err
    assert "trainings:" not in run(text=text).out  # what was left out is not still to come
    shutil.rmtree("run/seed-1/decay+mask")
    asked = run("--dry-run", text=text).out
    assert "trainings: 6 (4 fleets of 6 models a seed; 7 are there already; cases that the" in asked
    done = run(text=text)
    round_, final = (
        store.read_report(f"run/seed-0/{name}.json") for name in ("screening-2", "report")
    )
    names = [r.facts["models"] for r in (round_, final)]
    assert names == [{"targets": 2, "references": 2}, {"targets": 2, "references": 4}]
    assert round_.provenance.key["membership"] != final.provenance.key["membership"]
    looked, measured = (set(r.provenance.key["fleets"]["dense"]) for r in (round_, final))
    assert len(looked & measured) == 2  # references alone
    models = {p.name: len(list(p.glob("models/*"))) for p in Path("run/seed-0").iterdir()}
    assert (models["magnitude-rate=2"], models["magnitude-rate=8"], models["dense"]) == (4, 8, 8)
    found = result()
    assert found.dropped[0]["case"] == CASES[1]
    left = [CASES[0], *CASES[2:]]
    assert [p.case for p in found.over_seeds()] == left
    assert {p.case for p in found.points if p.seed == 1} == set(left)
    assert not Path("run/seed-1/magnitude-rate=2").exists()
    assert found.over_seeds()[0].rows["leak"].interval == "t over seeds"
    assert "left out after 2 references: magnitude rate=2: worse" in " ".join(done.out.split())


SMALL = "funnel = [2]\n" + FILE[: FILE.index('[[method]]\nname = "decay+mask"')].replace(
    '"LiRA()", ', ""
)


def ends_after(patch, fleets: int) -> None:
    """Let a budget end when so many fleets were asked for."""
    asked: list[int] = []

    def limit(self, *, subjects):
        del self
        asked.append(subjects)
        if len(asked) > fleets:
            raise BudgetSpentError("spent")

    patch.setattr(Clock, "limit", limit)


def test_a_budget_that_ends_in_a_round_shows_the_first_case_again_and_again(elsewhere, monkeypatch):
    with monkeypatch.context() as patch:
        ends_after(patch, 3)  # dense and the first case; then the round's dense models
        done = run("--budget", "1h", text=SMALL)
    assert done.code == 0, done.err
    assert "go on with: secateur sweep" in done.out
    assert not Path("run/seed-0/screening-2.json").exists()
    models = store.read_report("run/seed-0/report.json").facts["models"]
    assert models == {"targets": 2, "references": 4}  # as of the reported numbers
    first = result()
    assert [p.case for p in first.over_seeds()] == CASES[:2]
    assert first.missing == ("magnitude rate=8, seed 0",)
    assert len(first.series) == 1
    with monkeypatch.context() as patch:
        ends_after(patch, 0)
        patch.setattr(running, "audit_fleets", None)  # its audit is found
        assert run("--budget", "1h", text=SMALL).code == 0
    assert result().points == first.points


@pytest.mark.slow
def test_a_budget_that_ended_in_a_round_goes_on_to_the_same_bytes(
    elsewhere, monkeypatch, tmp_path_factory
):
    def out(points, *, references, keep):
        del keep
        assert [p.case for p in points] == CASES[:3]
        return [{"case": CASES[2], "by": "dense", "references": references, "why": "worse"}]

    monkeypatch.setattr(running, "dropped", out)
    with monkeypatch.context() as patch:
        ends_after(patch, 3)
        assert run("--budget", "1h", text=SMALL).code == 0
    assert result().missing == ("magnitude rate=8, seed 0",)
    assert run(text=SMALL).code == 0
    once = tmp_path_factory.mktemp("once")
    monkeypatch.chdir(once)
    assert run(text=SMALL).code == 0
    assert contents(elsewhere / "run") == contents(once / "run")
    assert [d["case"] for d in result().dropped] == [CASES[2]]


def test_canaries_that_the_file_plants_are_measured_in_every_case(elsewhere):
    text = 'canaries = ["Mislabelled(count=30)"]\n' + FILE.replace(
        "references = 4", "references = 8"
    )
    text = text[: text.index('[[method]]\nname = "decay+mask"')].replace("[2, 8]", "[2]")
    assert run(text=text).code == 0
    report = store.read_report("run/seed-0/report.json")
    for p in result().over_seeds():
        (wanted,) = [
            r
            for r in report.rows
            if (r.subject, r.method, r.group)
            == (p.case, p.rows["leak"].method, "canary=mislabelled")
            and r.metric == "auc"
        ]
        assert p.rows["leak of canaries, mislabelled"] == wanted


def test_a_dry_run_says_what_is_made_and_makes_nothing(elsewhere):
    Path("sweep.toml").write_text(FILE)
    done = secateur("sweep", "sweep.toml", "--dry-run", "--workers", "1")
    assert done.code == 0, done.err
    assert "trainings: 30 (5 fleets of 6 models a seed)" in done.out
    assert "time: trainings about" in done.out
    assert "audits come on top, and take longer than the trainings where these" in done.out
    assert [p.name for p in elsewhere.iterdir()] == ["sweep.toml"]


def test_a_dry_run_times_nothing_that_is_there_already(whole, elsewhere, monkeypatch):
    shutil.copytree(whole / "run", "run")
    dry = ("sweep", "sweep.toml", "--dry-run", "--workers", "1", "--out", "run")
    Path("sweep.toml").write_text(FILE)
    timed = []
    real = cost.choose
    monkeypatch.setattr(cost, "choose", lambda *a, **k: timed.append(a[1]) or real(*a, **k))
    done = secateur(*dry)
    assert "trainings: 0 (5 fleets of 6 models a seed; 5 are there already)" in done.out
    assert "time:" not in done.out and not timed
    (mask,) = Path("run/seed-0").glob("*rate=8*")
    shutil.rmtree(mask)
    done = secateur(*dry)
    assert "trainings: 6 (5 fleets of 6 models a seed; 4 are there already)" in done.out
    assert "time: trainings about" in done.out
    assert [method.rate for method in timed] == [8]


def test_teachers_that_methods_share_are_priced_once(monkeypatch):
    records = small_records()
    who = small_membership(records)
    rates = {"one by one": 100.0}
    monkeypatch.setattr(cost, "choose", lambda *a, **k: Choice(engine=Serial(), rates=rates))
    text = """
[[method]]
name = "taught"
steps = ["CrossFit(folds=4, teacher_epochs=2, alpha={alpha}, epochs=1)"]
over = { alpha = [0.0, 0.5] }
[[method]]
name = "longer"
steps = ["CrossFit(folds=4, teacher_epochs=3, epochs=1)"]
[[method]]
name = "made"
steps = ["CrossFit(folds=4, teacher_epochs=2, epochs=1, recombine='mixed')"]
"""
    nodes = tree_of(read_plan(text), small_recipe(epochs=1), parse_step)
    found = {c.name: round(c.seconds * 100) for c in cost.cost_of(nodes, records, who, workers=1)}
    assert found["dense"] == who.inside.sum()
    read = 6 * len(who.members(0))  # six models of about so many
    assert found["taught alpha=0.0"] == read * (1 + 3 * 2)
    assert found["taught alpha=0.5"] == read
    assert found["longer"] == read * (1 + 3 * 3)
    assert found["made"] == read * 4  # the same teachers, asked other questions
    left = {"dense": 1, "taught alpha=0.0": 1, "taught alpha=0.5": 3}
    some = cost.cost_of(nodes, records, who, workers=1, fleets=lambda node: left.get(node.label, 0))
    found = {c.name: round(c.seconds * c.fleets * 100) for c in some}
    assert found["taught alpha=0.5"] == read * (3 + 2 * 3 * 2)  # two seeds' teachers are new


def test_a_report_is_still_read_as_one(whole):
    assert isinstance(store.read_result(whole / "run/seed-0/report.json"), Report)
    done = secateur("report", whole / "run/seed-0/report.json")
    assert "strongest attack" in done.out
