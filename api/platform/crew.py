"""A few threads that work off what people queue for: what waits while they are busy is done
together, in one transaction (decision 0018).

Each statement to the database costs more than the decision that it is for. Of transactions that
share one, the inserts go in one command a collection, and all wait for the disk once. Where one of
them fails, none has happened: each is done again by itself, and says for itself what is wrong.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

THREADS = 4
TOGETHER = 16
"""Effects in one transaction at most."""
Alone = Callable[[Any, float], Any]
"""(effect, moment at which it gives up): its result. Raises what it raises."""
Together = Callable[[Sequence[Any], float], Sequence[Any]]
"""The results of several effects of one transaction. Raises what any of them raises."""


@dataclass(frozen=True, slots=True)
class _Asked:
    effect: Any
    ends_at: float
    context: contextvars.Context
    answer: "asyncio.Future[Any]"


@dataclass(frozen=True, slots=True)
class _Outcome:
    result: Any = None
    error: Exception | None = None


class Crew:
    """Threads for one event loop. `_free` is touched on the loop only."""

    def __init__(self, alone: Alone, together: Together) -> None:
        self._alone, self._together = alone, together
        self._waiting: deque[_Asked] = deque()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="crew")
        self._free = THREADS

    async def do(self, effect: Any, ends_at: float) -> Any:
        """The effect's result, once it is committed. Raises what it raises."""
        loop = asyncio.get_running_loop()
        asked = _Asked(effect, ends_at, contextvars.copy_context(), loop.create_future())
        self._waiting.append(asked)
        if self._free:
            self._free -= 1
            self._threads.submit(self._work_off, loop)
        return await asked.answer

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False)

    def _work_off(self, loop: asyncio.AbstractEventLoop) -> None:
        while asked := self._next():
            loop.call_soon_threadsafe(_tell, asked, self._outcomes(asked))
        loop.call_soon_threadsafe(self._freed, loop)

    def _freed(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._waiting:  # somebody has come since the thread looked
            self._threads.submit(self._work_off, loop)
        else:
            self._free += 1

    def _next(self) -> list[_Asked]:
        found: list[_Asked] = []
        while len(found) < TOGETHER:
            try:
                found.append(self._waiting.popleft())
            except IndexError:
                break
        return found

    def _outcomes(self, asked: list[_Asked]) -> list[_Outcome]:
        if len(asked) > 1 and (results := self._results(asked)) is not None:
            return [_Outcome(result) for result in results]
        return [self._outcome(each) for each in asked]

    def _results(self, asked: list[_Asked]) -> Sequence[Any] | None:
        """Of all together; None where that failed: each, by itself, says again what is wrong."""
        effects, ends_at = [each.effect for each in asked], min(each.ends_at for each in asked)
        try:
            return asked[0].context.run(self._together, effects, ends_at)
        except Exception:  # noqa: BLE001
            return None

    def _outcome(self, asked: _Asked) -> _Outcome:
        try:
            return _Outcome(asked.context.run(self._alone, asked.effect, asked.ends_at))
        except Exception as error:  # noqa: BLE001 - it is raised where the effect was asked for
            return _Outcome(error=error)


def _tell(asked: list[_Asked], outcomes: list[_Outcome]) -> None:
    for each, outcome in zip(asked, outcomes, strict=True):
        if each.answer.done():  # nobody waits any more
            continue
        if outcome.error is not None:
            each.answer.set_exception(outcome.error)
        else:
            each.answer.set_result(outcome.result)
