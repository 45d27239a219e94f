from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from rowcast import bounds, chunks
from rowcast.chunks import WrittenChunk
from rowcast.errors import LockLost, RunFailed
from rowcast.models import Chunk, ChunkState, PartitionResult, to_json
from tests.fakes.copies import copied


class FakeChangeStore:
    def __init__(self) -> None:
        self.chunks: dict[tuple[str, str, str], bytes] = {}
        self.partition_results: dict[tuple[str, str], dict[int, PartitionResult]] = {}
        self.progress: dict[tuple[str, str], dict[str, ChunkState]] = {}
        self._before: dict[str, ChunkState | None] = {}

    def put_chunk(self, chunk: Chunk | WrittenChunk) -> None:
        self.chunks.setdefault((chunk.sync, chunk.run, chunk.id), to_json(chunk))

    def chunk(self, sync: str, run: str, chunk: str) -> Chunk:
        return self.chunk_and_size(sync, run, chunk)[0]

    def chunk_and_size(self, sync: str, run: str, chunk: str) -> tuple[Chunk, int]:
        if (sync, run, chunk) not in self.chunks:
            raise RunFailed(f"Chunk {chunk} of run {run} of {sync} is gone.")
        body = self.chunks[sync, run, chunk]
        return bounds.read_stored(chunks.decoder, body).chunk(), len(body)

    def put_result(self, sync: str, run: str, result: PartitionResult) -> None:
        self.partition_results.setdefault((sync, run), {}).setdefault(result.partition, copied(result))

    def results(self, sync: str, run: str) -> list[PartitionResult]:
        found = self.partition_results.get((sync, run), {})
        return [copied(found[partition]) for partition in sorted(found)]

    def claim(self, sync: str, run: str, chunk: str, token: int, claim: str, deadline: float) -> ChunkState | None:
        states = self.progress.setdefault((sync, run), {})
        state = states.get(chunk)
        if state is not None and state.token > token:
            raise LockLost(f"A newer holder of {sync} works on chunk {chunk}.")
        if state is not None and state.done:
            return copied(state)
        if state is not None and state.claim == claim:
            return copied(self._before[claim])
        before = self._before[claim] = copied(state)
        if state is None:
            states[chunk] = ChunkState(chunk=chunk, token=token, claim=claim, deadline=deadline)
        else:
            state.token, state.claim, state.deadline, state.paused = token, claim, deadline, False
        return copied(before)

    def record(self, sync: str, run: str, state: ChunkState) -> None:
        stored = self.progress.get((sync, run), {}).get(state.chunk)
        if stored is None or stored.claim != state.claim:
            raise LockLost(f"Another worker claimed chunk {state.chunk} of {sync}.")
        self.progress[sync, run][state.chunk] = replace(copied(state), booked=stored.booked or state.booked)

    def states(self, sync: str, run: str, beginning: str = "") -> Iterator[ChunkState]:
        states = self.progress.get((sync, run), {})
        for chunk in sorted(states):
            if chunk.startswith(beginning):
                yield copied(states[chunk])

    def mark_booked(self, sync: str, run: str, chunk: str) -> None:
        self.progress[sync, run][chunk].booked = True
