"""One copy of a machine, beside the object that it is; and what classes can be machines."""

import asyncio
import io
import re
from collections.abc import Callable
from typing import Any, BinaryIO

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import roost
from roost.objects import (
    CommandFailed,
    CommandUnknown,
    Context,
    Machine,
    MachineDiffers,
    command,
    query,
    replica,
)
from roost.objects.layouts.machines import Kept, Row, Snapshot
from roost.objects.machine import Codec, Command, declared_of
from roost.objects.publishing import load, save
from roost.objects.replica import Replica, answer_of
from tests.objects.boards import Board, everything

BOARD = declared_of(Board)


def copy_of(kind: type[Machine] = Board, member: str = "m0") -> Replica:
    return Replica("board", declared_of(kind), member)


def row_of(
    asked: Command[..., Any],
    *args: Any,
    leader: Replica | None = None,
    version: int = 1,
    is_kept: bool = False,
    **named: Any,
) -> Row:
    """As the member of `leader` writes it."""
    return Row(
        command=asked.command,
        body=asked.encode(args, named),
        call=b"c" * 16,
        is_kept=is_kept,
        member="m0",
        term=3,
        commit_index=7,
        at_s=1.5,
        version=version,
        checked_index=0 if leader is None else leader.applied_index,
        digest=b"" if leader is None else leader.digest,
    )


def again(replica: Replica) -> Replica:
    """A copy that goes on from a snapshot of another one."""
    file = io.BytesIO()
    save(replica, file)
    snapshot = Snapshot(
        index=replica.applied_index, nonce=b"", parts=1, size_bytes=0, checksum=b"", at_s=0.0,
        member="m0", digest=replica.digest,
    )  # fmt: skip
    fresh = Replica("board", replica.declared, "m1")
    if replica.applied_index:
        load(fresh, file, snapshot)
    return fresh


PLAYERS = st.sampled_from(["ada", "bob", "cyd"])
ASKED = st.one_of(
    st.tuples(st.just("score"), PLAYERS, st.sampled_from([0, 1, 5, 13])),
    st.tuples(st.just("draw"), st.sets(PLAYERS, min_size=1)),
    st.tuples(st.just("when")),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(ASKED, max_size=40), st.sets(st.integers(0, 40)))
def test_a_copy_is_the_object_that_it_would_be_wherever_it_was_made_anew(
    asked: list[tuple[Any, ...]], restarts: set[int]
) -> None:
    plain, one, other = Board(), copy_of(), copy_of()
    for number, (name, *given_args) in enumerate(asked, 1):
        method = vars(Board)[name]
        kwargs = {"among": given_args.pop()} if name == "draw" else {}
        row = row_of(method, *given_args, leader=one, is_kept=True, **kwargs)
        if number in restarts:
            other = again(other)
        done = [it.carry_out(row) for it in (one, other)]
        assert all(done) and one.digest == other.digest
        context = Context(
            index=number, term=3, commit_index=7, member="m0", at_s=1.5, seed=row.call
        )
        if given_args[-1:] == [13]:
            refused = Kept(b"", is_refusal=True, text="nobody scores 13", code="unlucky")
            assert [it.said for it in done if it] == [refused, refused]
        else:
            said = method.method(plain, context, *given_args, **kwargs)
            assert [answer_of(method, it.said) for it in done if it] == [said, said]
        assert one.result_of(number) == other.result_of(number)
    for it in (one, other):
        assert isinstance(it.machine, Board) and everything(it.machine) == everything(plain)


def test_an_error_of_a_command_stops_the_copy_with_its_name_and_its_index() -> None:
    one = copy_of()
    assert one.carry_out(row_of(Board.score, "ada", 1))
    assert one.carry_out(row_of(Board.fail, "oh")) is None
    assert isinstance(one.stopped, CommandFailed)
    assert "'board' has stopped at command 2, 'fail': ValueError: oh" in str(one.stopped)
    assert one.applied_index == 1


class OfItsOwn(BaseException):
    """What some libraries raise, pytest among them."""


LEAVING: dict[str, type[BaseException]] = {
    "exit": SystemExit,
    "cancel": asyncio.CancelledError,
    "end": GeneratorExit,
    "own": OfItsOwn,
}


class Leaver(Board):
    """A board with a command that ends whoever runs it."""

    @command
    def leave(self, context: Context, how: str) -> None:
        del context
        raise LEAVING[how]


