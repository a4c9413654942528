from __future__ import annotations

from secateur.store.differing import difference


def test_long_values_are_shown_where_they_part():
    shared = "same " * 100
    found = difference({"method": f"{shared}A {shared}"}, {"method": f"{shared}B {shared}"})
    assert len(found) < 400
    assert "same A same" in found
    assert "same B same" in found


def test_a_value_that_is_the_beginning_of_the_other_is_told_from_it():
    found = difference(["x" * 500], ["x" * 501])
    old, _, new = found.partition(" there and ")
    assert old.removeprefix("[0] is ") != new.removesuffix(" now")


def test_what_follows_from_the_rest_is_not_named():
    old, new = ({"key_digests": [d], "seed": s} for d, s in (("a", 0), ("b", 1)))
    assert difference(old, new) == "seed is 0 there and 1 now"


def test_the_audit_pool_is_named_as_the_members_that_the_user_asked_for():
    def sizes(**pools):
        return {"data": {"pools": pools}}

    said = "members (half of data.pools.audit) is 60 there and 70 now"
    assert difference(sizes(audit=120), sizes(audit=140)) == said
    said = "data.pools.audit is 120 there and 141 now"  # no draw of ours
    assert difference(sizes(audit=120), sizes(audit=141)) == said
    said = "population (data.pools.population) is 1 there and 2 now"
    assert difference(sizes(population=1), sizes(population=2)) == said
    assert difference(sizes(audit=120), sizes()).startswith("data.pools.audit is 120 there and")
