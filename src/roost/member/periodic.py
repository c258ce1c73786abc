"""What rooms have done again and again while a member runs."""

from collections.abc import Callable

from roost.ticker import Ticker


class Periodic:
    """The tickers of one member: they begin with it and end with it."""

    def __init__(self) -> None:
        """There is no work yet, and the member does not run."""
        self._tickers: list[Ticker] = []
        self._is_running = False

    @property
    def failed_count(self) -> int:
        """How often a turn of any of the work raised an error."""
        return sum(it.failed_count for it in self._tickers)

    def every(self, interval_s: float, work: Callable[[], None]) -> None:
        """Have `work` called every `interval_s` seconds; see `Member.every`."""
        assert interval_s > 0, "work without a pause is a loop"
        ticker = Ticker(interval_s, work)
        self._tickers.append(ticker)
        if self._is_running:
            ticker.start()

    def start(self) -> None:
        """The member runs."""
        self._is_running = True
        for ticker in self._tickers:
            ticker.start()

    def stop(self) -> None:
        """The member ends; nothing is called any more."""
        self._is_running = False
        for ticker in self._tickers:
            ticker.stop()