@pytest.mark.parametrize("how", sorted(LEAVING))
def test_a_command_that_would_leave_stops_its_copy_and_nothing_else(how: str) -> None:
    one = copy_of(Leaver)
    assert one.carry_out(row_of(Leaver.leave, how)) is None
    assert isinstance(one.stopped, CommandFailed)


class Mumbler(Board):
    """A board with a command whose refusals are hard to write down."""

    @command
    def mumble(self, context: Context, text: str) -> None:
        del context
        raise {
            "text": roost.Refused("no such file: \udcff", code="\udcff"),
            "code": roost.Refused("no", code=7),  # type: ignore[arg-type]  # that is the point
        }[text]


@pytest.mark.parametrize(
    ("how", "said"), [("text", ("no such file: \\udcff", "\\udcff")), ("code", ("no", ""))]
)
def test_a_refusal_is_kept_as_what_can_be_written_down(how: str, said: tuple[str, str]) -> None:
    one = copy_of(Mumbler)
    done = one.carry_out(row_of(Mumbler.mumble, how, is_kept=True))
    assert done is not None and (done.said.text, done.said.code) == said
    assert again(one).result_of(1) == done.said


def test_a_command_that_nobody_knows_is_never_skipped() -> None:
    one = copy_of()
    row = msgspec.structs.replace(row_of(Board.score, "ada", 1), command="levitate")
    assert one.carry_out(row) is None
    assert isinstance(one.stopped, CommandUnknown)
    assert "'levitate'" in str(one.stopped)


def test_other_arguments_than_the_class_has_stop_it_too() -> None:
    one = copy_of()
    row = msgspec.structs.replace(row_of(Board.score, "ada", 1), body=b"\x91\x01")
    assert one.carry_out(row) is None
    assert isinstance(one.stopped, CommandUnknown)


class Moody(Machine):
    """Answers as it likes."""

    mood = 0

    def __init__(self) -> None:
        self.hidden = 0

    @command
    def answer(self, context: Context) -> int:
        return Moody.mood

    @command
    def hide(self, context: Context) -> None:
        self.hidden = Moody.mood

    def fingerprint(self) -> bytes:
        return str(self.hidden).encode()


class Marked(Machine):
    """Its fingerprint is whatever it was told."""

    mark: object = 0

    @command
    def go(self, context: Context) -> None: ...

    def fingerprint(self) -> bytes | int:
        return self.mark  # type: ignore[return-value]  # that is what we find out


@pytest.mark.parametrize("mark", [1 << 64, object(), ["a"], None])
def test_a_fingerprint_that_is_none_stops_that_machine_by_name(mark: object) -> None:
    copy = copy_of(Marked)
    for right in (7, -1, b"7"):
        copy.machine.mark = right  # type: ignore[attr-defined]  # it has one
        assert copy.carry_out(row_of(Marked.go, leader=copy))
    copy.machine.mark = mark  # type: ignore[attr-defined]  # as above
    assert copy.carry_out(row_of(Marked.go, leader=copy)) is None
    assert isinstance(copy.stopped, CommandFailed)
    assert "fingerprint" in str(copy.stopped)


def test_copies_that_come_to_differ_are_found_and_said_by_name() -> None:
    for asked in (Moody.answer, Moody.hide):
        leader, other = copy_of(Moody), copy_of(Moody, "m1")
        for mood in (1, 1, 2):  # the third time another one than where the cluster led
            row = row_of(asked, leader=leader)
            Moody.mood = 1
            assert leader.carry_out(row)
            Moody.mood = mood
            assert other.carry_out(row)
        row = row_of(asked, leader=leader)
        assert leader.carry_out(row)
        assert other.carry_out(row) is None
        assert isinstance(other.stopped, MachineDiffers)
        said = str(other.stopped)
        assert (
            "this member, m1, and m0" in said and "agreed up to command 2, and do not at 3" in said
        )
        assert "Moody" in said


def test_versions_that_do_other_things_are_not_held_against_each_other() -> None:
    leader, other = copy_of(Moody), copy_of(Moody, "m1")
    for mood in (1, 2):
        row = row_of(Moody.answer, leader=leader, version=2)
        Moody.mood = 1
        assert leader.carry_out(row)
        Moody.mood = mood
        assert other.carry_out(row)


