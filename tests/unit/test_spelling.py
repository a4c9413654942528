"""A method's repr is its spelling: it reads back, and whatever is not one is refused in words."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from secateur.attack.learned import NasrAttack
from secateur.attack.membership import RMIA, LiRA, LossThreshold
from secateur.compress import ADMM, Magnitude, RandomMask
from secateur.errors import MethodError, SparsityError, UnknownMethodError
from secateur.models import MLP, LeNet5, SmallCNN
from secateur.spelling import DEEPEST, LONGEST, did_you_mean, parse, signature_of
from secateur.train import SGD, Adam, Recipe

KINDS = (
    *(LiRA, RMIA, LossThreshold, NasrAttack),
    *(ADMM, Magnitude, RandomMask),
    *(MLP, LeNet5, SmallCNN),
    *(SGD, Adam, Recipe),
)
NAMES = {kind.__name__: kind for kind in KINDS}

positive = st.floats(min_value=1e-9, max_value=1e9)
share = st.floats(min_value=0, max_value=0.99)
optimisers = st.one_of(
    st.builds(Adam, lr=positive, weight_decay=share, decoupled=st.booleans()),
    st.builds(SGD, lr=positive, momentum=share, schedule=st.sampled_from(["constant", "cosine"])),
)
networks = st.one_of(
    st.builds(MLP, widths=st.lists(st.integers(1, 999), min_size=2, max_size=5).map(tuple)),
    st.builds(SmallCNN, channels=st.integers(1, 9), batch_norm=st.booleans()),
)
methods = st.one_of(
    st.builds(
        Recipe,
        build=networks,
        optimiser=optimisers,
        epochs=st.integers(0, 999),
        streams=st.dictionaries(st.sampled_from(["attack", "population"]), st.integers(1, 99)),
    ),
    st.builds(
        ADMM,
        rate=st.floats(min_value=1, max_value=1e6),
        exempt=st.lists(st.text(max_size=9), max_size=3).map(tuple),
        rho=st.tuples(positive, positive),
        optimiser=optimisers,
    ),
    st.builds(Magnitude, sparsity=share, scope=st.sampled_from(["layer", "global"])),
    st.builds(RandomMask, rate=st.floats(1, 1e6), epochs=st.none() | st.integers(0, 99)),
    st.builds(LiRA, variance=st.sampled_from(["shrunk", "per record"])),
    st.builds(RMIA, temperature=positive),
    st.builds(NasrAttack, epochs=st.integers(1, 99), lr=positive),
)


@given(methods)
@example(Recipe(build=MLP(widths=(64, 256, 10)), optimiser=Adam(lr=2e-3)))
@example(ADMM(exempt=("it's", 'a "name"', "line\nbreak", "(", "\\")))
def test_a_method_reads_back_from_its_repr(method):
    assert parse(repr(method), NAMES) == method


def test_a_bare_name_is_the_method_with_its_defaults():
    assert parse("LiRA", NAMES) == LiRA()
    assert parse("  LiRA() ", NAMES) == LiRA()
    assert parse("Recipe(build=LeNet5, optimiser=SGD)", NAMES) == Recipe(
        build=LeNet5(), optimiser=SGD()
    )


@dataclass(frozen=True, kw_only=True)
class Holder:
    value: object = None


@pytest.mark.parametrize(
    "value",
    [None, True, False, 0, -3, 1.5, -2.5e-9, "text", (), (1,), (1, (2, "x")), {"a": 1}],
)
def test_every_plain_value_reads_back(value):
    assert parse(repr(Holder(value=value)), {"Holder": Holder}) == Holder(value=value)
    assert type(parse(f"Holder(value={value!r})", {"Holder": Holder}).value) is type(value)


def test_a_list_reads_as_the_tuple_that_methods_hold():
    assert parse("MLP(widths=[4, 2])", NAMES) == MLP(widths=(4, 2))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("LIRA", r"unknown method 'LIRA'; did you mean 'LiRA'\? there are ADMM, Adam, LeNet5"),
        ("Zzzzzz(a=1)", r"unknown method 'Zzzzzz'; there are ADMM"),
        ("LiRA(varance='x')", r"no parameter 'varance'; did you mean 'variance'\? its parameters"),
        ("Recipe(build=MPL(widths=(4, 2)))", r"unknown method 'MPL'; did you mean 'MLP'\?"),
        ("ADMM(10)", r"every argument needs its name, like ADMM\(rate=10\)"),
        ("ADMM(**{'rate': 10})", r"every argument needs its name"),
        ("ADMM(rate=10, rate=11)", r"in 'ADMM\(.*' rate is given more than once"),
        ("ADMM(rate=", r"'ADMM\(rate=' spells no method \("),
        ("", r"'' spells no method"),
        ("ADMM; LiRA", r"spells no method \(invalid syntax\)"),
        ("3", r"'3' in '3' is neither a literal nor a listed method"),
        ("'LiRA'", r"neither a literal nor a listed method"),
        ("ADMM(rate=5+5)", r"'5\+5' in .* is neither a literal nor a listed method"),
        ("ADMM(rate=-True)", r"'-True' in .* is neither"),
        ("ADMM(rate=1j)", r"'1j' in .* is neither"),
        ("ADMM(rate=b'x')", r"is neither a literal"),
        ("ADMM(exempt={'a'})", r"is neither a literal"),
        ("ADMM(exempt=[n for n in 'ab'])", r"is neither a literal"),
        ("ADMM(rate=__import__('os').getpid())", r"is neither a literal nor a listed method"),
        ("__import__(name='os')", r"unknown method '__import__'"),
        ("LiRA.__class__()", r"is neither a literal nor a listed method"),
        ("(lambda: 0)()", r"is neither a literal nor a listed method"),
        ("LiRA\0", r"spells no method"),
    ],
)
def test_what_is_no_spelling_is_refused_with_the_piece_that_is_wrong(text, message):
    with pytest.raises(UnknownMethodError, match=message):
        parse(text, NAMES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Recipe", r"Recipe needs build: write Recipe\(build=\.\.\.\)"),
        (
            "Recipe(build=MLP(widths=3))",
            r"MLP: widths must be a tuple of whole numbers, got 3; see `secateur methods MLP",
        ),
        ("ADMM(rate='ten')", r"ADMM\(rate='ten'\) cannot be made"),
    ],
)
def test_parameters_that_are_missing_or_of_the_wrong_kind_are_named(text, message):
    with pytest.raises(MethodError, match=message):
        parse(text, NAMES)


def test_a_methods_own_refusal_arrives_as_it_is():
    with pytest.raises(SparsityError, match=r"sparsity 1\.5"):
        parse("ADMM(sparsity=1.5)", NAMES)


@pytest.mark.parametrize("text", ["(" * 4000, "-" * 4900 + "1", "[" * 2400 + "]" * 2400])
def test_deep_texts_are_refused_and_break_nothing(text):
    with pytest.raises(UnknownMethodError, match=r"spells no|neither|nested"):
        parse(text, NAMES)
    with pytest.raises(UnknownMethodError, match=r"spells no|neither|nested"):
        parse(f"ADMM(exempt={text})", NAMES)


def test_length_and_depth_are_bounded():
    def nested(depth: int) -> str:
        return "Holder(value=" * depth + "1" + ")" * depth

    assert parse(nested(DEEPEST), {"Holder": Holder})
    with pytest.raises(UnknownMethodError, match=f"nested more than {DEEPEST} deep"):
        parse(nested(DEEPEST + 1), {"Holder": Holder})
    fits = f"Holder(value='{'x' * (LONGEST - 16)}')"
    assert len(fits) == LONGEST
    assert parse(fits, {"Holder": Holder})
    with pytest.raises(
        UnknownMethodError, match=f"at most {LONGEST} characters, got {LONGEST + 1}"
    ):
        parse(f"{fits} ", {"Holder": Holder})


@given(st.text(max_size=60))
def test_no_text_raises_anything_but_an_error_in_words(text):
    try:
        found = parse(text, {"Holder": Holder})
    except MethodError as error:
        assert len(str(error)) > 20
    else:
        assert isinstance(found, Holder)


def test_the_word_for_what_is_spelled_is_in_the_message():
    with pytest.raises(UnknownMethodError, match="unknown recipe 'X'"):
        parse("X", NAMES, what="recipe")


def test_a_signature_holds_name_parameters_defaults_and_first_line():
    found = signature_of(MLP)
    assert found.name == "MLP"
    assert found.parameters == (("widths", ""), ("dropout", "0.0"), ("activation", "'relu'"))
    assert found.about == "Fully connected network; inputs of any shape are flattened."
    assert signature_of(Fraction).name == "Fraction"


@pytest.mark.parametrize(("name", "near"), [("lira", "LiRA"), ("ADM", "ADMM"), ("qqqq", "")])
def test_a_near_miss_is_found_whatever_its_case(name, near):
    assert did_you_mean(name, ["LiRA", "ADMM"]) == (f"did you mean {near!r}? " if near else "")
