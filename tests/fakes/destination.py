from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from rowcast.errors import DestinationRefused, Throttled
from rowcast.models import from_json
from rowcast.ports import CallResult, MessageToSend, Verdict
from tests.fakes.copies import copied

Answer = Callable[[MessageToSend, int], Verdict]


@dataclass
class Sent:
    """One call: `verdicts[i]` is what was answered to `messages[i]`."""

    batch_id: str
    attempt: int
    messages: list[MessageToSend]
    verdicts: list[Verdict]


@dataclass
class FakeDestination:
    """Accepts everything until told otherwise.

    `script`: verdicts by key hash, used up one a send, before `answer` is asked. `refuse`: the text of the
    DestinationRefused that every call raises from then on, `busy` that of the Throttled that a look at it raises.
    `before_answer` runs once a call has taken effect and before
    it answers: raise there to die in mid-send, wait there to take time. `arrived`: rows by key hash as the target holds
    them; a message in doubt arrives when `in_doubt_arrives`. `on_opening` runs whenever the way must be opened first:
    once, and again after `is_open` was set back.
    """

    batch_size: int = 10
    max_bytes: int = 1_000_000
    answer: Answer = lambda message, attempt: Verdict(kind="accepted")
    script: dict[str, list[Verdict]] = field(default_factory=dict)
    refuse: str = ""
    busy: str = ""
    in_doubt_arrives: bool = True
    before_answer: Callable[[Sent], Awaitable[None] | None] = lambda sent: None
    on_opening: Callable[[], None] = lambda: None
    is_open: bool = False
    calls: list[Sent] = field(default_factory=list)
    arrived: dict[str, object] = field(default_factory=dict)

    def check(self) -> None:
        if self.busy:
            raise Throttled(self.busy)
        self._admit()

    def _admit(self) -> None:
        if self.refuse:
            raise DestinationRefused(self.refuse)

    def _open(self) -> None:
        if not self.is_open:
            self.is_open = True
            self.on_opening()

    def batches(
        self, messages: Sequence[MessageToSend]
    ) -> tuple[list[list[MessageToSend]], list[tuple[MessageToSend, str]]]:
        batches: list[list[MessageToSend]] = []
        too_large = []
        size = 0
        for message in messages:
            if len(message.body) > self.max_bytes:
                too_large.append((message, "The message is too large for one call."))
                continue
            if not batches or len(batches[-1]) == self.batch_size or size + len(message.body) > self.max_bytes:
                batches.append([])
                size = 0
            batches[-1].append(message)
            size += len(message.body)
        return batches, too_large

    async def ready(self) -> None:
        self._open()

    async def send(self, batch: Sequence[MessageToSend], batch_id: str, attempt: int) -> CallResult:
        self._open()
        self._admit()
        verdicts = [self._verdict(message, attempt) for message in batch]
        sent = Sent(batch_id, attempt, copied(list(batch)), copied(verdicts))
        self.calls.append(sent)
        for message, verdict in zip(batch, verdicts, strict=True):
            if verdict.kind == "accepted" or (verdict.kind == "in_doubt" and self.in_doubt_arrives):
                self._arrive(message)
        waiting = self.before_answer(sent)
        if waiting is not None:
            await waiting
        return CallResult(
            verdicts=verdicts,
            request={"batch": batch_id, "bodies": [from_json(message.body) for message in batch]},
            reply={"kinds": [verdict.kind for verdict in verdicts]},
        )

    @property
    def sent(self) -> list[MessageToSend]:
        """Every message of every call, in order."""
        return [message for call in self.calls for message in call.messages]

    @property
    def accepted(self) -> list[MessageToSend]:
        return [
            message
            for call in self.calls
            for message, verdict in zip(call.messages, call.verdicts, strict=True)
            if verdict.kind == "accepted"
        ]

    def _verdict(self, message: MessageToSend, attempt: int) -> Verdict:
        scripted = self.script.get(message.change.key_hash)
        return scripted.pop(0) if scripted else self.answer(message, attempt)

    def _arrive(self, message: MessageToSend) -> None:
        if message.change.operation == "removed":
            self.arrived.pop(message.change.key_hash, None)
        else:
            self.arrived[message.change.key_hash] = message.change.after