def test_a_difference_of_long_ago_is_not_held_against_a_copy_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replica, "ERA", 4)
    leader, other = copy_of(Moody), copy_of(Moody, "m1")
    for number in range(1, 8):
        Moody.mood = 1
        row = row_of(Moody.answer)
        assert leader.carry_out(row)
        Moody.mood = 2 if number == 2 else 1
        assert other.carry_out(row)
        assert (leader.digest == other.digest) == (number == 1 or number > 4)


def test_results_that_are_kept_have_a_bound_and_the_oldest_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replica, "KEPT_MAX", 3)
    one = copy_of()
    for number in range(1, 6):
        assert one.carry_out(row_of(Board.score, "ada", 1, is_kept=number != 4))
    assert list(one.kept) == [2, 3, 5]


class Lines:
    """A codec of somebody's own."""

    def encode(self, arguments: tuple[Any, ...]) -> bytes:
        return "|".join(arguments).encode()

    def decode(self, content: bytes) -> tuple[Any, ...]:
        return tuple(content.decode().split("|"))


LINES: Codec = Lines()


class Joined(Machine):
    """Takes arguments as lines."""

    @command(name="join_up", codec=LINES)
    def join(self, context: Context, one: str, two: str) -> str:
        return self.both(one, two)

    def validate_join(self, context: Context, one: str, two: str) -> None:
        if not one:
            raise roost.Refused("empty")

    @query
    def both(self, one: str, two: str) -> str:
        return one + two


def test_a_codec_of_ones_own_carries_the_arguments() -> None:
    row = row_of(Joined.join, "a", two="b")
    assert (row.command, row.body) == ("join_up", b"a|b")
    done = copy_of(Joined).carry_out(row)
    assert done is not None and answer_of(Joined.join, done.said) == "ab"
    declared = declared_of(Joined)
    context = Context(index=1, term=1, commit_index=1, member="m", at_s=0, seed=b"")
    Joined.join.check(b"a|b")
    for wrong in (b"a", b"\xff"):
        with pytest.raises(roost.UnknownOperation, match=r"other arguments|cannot decode"):
            Joined.join.check(wrong)
    with pytest.raises(roost.Refused, match="empty"):
        Joined.join.validate(declared.validators["join_up"], Joined(), context, b"|b")


def no_command() -> type:
    return type("Idle", (Machine,), {})


def two_of_one_name() -> type:
    class Twice(Machine):
        @command
        def a(self, context: Context) -> None: ...
        @command(name="a")
        def b(self, context: Context) -> None: ...

    return Twice


def half_a_snapshot() -> type:
    class Half(Board):
        def save(self, out: BinaryIO) -> None: ...

    return type("HalfAgain", (Machine,), {"a": Board.score, "save": Half.save})


def a_validator_of_nothing() -> type:
    class Lost(Board):
        def validate_scores(self, context: Context) -> None: ...

    return Lost


def a_name_that_is_taken() -> type:
    class Taken(Machine):
        @command
        def status(self, context: Context) -> None: ...

    return Taken


def no_annotations() -> type:
    class Bare(Machine):
        @command
        def a(self, context: Context, x) -> None: ...  # type: ignore[no-untyped-def]  # that is it

    return Bare


def no_context() -> type:
    class Alone(Machine):
        @command  # type: ignore[arg-type]  # that is it
        def a(self) -> None: ...

    return Alone


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (no_command, "has no command"),
        (two_of_one_name, "two called 'a'"),
        (half_a_snapshot, "one of `save` and `load`"),
        (a_validator_of_nothing, "validate_scores: there is no command"),
        (a_name_that_is_taken, "'status'"),
        (no_annotations, "'x' has no annotation"),
        (no_context, "has self, context before"),
        (lambda: dict, "no class derived of roost.Machine"),
    ],
)
def test_what_cannot_be_a_machine_is_refused_where_it_is_declared(
    make: Callable[[], type], said: str
) -> None:
    with pytest.raises(roost.BadDeclaration, match=re.escape(said)):
        declared_of(make())


def test_a_command_is_a_method_inside_of_its_class() -> None:
    board = Board()
    context = Context(index=1, term=1, commit_index=1, member="m", at_s=0, seed=b"")
    assert board.score(context, "ada", 2) == 2
    assert board.best(1) == [("ada", 2)]
