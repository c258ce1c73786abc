"""What is decided for all who count, from what they report."""

from dataclasses import replace

import pytest

from roost.counters import registry
from roost.counters.errors import OwnerRefused, PurgeRefused, RetireRefused
from roost.counters.registry import Registered, Report
from roost.counters.standing import Digest

A, B, C, FOLD = (bytes([it]) * 16 for it in b"abcf")
KNOWN = [Registered("one", A), Registered("two", B), Registered("three", C, is_retired=True)]


def report(epoch: bytes, *, a: int = 0, b: int = 0, c: int = 5, fold: bool = False) -> Report:
    digests = {C: Digest(c, 0, 0)}
    folds = frozenset([FOLD] if fold else [])
    return Report(
        epoch=epoch,
        heard={A: a, B: b, C: c},
        digests=digests,
        folds=folds,
        unions=frozenset([C]),
    )


def test_a_name_is_never_used_again() -> None:
    assert registry.admit(KNOWN, "four", b"d" * 16) == Registered("four", b"d" * 16)
    assert registry.admit(KNOWN, "one", A) == Registered("one", A)
    for name, epoch, words in [
        ("one", b"d" * 16, "'one' is 6161"),
        ("three", b"d" * 16, "never another"),
        ("other", A, "counts already, under the name 'one'"),
        ("three", C, "was retired"),
    ]:
        with pytest.raises(OwnerRefused, match=words):
            registry.admit(KNOWN, name, epoch)


def test_a_purge_goes_as_far_as_everybody_has_heard() -> None:
    reports = {A: report(A, a=9, b=4), B: report(B, a=7, b=6)}
    assert registry.purge_proof(KNOWN, reports) == {A: 7, B: 4, C: 5}


def test_a_purge_without_somebody_is_refused_by_name_or_forced() -> None:
    reports = {A: report(A, a=9, b=4)}
    with pytest.raises(PurgeRefused, match="two"):
        registry.purge_proof(KNOWN, reports)
    assert registry.purge_proof(KNOWN, reports, is_forced=True) == {A: 9, B: 4, C: 5}
    with pytest.raises(PurgeRefused, match="nobody"):
        registry.purge_proof(KNOWN, {}, is_forced=True)


def test_who_lacks_what_is_said_in_words() -> None:
    reports = {A: report(A, a=9, b=4)}
    assert registry.lacking(KNOWN, reports, {A: 9, B: 4}) == [
        "two has heard one up to 0, not 9",
        "two has heard two up to 0, not 4",
    ]
    reports[B] = report(B, a=9, b=4)
    assert registry.lacking(KNOWN, reports, {A: 9, B: 4}) == []


def test_a_fold_begins_when_all_have_the_same_of_the_dead() -> None:
    same = {A: report(A), B: report(B)}
    registry.may_begin_fold(KNOWN, [C], same)
    for reports, words in [
        ({A: report(A)}, "two"),
        ({A: report(A), B: report(B, c=4)}, "three not all have"),
        ({**same, C: report(C)}, "three is there"),
        ({**same, B: replace(report(B), unions=frozenset())}, "two has not got .* three"),
    ]:
        with pytest.raises(RetireRefused, match=words):
            registry.may_begin_fold(KNOWN, [C], reports)


def test_a_fold_ends_behind_what_everybody_did_before_it_began_there() -> None:
    begun = {A: report(A, a=9, fold=True), B: report(B, b=6, fold=True)}
    assert registry.fold_barrier(KNOWN, FOLD, begun) == {A: 9, B: 6}
    with pytest.raises(RetireRefused, match="two has not begun"):
        registry.fold_barrier(KNOWN, FOLD, {**begun, B: report(B)})


def test_a_fold_is_forgotten_when_it_has_ended_everywhere() -> None:
    ended = {
        it: Report(epoch=it, heard={}, digests={}, folds_ended=frozenset([FOLD])) for it in (A, B)
    }
    registry.may_forget_fold(KNOWN, FOLD, ended)
    with pytest.raises(RetireRefused, match="two has not ended"):
        registry.may_forget_fold(KNOWN, FOLD, {**ended, B: report(B)})
