"""The first screen and the parts behind it: the answer, groups, exposed records, cost, sources."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import replace
from html import escape

import numpy as np
import pytest
from tools.sources import PLACE, content

from report_fixture import HOSTILE, LIRA, PRUNED, STOPPED, attack_row, made_report
from secateur.auditing.pictures import pictures_of
from secateur.data import digits
from secateur.errors import InputError
from secateur.report import html
from secateur.report.charts import charts, group_points, leak_points
from secateur.report.effort import effort_words
from secateur.report.exposed import exposed_ids, exposed_tables, unnamed_words
from secateur.report.first import first_screen
from secateur.report.sources import source_table
from secateur.store import png_bytes, png_uri
from secateur.types import Measurement, Records, Series


def visible(page):
    """The page without what no reader sees."""
    return re.sub(r"<(script|style).*?</\1>", "", page, flags=re.S)


def exposed_report(record=41, targets=64):
    report = made_report(series=False)
    columns = {
        "record": (record, 7),
        "class": (3, 1),
        "chosen": (0.9, 0.8),
        "reported": (0.75, 0.5),
        "tpr": (0.8, 0.6),
        "low": (0.5, 0.3),
        "high": (0.95, 0.9),
        "fpr": (0.3, 0.6),
        "models_with_it": (15, 17),
        "models_without_it": (17, 15),
    }
    named = Series(
        id=f"most-exposed/{PRUNED}",
        kind="most exposed",
        subject=PRUNED,
        method=LIRA,
        columns=columns,
        note="chosen on 32 models, reported on 32 others",
    )
    facts = {**report.facts, "models": {"targets": targets, "references": 32}}
    return replace(report, series=(named,), facts=facts)


def grouped_report():
    report = made_report()
    rows = [
        attack_row(name, "auc", value, group=group)
        for name, values in (("dense", (0.6, 0.9)), (PRUNED, (0.5, 0.7)), (STOPPED, (0.5, 0.5)))
        for group, value in zip(("site=a", f"site={HOSTILE}"), values, strict=True)
    ]
    return replace(report, rows=(*report.rows, *rows))


def test_every_shipped_model_has_a_card_with_accuracy_size_leak_and_what_changed():
    screen = first_screen(made_report())
    cards = {name: dict(facts) for name, facts in screen.cards}
    assert list(cards) == ["dense", PRUNED]  # a stopped view is no model that is shipped
    assert cards["dense"]["test accuracy"] == "90.0 [89.0, 91.0] %"
    assert cards[PRUNED]["size"] == "10.0 % of the weights"
    assert cards[PRUNED]["attacker's AUC"].startswith("0.650 [0.630, 0.670]")
    assert cards[PRUNED]["members found at 5% false alarms"] == "20.0 [18.0, 22.0] %"
    assert cards[PRUNED]["beside dense"] == "leaks less (AUC -0.050 [-0.070, -0.030])"
    assert "beside dense" not in cards["dense"]


def test_the_comparison_at_no_less_accuracy_stands_on_the_card():
    report = made_report()
    matched = [
        {"subject": PRUNED, "by": "no less test accuracy", "epoch": 2, "view": STOPPED},
    ]
    screen = first_screen(replace(report, facts={**report.facts, "matched": matched}))
    card = dict(dict(screen.cards)[PRUNED])
    term = "beside dense stopped at no less test accuracy (86.0 %)"
    assert card[term] == "no detectable difference (AUC 0.000 [-0.020, 0.020])"


def test_what_was_not_measured_is_said_to_be_unknown_and_what_was_is_not():
    plain, grouped = first_screen(made_report()), first_screen(grouped_report())
    assert plain.whom == () and any("groups" in line for line in plain.unknown)
    assert any("single person" in line for line in plain.unknown)
    (told,) = grouped.whom
    assert "lowest in site=a, 0.600" in told and f"highest in site={HOSTILE}, 0.900" in told
    assert not any("groups" in line for line in grouped.unknown)


def test_the_first_screen_stands_before_everything_else_and_is_escaped():
    page = html.render(grouped_report())
    body = visible(page)
    assert HOSTILE not in page and "</script><b>" not in body
    order = [body.index(f'id="{part}"') for part in ("answer", "models", "controls", "effort")]
    assert order == sorted(order)
    assert "1 of 2 controls is raised: gap." in body
    assert page == html.render(grouped_report())


def test_a_report_without_measurements_has_a_first_screen():
    bare = replace(made_report(), rows=(), series=(), controls=())
    assert "The report holds no measurements." in visible(html.render(bare))


def test_the_groups_chart_holds_every_measured_group_of_what_is_shipped():
    report = grouped_report()
    points = group_points(report)
    assert [(p["model"], p["auc"]) for p in points] == [
        ("dense", 0.6),
        ("dense", 0.9),
        (PRUNED, 0.5),
        (PRUNED, 0.7),
    ]
    spec = {name: spec for name, _, spec in charts(report)}["groups"]
    assert spec["data"]["values"] == points
    assert "groups" not in [name for name, _, _ in charts(made_report())]


def with_bytes(report, sizes):
    rows = [
        Measurement(
            subject=name,
            risk="size",
            method="tensors",
            metric="bytes of all tensors",
            value=size,
            status="exact",
            estimand="property",
        )
        for name, size in sizes.items()
    ]
    return replace(report, rows=(*report.rows, *rows))


def test_a_point_is_beaten_when_another_is_as_good_in_all_and_better_in_one():
    # accuracy 0.9, 0.89, 0.86; AUC 0.7, 0.65, 0.66: the stopped one loses to the pruned one in both
    fronts = {p["model"]: p["front"] for p in leak_points(made_report())}
    assert fronts == {"dense": "on the front", PRUNED: "on the front", STOPPED: "beaten"}
    larger = leak_points(with_bytes(made_report(), {"dense": 100.0, PRUNED: 200.0}))
    assert [p["bytes"] for p in larger] == [100.0, 200.0, 100.0]  # stopped: the dense's bytes
    assert {p["front"] for p in larger} == {"on the front"}  # it is smaller, so it is not beaten


def test_points_are_sized_by_bytes_where_they_differ():
    def sized(report):
        spec = {name: spec for name, _, spec in charts(report)}["leak"]
        return "size" in spec["layer"][-1]["layer"][-1]["encoding"]

    assert sized(with_bytes(made_report(), {"dense": 100.0, PRUNED: 20.0}))
    assert not sized(with_bytes(made_report(), {"dense": 100.0, PRUNED: 100.0}))
    assert not sized(made_report())


def test_exposed_records_stand_with_the_rates_of_the_other_half():
    report = exposed_report()
    (table,) = exposed_tables(report)
    assert table["lines"][0] == {
        "record": "41",
        "class": "3",
        "balanced acc. %": "75",
        "same, chosen on %": "90",
        "found %": "80 [50, 95]",
        "models with it": "15",
        "falsely called %": "30",
        "models without it": "17",
    }
    assert exposed_ids(report) == [41, 7] and unnamed_words(report) == ""
    body = visible(html.render(report))
    assert "chosen on 32 models, reported on 32 others" in body and "80 [50, 95]" in body
    assert "<img" not in body and "Pictures are left out" in body


@pytest.mark.parametrize(("targets", "words"), [(8, "there are 8."), (1, "there is 1.")])
def test_with_few_models_no_record_is_named_and_the_reason_is_given(targets, words):
    report = replace(exposed_report(targets=targets), series=())
    assert words in unnamed_words(report) and "at least 64 models" in unnamed_words(report)
    assert words in visible(html.render(report))


def test_pictures_stand_in_the_page_only_when_they_are_handed_over():
    uri = png_uri(np.zeros((4, 4, 1), np.uint8))
    page = html.render(exposed_report(), pictures={41: uri})
    assert page.count(f'src="{uri}"') == 1 and 'alt="record 41"' in page
    assert "treat this page as such" in page
    assert page == html.render(exposed_report(), pictures={41: uri})


@pytest.mark.parametrize("uri", ['data:image/png;base64,AA"><script>', "x.png", "data:text/html,a"])
def test_a_picture_that_is_none_is_refused(uri):
    with pytest.raises(InputError, match=r"the picture of record 41 must be data:image/png"):
        html.render(exposed_report(), pictures={41: uri})


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_gives_its_pixels_back(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, channels), dtype=np.uint8)
    data = png_bytes(pixels)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    place, parts = 8, {}
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        name, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        (check,) = struct.unpack(">I", data[place + 8 + length : place + 12 + length])
        assert check == zlib.crc32(name + body)
        parts[name], place = body, place + 12 + length
    assert parts[b"IHDR"] == struct.pack(">IIBBBBB", 4, 5, 8, {1: 0, 3: 2}[channels], 0, 0, 0)
    lines = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(5, -1)
    assert (lines[:, 0] == 0).all() and (lines[:, 1:].reshape(5, 4, channels) == pixels).all()


def test_pictures_are_of_the_records_with_these_ids():
    records = digits()
    found = pictures_of(records, [5, 3])
    assert list(found) == [5, 3] and found[5] != found[3]
    picture = records.gather(np.array([5]))[0]
    scaled = np.round(255 * (picture - picture.min()) / (picture.max() - picture.min()))
    assert found[5] == png_uri(scaled.astype(np.uint8).transpose(1, 2, 0))
    with pytest.raises(InputError, match="no id 9999"):
        pictures_of(records, [9999])
    table = Records.from_arrays(np.zeros((4, 2)), np.array([0, 1, 0, 1]))
    with pytest.raises(InputError, match=r"\(2,\) are no pictures"):
        pictures_of(table, [0])


def test_the_cost_of_the_attack_says_models_questions_and_time():
    report = made_report()
    row = Measurement(
        subject="dense",
        risk="cost",
        method="process time",
        metric="cpu seconds per model",
        value=2.5,
        status="exact",
    )
    told = effort_words(replace(report, rows=(*report.rows, row)))
    assert "32 reference models" in told[0] and "dense 2.5" in told[0]
    assert "60 records once" in told[1]
    assert "what they took is not known" in effort_words(report)[0]
    alone = {**report.facts, "models": {"targets": 1, "references": 0}}
    assert "none" in effort_words(replace(report, facts=alone))[0]


def test_every_method_that_ran_has_its_paper():
    found = {line["method"]: line["source"] for line in source_table(made_report())}
    assert set(found) == {"LiRA", "RMIA", "NasrAttack"}
    assert found["LiRA"].startswith("Carlini, Chien, Nasr et al. Membership Inference Attacks From")
    assert escape(found["LiRA"]) in visible(html.render(made_report()))


def test_the_sources_are_those_of_the_bibliography():
    assert PLACE.read_text(encoding="utf-8") == content(), "run: python -m tools.sources"
    assert "\\" not in content().replace("\\n", "") and "://" not in content()
