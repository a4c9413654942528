"""What the page, the charts and the words say of every kind of row; see also test_page.py."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources

import numpy as np
import pytest

from report_fixture import HOSTILE, KINDS, LIRA, NASR, PRUNED, STOPPED, attack_row, made_report
from secateur.auditing import default_attacks
from secateur.measure import paired_difference
from secateur.report import attack_table, html, main_table, render_text, words
from secateur.report.asked import ASKED, asked_table
from secateur.report.charts import charts
from secateur.report.lookup import label, short, subjects
from secateur.report.notes import intervals_words, not_run_words
from secateur.report.paired import difference
from secateur.report.table import consequence_table, group_table
from secateur.types import Measurement, Series


class Page(HTMLParser):
    """Elements with their attributes, text that is seen, and JSON scripts, of a page."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self.specs = [], [], {}
        self.inside = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.inside.append(dict(attrs))

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self.inside.pop()

    def handle_data(self, data):
        if not self.inside:
            self.text.append(data)
        elif self.inside[-1].get("type") == "application/json":
            self.specs[self.inside[-1]["id"]] = json.loads(data)


@pytest.fixture(scope="module")
def page():
    return Page(html.render(made_report()))


@pytest.fixture(scope="module")
def specs():
    return {name: spec for name, _, spec in charts(made_report())}


def named(spec, name):
    """Return the values of the data set of this name, wherever it stands in a specification."""
    if isinstance(spec, dict):
        if spec.get("data", {}).get("name") == name:
            return spec["data"]["values"]
        spec = list(spec.values())
    found = [named(part, name) for part in spec] if isinstance(spec, list) else []
    return next((f for f in found if f is not None), None)


def without(report, metric):
    """Return the report in which this metric was not run, for a reason with a mend."""
    rows = [
        replace(r, value=None, low=None, high=None, status="not run", why="no coins; draw")
        if r.metric == metric
        else r
        for r in report.rows
    ]
    return replace(report, rows=tuple(rows))


def test_what_the_strongest_attack_amounts_to_is_said_of_every_model(page):
    report = made_report()
    lines = consequence_table(report)
    assert [line["model"] for line in lines] == list(KINDS)
    for line in lines:
        assert line == {
            "model": line["model"],
            "false alarms %": "25 [23, 27]",
            "precision %, prior 1%": "3.0 [2.0, 4.0]",
            "precision %, prior 10%": "20 [18, 22]",
            "precision %, prior 50%": "70 [68, 72]",
            "epsilon, lower bound": "at least 1.25",
            "epsilon, estimate": "3.5 [3.0, 4.0]",
            "information, nats": "0.050 [0.030, 0.070]",
            "reachable acc. %": "65 [63, 67]",
        }
        assert "at least 1.25" in render_text(report, width=200)
    seen = " ".join(page.text)
    for sentence in words.amounts(report):
        assert sentence in seen


def test_sentences_tell_a_bound_from_an_estimate_and_say_why_one_is_missing():
    bound = "epsilon at delta 1e-05"
    told = words.amounts(made_report())
    assert "cannot claim an epsilon below 1.25 (delta 1e-05, 95 % confidence)" in told[1]
    assert "200 of 240 guesses were right. That is a lower bound" in told[1]
    assert "An estimate, not a bound, from a Gaussian curve" in told[1]
    assert "If one in a hundred" in told[0] and "3.0 [2.0, 4.0] % of those whom he names" in told[0]
    assert "0.050 [0.030, 0.070] nats" in told[2] and "right in 65 [63, 67] % (" in told[2]
    assert "fitted on other records" in told[2] and "an estimate that is biased downward" in told[2]
    assert "best decision" not in told[2]
    assert "below the bound" not in told[1]
    high = [replace(r, value=4.0, low=4.0) if r.metric == bound else r for r in made_report().rows]
    above = words.amounts(replace(made_report(), rows=tuple(high)))[1]
    assert above.endswith("It lies below the bound: some records leak more than such a curve says.")
    missing = words.amounts(without(made_report(), bound))[1]
    assert missing.startswith("Epsilon: no lower bound is given, since no coins. An estimate, not")
    rare = words.amounts(without(made_report(), "precision at 1% prior"))[0]
    assert rare.endswith("is not run: no coins.") and "25 [23, 27] %" in rare
    blind = words.amounts(without(made_report(), "false-positive rate"))[0]
    assert blind == "Whom to believe: not measured, since no coins."
    nothing = [replace(r, value=0.0, low=0.0) for r in made_report().rows if r.metric == bound]
    rows = [r for r in made_report().rows if r.metric != bound]
    shown = words.amounts(replace(made_report(), rows=(*rows, *nothing)))[1]
    assert shown.startswith("Epsilon: these guesses show no lower bound above 0. An estimate")


