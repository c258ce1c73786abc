"""Whether somebody may, over turns of the loop: of one state, in turn, and never half."""

from collections.abc import Callable, Iterator

import pytest

from roost.errors import AnswerFailed, CallerGone, Refused, RoostError
from roost.etcd.access.judge import Judge
from roost.etcd.access.questions import TURN_ROWS, Questions
from roost.etcd.access.tokens import Identity
from roost.etcd.errors import status_of
from roost.etcd.model.costs import Costs
from roost.proto import rpc_pb2 as pb
from roost.sim.members.loop import run_virtually, until_idle
from tests.etcd.guarded import DENIED, World

READER = Identity("reader")


class Asked:
    """One who asks."""

    def __init__(self, said: list[str], name: str) -> None:
        self.said, self.name, self.is_over = said, name, False
        self.refusal: RoostError | None = None

    def allowed(self) -> None:
        self.said.append(self.name)

    def refused(self, error: RoostError) -> None:
        self.said.append(f"{self.name} refused")
        self.refusal = error


class Desk:
    def __init__(self) -> None:
        self.world = World()
        border = self.world.services.border
        self.questions: Questions = border.questions
        self.said: list[str] = []
        self.judges: list[Judge] = []

    def ask(
        self, name: str, check: Callable[[Judge], Costs[None] | None], who: Identity = READER
    ) -> Asked:
        asked = Asked(self.said, name)
        self.questions.ask(who, check, asked.allowed, asked.refused, asked)
        return asked

    def taking(self, rows: int) -> Callable[[Judge], Costs[None]]:
        """A check of so many rows, a few in a step, and then the right to read `r`."""

        def check(judge: Judge) -> Costs[None]:
            self.judges.append(judge)
            for _ in range(0, rows, 10):
                yield 10
            yield from judge.need_read(b"r")

        return check


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.world.replica.close()


def test_what_is_little_is_told_at_once(desk: Desk) -> None:
    async def main() -> None:
        desk.ask("a", desk.taking(10))
        assert desk.said == ["a"]
        desk.ask("root", Judge.need_root)
        assert desk.said == ["a", "root refused"]

    run_virtually(main())


def test_who_takes_long_waits_and_holds_nobody_up(desk: Desk) -> None:
    async def main() -> None:
        desk.ask("longer", desk.taking(TURN_ROWS * 9))
        desk.ask("behind it", desk.taking(10))
        desk.ask("long", desk.taking(TURN_ROWS * 3), Identity("root"))
        desk.ask("short", desk.taking(TURN_ROWS // 3), Identity("nothing"))
        assert (desk.said, len(desk.questions)) == ([], 4)
        await until_idle()
        assert desk.said == ["short refused", "long", "longer", "behind it"]
        assert len(desk.questions) == 0

    run_virtually(main())


def test_a_turn_takes_so_much_of_all_together(desk: Desk) -> None:
    spent: list[int] = []

    def check(_judge: Judge) -> Costs[None]:
        for _ in range(100):
            spent[-1] += 10
            yield 10

    async def main() -> None:
        real = desk.questions._turn

        def turn() -> None:
            spent.append(0)
            real()

        desk.questions._turn = turn  # type: ignore[method-assign]  # it is looked on
        spent.append(0)
        for number in range(20):
            desk.ask(str(number), check)
        await until_idle()
        assert len(desk.said) == 20
        assert max(spent) <= TURN_ROWS + 40
        assert len(spent) >= 20 * 1000 // (TURN_ROWS + 40)

    run_virtually(main())


def test_rights_that_change_meanwhile_are_asked_for_anew(desk: Desk) -> None:
    """Half of one state and half of another one would be true of none."""

    async def main() -> None:
        asked = desk.ask("a", desk.taking(TURN_ROWS * 3))
        gone = pb.AuthUserRevokeRoleRequest(name="reader", role="reading")
        desk.world.run_as_root("etcd.user_revoke", gone)
        await until_idle()
        assert desk.said == ["a refused"]
        assert isinstance(asked.refusal, Refused)
        assert status_of(asked.refusal) == DENIED
        assert len(desk.judges) == 2
        # And who is permitted meanwhile may.
        desk.ask("b", desk.taking(TURN_ROWS * 3))
        given = pb.AuthUserGrantRoleRequest(user="reader", role="reading")
        desk.world.run_as_root("etcd.user_grant", given)
        await until_idle()
        assert desk.said == ["a refused", "b"]

    run_virtually(main())


def test_where_nobody_is_asked_any_more_everybody_may(desk: Desk) -> None:
    async def main() -> None:
        desk.ask("a", desk.taking(TURN_ROWS * 3))
        desk.world.run_as_root("etcd.auth_disable", pb.AuthDisableRequest())
        await until_idle()
        assert desk.said == ["a"]

    run_virtually(main())


def test_what_nobody_waits_for_is_looked_at_no_more(desk: Desk) -> None:
    async def main() -> None:
        asked = desk.ask("a", desk.taking(TURN_ROWS * 1000))
        asked.is_over = True
        await until_idle()
        assert isinstance(asked.refusal, CallerGone)

    run_virtually(main())


def test_what_an_answer_raises_is_its_own(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> None:
        raise ZeroDivisionError

    async def main() -> None:
        asked = Asked(desk.said, "a")
        desk.questions.ask(READER, desk.taking(TURN_ROWS * 2), fails, asked.refused)
        desk.ask("b", desk.taking(TURN_ROWS * 3))
        await until_idle()
        assert isinstance(asked.refusal, AnswerFailed)
        assert desk.said == ["a refused", "b"]

    run_virtually(main())
    assert "a request failed while it was answered" in caplog.text
