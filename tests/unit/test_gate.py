"""Policies: what they refuse to be, and that what a report lacks is a violation, never a pass."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import secateur
from command_line import secateur as run
from report_fixture import HOSTILE, LIRA, NASR, PRUNED, RMIA, STOPPED, attack_row, made_report
from secateur import store
from secateur.cli.main import group
from secateur.errors import InputError
from secateur.report.gate import cause, check, spelled
from secateur.report.metrics import METRICS
from secateur.report.paired import difference, paired
from secateur.report.policy import CONTROLS, KEYS, RULE_KEYS, Rule, read_policy
from secateur.report.verdicts import render_findings
from secateur.types import Measurement, Provenance, Series

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 5, 1, tzinfo=UTC)


def found(text, report=None):
    return check(report or made_report(), read_policy(text), now=NOW)


def one(text, report=None):
    (finding,) = found(text, report)
    return finding


def rule(**keys):
    """A policy of one rule about the dense models unless it says else."""
    lines = {"metric": "auc", "subject": "dense", **keys}
    return "[[rule]]\n" + "\n".join(f"{k} = {json.dumps(v)}" for k, v in lines.items())


def with_rows(*rows, keep=lambda row: True):
    report = made_report()
    return replace(report, rows=(*filter(keep, report.rows), *rows))


@pytest.mark.parametrize(
    ("keys", "holds"),
    [
        ({"max": 0.719}, False),  # the row is 0.70 [0.68, 0.72]
        ({"max": 0.73}, True),
        ({"max": 0.71, "end": "value"}, True),
        ({"max": 0.69, "end": "value"}, False),
        ({"max": 0.69, "end": "lower"}, True),
        ({"min": 0.69}, False),  # the lower end counts for a least
        ({"min": 0.67}, True),
        ({"min": 0.71, "end": "upper"}, True),
        ({"min": 0.67, "max": 0.71}, False),
    ],
)
def test_the_end_of_the_interval_that_is_worse_for_the_rule_is_held_against_it(keys, holds):
    assert one(rule(**keys)).holds is holds


def test_the_lower_end_counts_for_accuracy():
    assert one(rule(metric="test accuracy", min=0.895)).holds is False  # 0.90 [0.89, 0.91]
    assert one(rule(metric="test accuracy", min=0.885)).holds is True


def test_a_limit_is_kept_by_what_equals_it():
    report = with_rows(attack_row("x", "auc", 0.5, 0.25))
    assert one(rule(subject="x", max=0.75), report).holds
    assert one(rule(subject="x", min=0.25), report).holds


def test_a_violation_says_the_value_its_interval_the_end_and_the_limit():
    finding = one(rule(max=0.6))
    assert (finding.value, finding.low, finding.high) == pytest.approx((0.7, 0.68, 0.72))
    text = render_findings([finding])
    assert "VIOLATED  auc <= 0.6 | dense, LiRA online, shrunk: 0.700 [0.680, 0.720]" in text
    assert "the upper end 0.72 is above 0.6" in text
    assert "1 of 1 checks are violated." in text


def test_what_is_not_resolvable_is_a_violation_with_its_reason():
    finding = one(rule(metric="tpr", fpr=0.01, max=0.99))
    assert not finding.holds
    assert finding.why.startswith("not resolvable: 2.4 false positives are expected")


def test_an_attack_that_did_not_run_is_a_violation():
    finding = one(rule(attack="NasrAttack", max=0.99))
    assert not finding.holds and finding.attack == NASR
    assert finding.why == "not run: NasrAttack needs posteriors"


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"metric": "tpr", "fpr": 0.001}, "no tpr at 0.1% fpr by the strongest attack; it has tpr"),
        ({"metric": "bytes"}, "no bytes of the file or bytes of all tensors$"),
        ({"metric": "latency"}, "the report has no latency, 1 record$"),
        ({"attack": "SAMIA"}, "the report has no auc by SAMIA$"),
        ({"group": "class=1"}, "the report has no auc of group class=1 by"),
        ({"versus": STOPPED}, "the report has no auc against dense, epoch 2 by"),
        ({"versus": "adm"}, "no such subject; did you mean .admm .*there are dense"),
        ({"subject": "dens"}, "no such subject; did you mean 'dense'"),
        ({"subject": "nothing*"}, "no such subject; there are dense, admm"),
    ],
)
def test_what_the_report_lacks_is_a_violation(keys, why):
    finding = one(rule(**{"max": 0.99, **keys}))
    assert not finding.holds
    assert re.search(why, finding.why), finding.why


def test_a_row_without_the_end_that_counts_is_a_violation():
    bare = Measurement(subject="x", risk="membership", method="L", metric="auc", value=0.5)
    report = with_rows(bare)
    finding = one(rule(subject="x", max=0.9), report)
    assert not finding.holds and finding.why.startswith("it has no upper end; write end")
    assert one(rule(subject="x", max=0.9, end="value"), report).holds


def test_an_exact_value_is_both_of_its_ends():
    assert not one(rule(metric="kept weights", subject="admm*", max=0.05)).holds
    assert one(rule(metric="kept weights", subject="admm*", max=0.1)).holds
    assert one(rule(metric="kept weights", subject="admm*", max=0.1, end="upper")).holds


def test_an_audited_epsilon_is_held_by_its_lower_bound():
    assert one(rule(metric="epsilon", max=1.3)).holds  # 1.25
    assert not one(rule(metric="epsilon", max=1.2)).holds
    assert not one(rule(metric="epsilon", max=9.0, end="upper")).holds
    assert not one(rule(metric="epsilon", delta=1e-6, max=9.0)).holds


def test_early_stopped_views_are_looked_at_only_when_they_are_named():
    subjects = {f.subject for f in found(rule(subject="*", max=0.9))}
    assert subjects == {"dense", PRUNED}
    assert one(rule(subject=STOPPED, max=0.9)).subject == STOPPED


def test_a_pattern_of_attacks_takes_every_one_and_never_the_naive_attacker():
    rows = found(rule(subject=PRUNED, attack="*", max=0.9))
    assert [(f.attack, f.holds) for f in rows] == [(LIRA, True), (RMIA, True), (NASR, False)]
    assert all(f.value != 0.55 for f in rows)  # the naive row


def test_strongest_is_the_attack_that_the_report_chose():
    report = made_report()
    report = replace(report, facts={**report.facts, "strongest": {"dense": RMIA}})
    assert one(rule(max=0.9), report).attack == RMIA


def test_a_difference_is_held_by_its_interval_and_skips_its_other_side():
    finding = one(rule(subject="*", versus="dense", max=0.0))  # -0.05 +- 0.02
    assert finding.subject == PRUNED and finding.holds
    assert not one(rule(subject="*", versus="dense", max=-0.04)).holds


def faster():
    """A report with the baseline `dense`, and speed-ups over it."""
    about = {"risk": "latency", "method": "onnx", "metric": "speed-up, 1 record"}
    report = with_rows(
        Measurement(subject=PRUNED, versus="dense", value=2.0, **about),
        Measurement(subject=PRUNED, versus=STOPPED, value=3.0, **about),
    )
    return replace(report, facts={**report.facts, "baseline": "dense"})


def test_a_speed_up_is_asked_of_all_but_the_baseline_that_it_is_over():
    (finding,) = found(rule(metric="speed-up", subject="*", min=1.5), faster())
    assert finding.holds and (finding.subject, finding.versus) == (PRUNED, "dense")
    over = rule(metric="speed-up", subject=PRUNED, versus=STOPPED, min=2.5)
    assert one(over, faster()).value == 3.0


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"versus": "dense"}, "`dense` would be compared with itself; give another subject, or"),
        ({"metric": "speed-up"}, "speed-ups are over `dense`, which has none over itself; give"),
    ],
)
def test_a_subject_held_against_itself_is_no_subject_that_is_missing(keys, why):
    finding = one(rule(**keys, max=0.99), faster())
    assert not finding.holds and finding.why.startswith(why)


def with_two_strongest():
    """Two targets of two families, each with another strongest attack; -0.2 by one attack."""
    methods = {"dense": RMIA, PRUNED: LIRA}
    report = with_rows(
        attack_row(PRUNED, "auc", -0.2, 0.01, versus="dense"),
        attack_row("dense", "auc", 0.705, 0.02, method=RMIA),
        keep=lambda row: row.metric != "auc" or row.subject != PRUNED or not row.versus,
    )
    series = tuple(
        Series(
            id=f"targets/{subject}",
            kind="targets",
            subject=subject,
            method=methods[subject],
            columns={"target": (0.0, 1.0), "auc": aucs, "test_accuracy": accuracies},
        )
        for subject, aucs, accuracies in (
            ("dense", (0.70, 0.71), (0.90, 0.92)),
            (PRUNED, (0.60, 0.62), (0.87, 0.90)),
        )
    )
    key = {**report.provenance.key, "membership": "m", "attacks": [LIRA, RMIA]}
    return replace(
        report,
        series=series,
        provenance=Provenance(key=key),
        facts={**report.facts, "strongest": methods, "models": {"targets": 2, "references": 8}},
    )


def test_a_difference_is_the_one_of_the_page_each_side_by_its_own_strongest_attack():
    report = with_two_strongest()
    asked = {"subject": PRUNED, "versus": "dense", "max": 0.0, "end": "value"}
    finding = one(rule(**asked), report)
    assert finding.value == pytest.approx(-0.095)  # mean of -0.10 and -0.09
    assert finding.value == difference(report, PRUNED, "dense").value
    assert (finding.attack, finding.versus_attack) == (LIRA, RMIA)
    assert " on dense" in render_findings([finding])
    named = one(rule(**asked, attack=LIRA), report)
    assert (named.value, named.versus_attack) == (-0.2, "")
    lacking = replace(report, series=())
    assert one(rule(**asked), lacking).value == -0.2


def test_a_test_accuracy_is_held_against_the_other_models_target_by_target():
    report = with_two_strongest()
    asked = {"metric": "test accuracy", "subject": PRUNED, "versus": "dense"}
    own = paired((report, PRUNED), (report, "dense"), "test accuracy")
    finding = one(rule(**asked, min=-0.2), report)
    assert finding.holds and (finding.versus, finding.versus_attack) == ("dense", "")
    assert finding.value == pytest.approx(-0.025) == own.value  # mean of -0.03 and -0.02
    assert (finding.low, finding.high) == (own.low, own.high)
    assert not one(rule(**asked, min=-0.05), report).holds  # the lower end is -0.0885
    assert one(rule(**asked, min=-0.03, end="value"), report).holds
    assert {f.subject for f in found(rule(**{**asked, "subject": "*"}, min=-0.2), report)} == {
        PRUNED
    }


def test_a_difference_of_test_accuracy_that_cannot_be_made_is_a_violation():
    report = replace(with_two_strongest(), series=())
    asked = {"metric": "test accuracy", "subject": PRUNED, "versus": "dense"}
    finding = one(rule(**asked, min=-0.5), report)
    assert not finding.holds and finding.why.startswith("not run: the report holds no numbers of")
    alone = replace(report, facts={**report.facts, "models": {"targets": 1}})
    assert "one model each: nothing to pair" in one(rule(**asked, min=-0.5), alone).why


@pytest.mark.parametrize("name", METRICS)
def test_a_difference_is_asked_only_of_what_reports_have_one_of(name):
    options = {"tpr": "fpr = 0.01", "precision": "prior = 0.1"}.get(name, "")
    text = f'[[rule]]\nmetric = "{name}"\nmax = 0.5\nversus = "dense"\n{options}'
    if name in {"auc", "tpr", "attack accuracy", "test accuracy", "speed-up"}:
        assert read_policy(text).rules[0].versus == "dense"
    else:
        with pytest.raises(InputError, match=f"no differences of {name} are known, .* speed-up"):
            read_policy(text)


def test_latency_is_held_by_its_median_or_its_95th_percentile():
    row = Measurement(
        subject="x",
        risk="latency",
        method="ONNX Runtime",
        metric="latency, 32 records, 2 threads",
        value=4.0,
        unit="ms",
        counts={"p95": 9.0},
    )
    asked = {"metric": "latency", "subject": "x", "batch": 32, "threads": 2, "max": 5}
    assert one(rule(**asked), with_rows(row)).holds
    late = one(rule(**asked, end="p95"), with_rows(row))
    assert not late.holds and "the 95th percentile of calls 9 is above 5" in late.why
    assert not one(rule(**{**asked, "batch": 1}), with_rows(row)).holds
    unknown = one(rule(**asked, end="p95"), with_rows(replace(row, counts={})))
    assert not unknown.holds and unknown.why.startswith("the report does not hold the 95th")


def test_bytes_are_of_the_file_where_there_is_one():
    about = {"subject": "x", "risk": "size", "status": "exact", "unit": "B"}
    tensors = Measurement(metric="bytes of all tensors", method="tensors", value=900.0, **about)
    file = Measurement(metric="bytes of the file", method="onnx", value=500.0, **about)
    asked = rule(metric="bytes", subject="x", max=600)
    assert one(asked, with_rows(tensors, file)).holds
    assert not one(asked, with_rows(tensors)).holds
    assert not one(rule(metric="bytes of the file", subject="x", max=999), with_rows(tensors)).holds


def test_groups_are_matched_by_name_or_pattern():
    rows = [attack_row("dense", "auc", v, group=f"sex={g}") for v, g in ((0.6, "f"), (0.8, "m"))]
    report = with_rows(*rows)
    assert [f.holds for f in found(rule(group="sex=*", max=0.7), report)] == [True, False]
    assert one(rule(group="sex=f", max=0.7), report).holds


def made_at(when, **facts):
    report = made_report()
    return replace(
        report,
        provenance=Provenance(key={}, context={"made": when} if when else {}),
        facts={**report.facts, **facts},
    )


@pytest.mark.parametrize(
    ("when", "holds", "why"),
    [
        (NOW - timedelta(days=29), True, ""),
        (NOW - timedelta(days=31), False, "more than 30 days"),
        (NOW + timedelta(days=1), False, "in the future"),
        (None, False, "does not say when it was made"),
    ],
)
def test_a_report_without_a_date_is_as_bad_as_an_old_one(when, holds, why):
    finding = one("max_age_days = 30", made_at(when and when.isoformat()))
    assert finding.holds is holds and why in finding.why


def test_a_date_that_is_none_is_a_violation():
    assert not one("max_age_days = 30", made_at("yesterday")).holds
    assert one("max_age_days = 30", made_at("2026-04-20T00:00:00")).holds


def test_age_needs_a_clock():
    with pytest.raises(InputError, match="give now="):
        check(made_report(), read_policy("max_age_days = 30"))


def test_a_report_of_the_api_says_when_it_was_made_and_its_key_does_not():
    rng = np.random.default_rng(0)
    signals = {"logits": rng.normal(size=(40, 3)), "labels": np.arange(40) % 3}
    reports = [secateur.audit(signals, members=np.arange(20)) for _ in range(2)]
    for report in reports:
        made = datetime.fromisoformat(report.provenance.context["made"])
        assert abs(datetime.now(UTC) - made) < timedelta(minutes=5)
        policy = read_policy("max_age_days = 1")
        (finding,) = check(report, policy, now=datetime.now(UTC))
        assert finding.holds
        (finding,) = check(report, policy, now=datetime.now(UTC) + timedelta(days=2))
        assert not finding.holds and "more than 1 days" in finding.why
    assert reports[0].provenance.digest == reports[1].provenance.digest
    assert "made" not in reports[0].provenance.key
    assert reports[0].rows == reports[1].rows


def test_counts_of_models_are_asked_for():
    assert one("min_references = 32").holds
    assert one("min_references = 33").why == "fewer than 33"
    assert one("min_targets = 9").shown == "8 targets"
    assert not one("min_targets = 1", made_at(None, models={})).holds


def test_an_adaptive_attacker_is_one_with_references_of_the_same_pipeline():
    text = 'subject = "dense"\nadaptive_attacker = true'
    assert one(text).holds
    assert "saved signals do not say" in one(text, made_at(None, kept=["logits"])).why
    only_naive = with_rows(keep=lambda row: row.threat != "adaptive")
    assert not one(text, only_naive).holds
    alone = made_report()
    rows = [replace(r, counts={"targets": 8.0}) for r in alone.rows]
    assert not one(text, replace(alone, rows=tuple(rows))).holds


def controls(*changed):
    report = made_report()
    return replace(report, controls=changed)


def test_a_required_control_must_have_run_and_passed():
    gap, null = made_report().controls
    text = 'subject = "dense"\nrequired_controls = ["null"]'
    assert one(text).holds
    assert not one(text, controls(gap)).holds
    assert not one(text, controls(replace(null, status="raised"))).holds
    assert "not run" in one(text, controls(replace(null, status="not run"))).why
    assert not one(text, controls(replace(null, subject=PRUNED))).holds


def test_a_required_control_of_one_subject_does_not_stand_for_another():
    _, null = made_report().controls
    finding = one('required_controls = ["null"]', controls(null))
    assert not finding.holds and finding.why == f"it did not run on {PRUNED}"
    assert one('required_controls = ["null"]', controls(null, replace(null, subject=PRUNED))).holds


def test_a_control_of_the_audit_counts_whatever_the_subject_is():
    _, null = made_report().controls
    blind = replace(null, id="blind-baseline", subject="all", status="raised", saw="told apart")
    asked = 'subject = "dense"\nrequired_controls = ["blind-baseline"]'
    assert one(asked, controls(blind)).why == "raised: told apart"
    assert one(asked, controls(replace(blind, status="passed"))).holds


def test_a_control_that_only_some_models_have_must_be_there_once():
    _, null = made_report().controls
    convergence = replace(null, id="convergence", subject=PRUNED)
    asked = 'required_controls = ["convergence"]'
    assert one(asked, controls(convergence)).holds
    assert not one('subject = "dense"\n' + asked, controls(convergence)).holds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "asks for nothing"),
        ('title = "x"\nsubject = "dense"', "asks for nothing"),
        ("[[rule]", "is no TOML"),
        ("rule = 3", r"double brackets"),
        ("[rule]\nmax = 1", r"double brackets"),
        ("max_age_day = 3", "unknown key 'max_age_day'; did you mean 'max_age_days'?"),
        ("max_age_days = 0", "must be above 0"),
        ("max_age_days = true", "must be a finite number"),
        ("min_references = 2.5", "whole number of at least 1, got 2.5"),
        ("adaptive_attacker = 1", "must be true or false, got 1"),
        ('required_controls = "null"', "must be a list of names"),
        ('required_controls = ["nul"]', "unknown control 'nul'; did you mean 'null'?"),
        ("[[rule]]\nmax = 1", "names no metric"),
        ('[[rule]]\nmetric = "acu"\nmax = 1', "unknown metric 'acu'; did you mean 'auc'?"),
        ('[[rule]]\nmetric = "accuracy"\nmin = 1', "write 'test accuracy' for the model's"),
        ('[[rule]]\nmetric = "TPR at 1% FPR"\nmax = 1', "write 'tpr', and beside it fpr;"),
        ('[[rule]]\nmetric = "latency, 1 record"\nmax = 1', "write 'latency', and beside it batch"),
        ('[[rule]]\nmetric = "auc"', "has no limit"),
        ('[[rule]]\nmetric = "auc"\nmaximum = 1', "unknown key 'maximum'; did you mean 'max'?"),
        ('[[rule]]\nmetric = "auc"\nmax = 60', r"lies in \[0, 1\], so that the limit 60"),
        (
            '[[rule]]\nmetric = "auc"\nmax = 0\nversus = "dense"\ngroup = "class=3"',
            "differences are over all records, none within class=3; leave group or versus out",
        ),
        ('[[rule]]\nmetric = "auc"\nmax = 1.0', "max = 1 says nothing: every value keeps it"),
        ('[[rule]]\nmetric = "auc"\nmin = 0.0', "min = 0 says nothing: every value keeps it"),
        ('[[rule]]\nmetric = "auc"\nmin = 0\nmax = 0.6', "min = 0 says nothing"),
        ('[[rule]]\nmetric = "auc"\nmin = -1\nversus = "dense"', "auc lies in .-1, 1., so that mi"),
        ('[[rule]]\nmetric = "accuracy gap"\nmax = 1', "max = 1 says nothing"),
        ('[[rule]]\nmetric = "accuracy gap"\nmax = 2', "lies in .-1, 1., so that the limit 2 says"),
        ('[[rule]]\nmetric = "latency"\nmax = -1', "latency is at least 0, so that the limit -1"),
        ('[[rule]]\nmetric = "bytes"\nmin = 0', "bytes is at least 0, so that min = 0 says not"),
        ('[[rule]]\nmetric = "speed-up"\nmin = -1\nversus = "dense"', "the limit -1 says nothing"),
        ('[[rule]]\nmetric = "auc"\nmax = inf', "finite number, got inf"),
        ('[[rule]]\nmetric = "auc"\nmax = nan', "finite number, got nan"),
        ('[[rule]]\nmetric = "auc"\nmax = "0.6"', "finite number, got '0.6'"),
        ('[[rule]]\nmetric = "auc"\nmax = 0.5\nmin = 0.6', "min 0.6 is above max 0.5"),
        ('[[rule]]\nmetric = "auc"\nmax = 0.6\nend = "top"', "end must be upper, lower, value, g"),
        ('[[rule]]\nmetric = "auc"\nmax = 0.6\nend = "p95"', "end must be"),
        ('[[rule]]\nmetric = "auc"\nmax = 0.6\nend = ["p95"]', "end must be"),
        ('[[rule]]\nmetric = "auc"\nmax = 0.6\nfpr = 0.1', "auc has no fpr"),
        ('[[rule]]\nmetric = "tpr"\nmax = 0.6', "tpr needs fpr, such as fpr = 0.01"),
        ('[[rule]]\nmetric = "tpr"\nmax = 0.6\nfpr = 1', "fpr must be between 0 and 1, got 1"),
        ('[[rule]]\nmetric = "latency"\nmax = 6\nbatch = 0', "batch must be a whole number"),
        ('[[rule]]\nmetric = "test accuracy"\nmin = 0.6\nattack = "LiRA"', "is of no attack"),
        ('[[rule]]\nmetric = "auc"\nmax = 0.6\nsubject = ""', "subject must be a text, got ''"),
        ("[[rule]]\nmetric = 3\nmax = 0.6", "metric must be a text, got 3"),
    ],
)
def test_a_policy_that_cannot_be_read_says_where_and_how_to_mend_it(text, message):
    with pytest.raises(InputError, match=message):
        read_policy(text)


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_can_be_asked_for_and_is_spelled(name):
    options = {"tpr": "fpr = 0.01", "precision": "prior = 0.1"}.get(name, "")
    policy = read_policy(f'[[rule]]\nmetric = "{name}"\nmax = 0.5\n{options}')
    assert spelled(policy.rules[0]).startswith(name)
    assert all(policy.rules[0].rows)


@pytest.mark.parametrize(
    "limit",
    [
        'metric = "false-positive rate"\nmax = 0',
        'metric = "test accuracy"\nmin = 1',
        'metric = "auc"\nversus = "dense"\nmin = 0',
        'metric = "accuracy gap"\nmin = -0.1\nmax = 0',
        'metric = "epsilon"\nmax = 100',
        'metric = "compression rate"\nmin = 20',
    ],
)
def test_a_limit_that_some_value_breaks_is_read(limit):
    assert read_policy(f"[[rule]]\n{limit}").rules


def metrics_of_results():
    rows = set()
    for path in (ROOT / "results").glob("*.json"):
        if json.loads(path.read_text()).get("schema") == "1":
            rows |= {(r.metric, r.risk) for r in store.read_report(path).rows}
    return rows


def test_the_metrics_name_rows_as_reports_do():
    """Every metric but those of DP-SGD and of single networks stands in some report of results/;
    test_given_model.py holds a policy against a report of one network."""
    named = set()
    for name, metric in METRICS.items():
        options = {"tpr": {"fpr": 0.01}, "precision": {"prior": 0.1}}.get(name, {})
        named |= {(row, metric.risk) for row in Rule(metric=name, options=options).rows}
    assert named - metrics_of_results() <= {
        ("accounted epsilon at delta 1e-05", "membership"),
        ("accuracy on non-members", "utility"),
        ("accuracy gap", "utility"),
    }


def test_the_controls_of_a_policy_are_those_of_the_house():
    source = "".join(
        p.read_text()
        for room in ("measure", "auditing")
        for p in Path(secateur.__file__).parent.joinpath(room).glob("*.py")
    )
    assert set(re.findall(r' id="([a-z-]+)",', source)) == set(CONTROLS)


def test_the_page_names_every_key_metric_and_control():
    page = (ROOT / "docs/gate.md").read_text()
    for name in {*KEYS, *RULE_KEYS, *METRICS, *CONTROLS}:
        assert f"`{name}`" in page, name


def written(folder, report=None, policy=None):
    store.write_report(folder / "r.json", report or made_report())
    (folder / "p.toml").write_text(policy or rule(max=0.6))
    return folder / "r.json", folder / "p.toml"


def test_the_exit_code_is_0_1_or_2(tmp_path):
    report, policy = written(tmp_path, policy=rule(max=0.8))
    assert run("gate", report, policy).code == 0
    policy.write_text(rule(max=0.6))
    done = run("gate", report, policy)
    assert done.code == 1 and "VIOLATED" in done.out and not done.err
    policy.write_text(rule(metric="acu", max=0.6))
    done = run("gate", report, policy)
    assert done.code == 2 and "did you mean 'auc'?" in done.err and not done.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("r.json", "nowhere.toml"), "nowhere.toml: No such file or directory; give a TOML file"),
        (("nowhere.json", "p.toml"), "there is no secateur report file"),
        (("p.toml", "r.json"), "is no TOML"),
        (("sweep.json", "p.toml"), "is a sweep's result, not a report; give the report of one"),
        (("r.json", "p.toml", "--json", "r.json"), "is, or is inside, the input"),
        (("r.json", "p.toml", "--json", "p.toml/x"), "is not a folder that may be written"),
    ],
)
def test_wrong_files_are_exit_code_2_and_one_message(tmp_path, monkeypatch, arguments, message):
    written(tmp_path)
    (tmp_path / "sweep.json").write_bytes((ROOT / "results/dp-curve.json").read_bytes())
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    done = run("gate", *arguments)
    assert done.code == 2 and message in done.err, done.err
    assert sorted(tmp_path.iterdir()) == before


def test_the_json_holds_the_finding_of_every_rule(tmp_path):
    report, policy = written(tmp_path, policy='title = "Ours"\n' + rule(subject="*", max=0.68))
    assert run("gate", report, policy, "--json", tmp_path / "g.json").code == 1
    told = store.read_document(tmp_path / "g.json", what="gate")
    assert (told["schema"], told["policy"], told["holds"]) == ("gate-1", "Ours", False)
    assert told["report"] == f"Membership audit of {HOSTILE}"
    assert [(f["subject"], f["holds"]) for f in told["findings"]] == [
        ("dense", False),
        (PRUNED, True),
    ]


def test_names_cannot_move_the_cursor_or_add_lines(tmp_path):
    report = with_rows(attack_row("x\x1b[2J\nholds everything", "auc", 0.7))
    text = render_findings(found(rule(subject="x*", max=0.6), report))
    assert "\x1b" not in text
    assert len(text.splitlines()) == 3


ELSEWHERE = """
subject = "dens"
adaptive_attacker = true
required_controls = ["null", "blind-baseline"]
[[rule]]
metric = "auc"
max = 0.6
[[rule]]
metric = "test accuracy"
min = 0.8
"""


def test_a_subject_that_the_report_lacks_is_said_once_before_all_findings(tmp_path):
    report, policy = written(tmp_path, policy=ELSEWHERE)
    done = run("gate", report, policy, "--json", tmp_path / "g.json")
    first, *others = done.out.splitlines()
    assert done.code == 1
    assert first == (
        f"The policy speaks of `dens`, and the report has `dense`, `{PRUNED}`: "
        "change subject = \"dens\" in the policy; did you mean 'dense'?"
    )
    assert all(line.startswith("VIOLATED") for line in others[:5])
    told = store.read_document(tmp_path / "g.json", what="gate")
    assert told["violated"] == len(told["findings"]) == 5
    lacking = [f for f in told["findings"] if f["rule"] != "control blind-baseline"]
    assert all(
        f["why"].startswith("the report has no such subject; did you mean 'dense'?")
        for f in lacking
    )


def test_no_cause_is_said_where_every_subject_is_there_or_is_not_asked_for():
    assert cause(made_report(), read_policy(rule(max=0.1))) == ""
    unasked = 'subject = "nowhere"\n' + rule(max=0.1)  # the only rule names its own
    assert cause(made_report(), read_policy(unasked)) == ""
    assert "`nowhere`" in cause(
        made_report(), read_policy('required_controls = ["null"]\n' + unasked)
    )
    whole = 'subject = "nowhere"\nrequired_controls = ["blind-baseline"]\n' + rule(max=0.1)
    assert cause(made_report(), read_policy(whole)) == ""


def test_a_subject_that_the_page_calls_otherwise_is_named_both_ways():
    report = made_report()
    kinds = {"dense": {"label": "release 3"}}
    report = replace(report, facts={**report.facts, "subjects": kinds})
    policy = read_policy(rule(subject="releas 3", max=0.1))
    said = cause(report, policy)
    assert "the report has `dense` (shown as release 3), " in said
    assert said.endswith("did you mean 'release 3'?")
    (finding,) = check(report, policy)
    assert f"there are dense (shown as release 3), {PRUNED}" in finding.why


def shown_as(**labels):
    report = made_report()
    kinds = {name: dict(about) for name, about in report.facts["subjects"].items()}
    for name, said in labels.items():
        kinds[STOPPED if name == "stopped" else name]["label"] = said
    return replace(report, facts={**report.facts, "subjects": kinds})


@pytest.mark.parametrize("asked", ["dense", "release 3", "release*"])
def test_a_policy_may_name_a_subject_as_the_page_does(asked):
    report = shown_as(dense="release 3")
    finding = one(rule(subject=asked, max=0.9), report)
    assert finding.holds and (finding.subject, finding.label) == ("dense", "release 3")
    assert cause(report, read_policy(rule(subject=asked, max=0.9))) == ""
    lacking = one(rule(subject=asked, metric="bytes", max=1), report)
    assert (lacking.subject, lacking.label) == ("dense", "release 3")
    required = f'subject = "{asked}"\nrequired_controls = ["null"]\nadaptive_attacker = true'
    assert all(f.holds for f in found(required, report))
    against = one(rule(subject=PRUNED, versus="release 3", max=0.0), report)
    assert against.holds and against.versus == "dense"


def test_a_subjects_own_name_goes_before_what_the_page_calls_another():
    report = shown_as(stopped="dense")
    assert one(rule(max=0.9), report).subject == "dense"
    only = shown_as(stopped="release 3, epoch 2")
    assert one(rule(subject="release 3, epoch 2", max=0.9), only).subject == STOPPED
    assert not one(rule(subject="release 3*", max=0.9), only).holds


def test_a_rule_that_alone_names_no_subject_is_the_cause_too():
    said = cause(made_report(), read_policy(rule(subject="nothing*", max=0.1)))
    assert said.startswith("The policy speaks of `nothing*`, and the report has `dense`")
    assert said.endswith('change subject = "nothing*" in the policy')


def test_no_word_of_the_gate_is_a_verdict_on_privacy(tmp_path):
    for most in (0.1, 0.9):
        text = render_findings(found(rule(max=most))).lower()
        assert not re.search(r"\b(private|safe|protected|secure)\b", text)


def test_the_example_policy_reads_and_is_held_against_the_demo(tmp_path):
    done = run("gate", ROOT / "results/demo.json", ROOT / "examples/policy.toml")
    assert done.code == 1
    assert "does not say when it was made" in done.out
    assert "VIOLATED  leak: auc <= 0.6 | admm" in done.out
    assert "holds     size: kept weights <= 0.2 | admm" in done.out


def commands_of(path):
    """Every line of a page or workflow that calls secateur, without its comment."""
    lines = re.findall(r"^(?:.*run: |\s*)(secateur \w.*)$", path.read_text(), flags=re.MULTILINE)
    return [shlex.split(line, comments=True)[1:] for line in lines]


@pytest.mark.parametrize("path", ["docs/gate.md", "examples/github-actions.yml"])
def test_every_command_that_is_shown_has_a_verb_and_options_that_exist(path):
    shown = commands_of(ROOT / path)
    assert {"gate"} <= {verb for verb, *_ in shown}
    for verb, *arguments in shown:
        group.get_command(None, verb).make_context(verb, arguments)  # refuses unknown options


def test_the_policy_on_the_page_reads():
    (shown,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/gate.md").read_text(), re.DOTALL)
    assert len(read_policy(shown).rules) == 2