def test_older_reports_have_no_such_section():
    report = made_report()
    rows = [r for r in report.rows if r.metric in ("auc", "test accuracy")]
    older = replace(report, rows=tuple(rows))
    assert consequence_table(older) == [] and words.amounts(older) == []
    assert "What the strongest attack amounts to" not in html.render(older)
    assert "What the strongest attack amounts to" not in render_text(older)


def test_short_names_tell_the_default_attacks_apart():
    names = [short(repr(attack)) for attack in default_attacks()]
    assert len(set(names)) == len(names) and all("(" not in name for name in names)


def test_on_what_the_attack_was_chosen_is_said_as_it_was(page):
    reported = made_report()
    for told in (" ".join(page.text), render_text(reported)):
        said = " ".join(told.split())
        assert "the strongest attack is the one with the largest AUC on references" in said
        assert "at a low false alarm rate another attack may find more" in said
    few = {**made_report().facts, "chosen_on": dict.fromkeys(KINDS, "number of references")}
    told = render_text(replace(made_report(), facts=few))
    assert "largest AUC on references" not in " ".join(told.split())
    assert "the attack is the one recommended for their number, not chosen" in " ".join(
        told.split()
    )


def test_names_of_users_are_text_in_every_place(page):
    kinds = {tag for tag, _ in page.elements}
    assert "b" not in kinds
    assert sum(tag == "script" for tag, _ in page.elements) == len(page.specs) + 3
    seen = " ".join(page.text)
    assert f"On the records of {HOSTILE}, an attacker" in seen
    assert f"{PRUNED} keeps 10.0 % of the weights" in seen
    models = {p["model"] for p in named(page.specs["spec-leak"], "points")}
    assert models == set(KINDS)


def test_no_element_names_an_address(page):
    for tag, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
            assert not str(attributes.get(name) or "").startswith(("http", "//")), (tag, attributes)
    policy = [a["content"] for _, a in page.elements if "http-equiv" in a]
    assert len(policy) == 1 and policy[0].startswith("default-src 'none'")


def test_the_table_gives_counts_and_an_interval_or_says_why_not():
    report = made_report()
    lines = attack_table(report)
    assert len(lines) == sum(r.risk == "membership" for r in report.rows)
    for line in lines:
        ends = re.search(r"\[.+, .+\]|^at least ", line["value"])
        measured = line["counts"] and line["interval"] and ends
        assert measured or (line["value"] in ("not run", "not resolvable") and line["note"]), line
    assert {line["value"] for line in lines if line["spelling"] == NASR} == {"not run"}


def test_the_text_says_which_attacks_did_not_run_on_whom_and_why():
    report = made_report()
    why = next(r.why for r in report.rows if r.method == NASR and r.metric == "auc")
    (line,) = [t for t in render_text(report, width=400).splitlines() if "Did not run" in t]
    asked = [r.subject for r in report.rows if r.method == NASR and r.metric == "auc"]
    assert 0 < len(asked) < len(subjects(report))
    who = ", ".join(label(report, s) for s in asked)
    assert line == f"Did not run on {who}: {NASR}, since {why}."
    everyone = replace(report, rows=tuple(r for r in report.rows if r.subject in asked))
    (line,) = not_run_words(everyone)
    assert line == f"Did not run: {NASR}, since {why}."
    other = tuple(replace(r, method="Other()") for r in everyone.rows if r.method == NASR)
    (line,) = not_run_words(replace(everyone, rows=(*everyone.rows, *other)))
    assert line == f"Did not run: {NASR}, Other(), since {why}."


def test_the_main_table_reads_the_lowest_rate_that_is_resolvable():
    for line in main_table(made_report()):
        assert line["TPR % at FPR"] == "20.0 [18.0, 22.0] at 5%"


def test_the_points_of_the_leak_chart_are_the_reports_rows(specs):
    report = made_report()
    points = {p["model"]: p for p in named(specs["leak"], "points")}
    for subject in KINDS:
        rows = [r for r in report.rows if r.subject == subject and not r.versus]
        auc = next(r for r in rows if r.metric == "auc")
        test = next(r for r in rows if r.metric == "test accuracy")
        point = points[subject]
        assert (point["auc"], point["low"], point["high"]) == (auc.value, auc.low, auc.high)
        assert point["test"] == test.value


def test_curves_are_the_reports_series(specs):
    by_kind = {}
    for series in made_report().series:
        by_kind.setdefault(series.kind, {})[series.subject] = series.columns
    curve = named(specs["leak"], "curve")
    for name, column in by_kind["early stopping"]["dense"].items():
        assert [r[name] for r in curve] == list(column)
    residuals = named(specs["convergence"], "convergence")
    for name, column in by_kind["convergence"][PRUNED].items():
        assert [r[name] for r in residuals] == list(column)
    for subject in KINDS:
        columns = by_kind["roc"][subject]
        drawn = [r for r in named(specs["roc"], "roc") if r["model"] == subject]
        for name in ("fpr", "tpr", "low", "high"):  # a log axis has no place for the point (0, 0)
            assert [r[name] for r in drawn] == list(columns[name][1:])
        bars = [r for r in named(specs["histograms"], "histograms") if r["model"] == subject]
        for kind, name in (("members", "members"), ("non-members", "non_members")):
            got = [r for r in bars if r["records"] == kind]
            assert [r["density"] for r in got] == list(by_kind["histogram"][subject][name])
            assert [r["left"] for r in got] == list(by_kind["histogram"][subject]["left"])


def test_panels_stand_in_the_reports_order(specs):
    assert specs["histograms"]["facet"]["sort"] == list(KINDS)


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ((-0.05, 0.02), "leaks less"),
        ((0.05, 0.02), "leaks more"),
        ((0.01, 0.02), "no detectable difference"),
        ((0.02, 0.02), "no detectable difference"),
        ((-0.02, 0.02), "no detectable difference"),
    ],
)
def test_each_comparison_is_worded_by_its_own_interval(pair, said):
    told = words.answer(made_report(against_dense=pair, against_stopped=(0.0, 0.01)))
    against_dense = next(s for s in told if "trained to the end" in s)
    against_stopped = next(s for s in told if "stopped at the nearest" in s)
    assert said in against_dense
    assert "shows no detectable difference" in against_stopped
    told = words.answer(made_report(against_dense=(0.0, 0.01), against_stopped=pair))
    assert said in next(s for s in told if "stopped at the nearest" in s)
    assert "no detectable difference" in next(s for s in told if "trained to the end" in s)


def test_an_epoch_that_is_no_less_accurate_is_not_called_the_nearest():
    report = made_report()
    (match,) = {m["view"]: m for m in report.facts["matched"]}.values()
    first = {**match, "by": "no less test accuracy"}
    told = words.answer(replace(report, facts={**report.facts, "matched": [first]}))
    (line,) = [s for s in told if "the dense training stopped" in s]
    assert "stopped at the first snapshot of no less test accuracy (" in line
    assert "nearest" not in line


def test_the_answer_warns_of_the_naive_number_and_of_raised_controls():
    told = " ".join(words.answer(made_report()))
    assert "would have reported 0.550 [0.530, 0.570]" in told
    assert "the controls gap are raised" in told
    assert "lower bound" in told


def test_no_word_promises_anything(page):
    seen = " ".join(page.text)
    template = resources.files("secateur.report").joinpath("templates/report.html.j2")
    source = re.sub(r"\|\s*safe\b", "", template.read_text(encoding="utf-8"))  # jinja's filter
    sentences = " ".join(words.answer(made_report()))
    for text in (seen, source, sentences, render_text(made_report())):
        assert not re.search(r"\b(private|safe|safely|protected|protects)\b", text, re.IGNORECASE)


def test_the_text_has_every_subject_and_the_lower_bound():
    text = render_text(made_report(), width=240)
    for subject in KINDS:
        assert subject in text
    assert "An audit is an empirical lower bound on leakage, never a guarantee." in text
    assert "controls raised: gap" in text and "of 2" in text


def test_without_series_the_points_stand_alone_and_tables_still_sort():
    report = made_report(series=False)
    assert [name for name, _, _ in charts(report)] == ["leak"]
    found = html.render(report)
    assert 'id="chart-leak"' in found and 'id="chart-roc"' not in found
    bare = made_report(series=False)
    object.__setattr__(bare, "rows", tuple(r for r in bare.rows if r.metric != "test accuracy"))
    found = html.render(bare)
    assert "vegaEmbed" not in found and "<h2>Charts</h2>" not in found
    assert "table.sortable" in found
    assert STOPPED in found


def test_what_was_cut_is_measured_by_the_weights_of_the_baseline():
    report = made_report()
    name = subjects(report)[1]
    row = Measurement(
        subject=name,
        risk="size",
        method="count of non-zeros",
        metric="kept of the baseline's weights",
        value=0.125,
        status="exact",
        estimand="property",
    )
    cut = replace(report, rows=(*report.rows, row))
    assert main_table(cut)[1]["kept weights %"] == "12.5 of the baseline's"
    assert "baseline's" not in main_table(report)[1]["kept weights %"]


@pytest.mark.parametrize(("targets", "one"), [(1, True), (8, False)])
def test_intervals_of_one_model_are_not_called_those_of_targets(targets, one):
    report = made_report()
    facts = {**report.facts, "models": {"targets": targets, "references": 4}}
    report = replace(report, facts=facts)
    said = " ".join(render_text(report).split())
    assert ("records of this one model" in said) is one
    assert ("t over" in said) is not one
    assert ("this one" in words.answer(report)[0]) is one


def test_the_naive_attacker_is_called_flattering_only_where_his_number_is_lower():
    report = made_report()
    assert any("a flattering number" in s for s in words.answer(report))
    rows = [
        replace(r, value=0.9, low=0.88, high=0.92) if r.threat == "naive" else r
        for r in report.rows
    ]
    told = words.answer(replace(report, rows=tuple(rows)))
    assert not any("a flattering number" in s for s in told)


OTHER = "StackedAttack(folds=8)"


def by_target(subject, method, auc, tpr=(0.2, 0.2, 0.2)):
    return Series(
        id=f"targets/{subject}",
        kind="targets",
        subject=subject,
        method=method,
        columns={"target": (0.0, 1.0, 2.0), "auc": auc, "tpr": tpr},
    )


def test_a_difference_is_of_each_sides_strongest_attack_target_by_target():
    report = made_report()
    assert difference(report, PRUNED, STOPPED).value == 0.0  # one attack on both: its row
    series = (
        by_target(PRUNED, LIRA, (0.60, 0.62, 0.64)),
        by_target(STOPPED, OTHER, (0.70, 0.74, 0.70)),
    )
    chosen = {**report.facts["strongest"], STOPPED: OTHER}
    facts = {"strongest": chosen, "models": {"targets": 3, "references": 32}}
    two = replace(
        report,
        rows=(*report.rows, attack_row(STOPPED, "auc", 0.71, method=OTHER)),
        series=series,
        facts={**report.facts, **facts},
        provenance=replace(
            report.provenance, key={**report.provenance.key, "attacks": [LIRA, OTHER]}
        ),
    )
    row = difference(two, PRUNED, STOPPED)
    mean, low, high = paired_difference(np.array(series[0].columns["auc"]), [0.70, 0.74, 0.70])
    assert (row.value, row.low, row.high) == (mean, low, high)
    assert (row.method, row.versus, row.counts) == (LIRA, STOPPED, {"targets": 3.0})
    assert f"{PRUNED} by LiRA" in row.why and f"{STOPPED} by StackedAttack" in row.why
    assert any("StackedAttack on the other one)" in sentence for sentence in words.answer(two))
    # unknown target by target: what the subject's own attack says of both
    assert difference(replace(two, series=()), PRUNED, STOPPED).value == 0.0
    lacking = (series[0], by_target(STOPPED, OTHER, (0.70, None, 0.70)))
    assert difference(replace(two, series=lacking), PRUNED, STOPPED).value == 0.0


def test_every_part_that_documents_are_answered_by_stands_on_the_page(page):
    anchors = {a["id"] for tag, a in page.elements if tag == "h2" and "id" in a}
    links = [a["href"] for tag, a in page.elements if tag == "a"]
    assert links
    assert {link.removeprefix("#") for link in links} <= anchors | {"main"}
    table = asked_table(made_report())
    assert [line["document"] for line in table] == [document for document, *_ in ASKED]
    assert all(line["answered here by"] and line["not answered here"] for line in table)
    no_groups = {anchor for line in table for anchor, _ in line["answered here by"]}
    assert "groups" not in no_groups  # this report has none


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        (1, "95 % intervals over the records of this one model; they do not speak of other models"),
        (
            4,
            "95 % intervals, two-way bootstrap over 4 targets and their records; differences and "
            "accuracies: t over 4 targets",
        ),
        (7, "95 % intervals, two-way bootstrap over 7 targets"),
        (8, "95 % intervals, t over 8 targets"),
        (64, "95 % intervals, t over 64 targets"),
    ],
)
def test_the_kind_of_the_intervals_is_the_one_that_so_many_targets_have(targets, words):
    report = made_report()
    facts = {**report.facts, "models": {"targets": targets, "references": 32}}
    assert intervals_words(replace(report, facts=facts)).startswith(words)
    assert ("bootstrap" in words) == (1 < targets < 8)


def test_a_report_without_differences_speaks_of_none():
    report = made_report()
    facts = {**report.facts, "models": {"targets": 3, "references": 32}}
    rows = tuple(r for r in report.rows if not r.versus and r.risk == "membership")
    told = intervals_words(replace(report, facts=facts, rows=rows))
    assert told == "95 % intervals, two-way bootstrap over 3 targets and their records"


def test_controls_are_counted_by_kind_in_text_line_and_page():
    report = made_report()
    again = [replace(c, subject=PRUNED) for c in report.controls]
    twice = replace(report, controls=(*report.controls, *again))
    kinds = len({c.id for c in report.controls})
    assert f"1 of {kinds} controls raised: gap" in render_text(twice)
    assert f", 1 of {kinds} controls raised>" in repr(twice)
    assert f"1 of {kinds} controls is raised: gap." in html.render(twice)
    quiet = [replace(c, status="passed") for c in report.controls]
    assert f"0 of {kinds} controls raised\n" in render_text(replace(report, controls=quiet))


def test_a_group_says_at_which_false_alarm_rate_its_members_are_found():
    report = made_report()
    rows = [
        attack_row("dense", "tpr at 1% fpr", 0.3, group="site=a"),
        attack_row("dense", "tpr at 5% fpr", 0.4, group="site=b"),
    ]
    lines = group_table(replace(report, rows=(*report.rows, *rows)))
    assert [x["TPR % at FPR"] for x in lines if x["group"] in ("site=a", "site=b")] == [
        "30.0 [28.0, 32.0] at 1%",
        "40.0 [38.0, 42.0] at 5%",
    ]


def test_the_last_epoch_repeats_the_baseline_and_is_no_row_of_its_own():
    report = made_report()
    facts = {name: dict(about) for name, about in report.facts["subjects"].items()}
    facts[STOPPED]["repeats"] = "dense"
    told = replace(report, facts={**report.facts, "subjects": facts})
    for made in (main_table, consequence_table):
        assert STOPPED in [line["model"] for line in made(report)]
        assert [line["model"] for line in made(told)] == ["dense", PRUNED]


def test_records_without_a_name_are_these_records():
    report = made_report()
    bare = replace(report, facts={k: v for k, v in report.facts.items() if k != "data"})
    assert words.attacker(bare, "dense").startswith("On these records, an attacker")
    mine = replace(report, facts={**report.facts, "data": {"name": "mine.py"}})
    assert words.attacker(mine, "dense").startswith("On the records of mine.py, an attacker")
