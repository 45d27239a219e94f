"""Tables for people. A name or a number is never cut, however narrow the terminal is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console, ConsoleOptions, JustifyMethod, OverflowMethod, RenderResult
from rich.table import Table
from rich.text import Text

WRAPS = ("REASON", "WHAT")
_BETWEEN = 2
_LEAST = 12


class Rows:
    """A table that fits itself into the terminal.

    `wide` columns share the room that the others leave, by their ratio, and are cut or, if they are sentences, wrapped.
    Where that is not enough, the columns `may_go` are left out, the first one first. Where that is not enough either,
    lines are longer than the terminal.
    """

    def __init__(
        self,
        *columns: str,
        numbers: Iterable[str] = (),
        wide: dict[str, int] | None = None,
        may_go: Sequence[str] = (),
    ) -> None:
        self._columns = columns
        self._numbers = set(numbers)
        self._wide = wide or {}
        self._may_go = may_go
        self._rows: list[tuple[str, ...]] = []

    def add_row(self, *cells: str) -> None:
        """`cells` are rich's markup."""
        self._rows.append(cells)

    def __len__(self) -> int:
        return len(self._rows)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown, gone = list(self._columns), list[str]()
        for name in self._may_go:
            if self._least(shown) > options.max_width:
                shown.remove(name)
                gone.append(name)
        yield self._table(shown, options.max_width)
        if gone:
            yield Text(f"not shown, since the terminal is narrow: {', '.join(gone)}", style="dim")

    def _table(self, shown: list[str], room: int) -> Table:
        width = max(self._least(shown), room if self._wide else 0)
        table = Table(box=None, pad_edge=False, padding=(0, _BETWEEN, 0, 0), header_style="bold", width=width)
        for name in shown:
            justify: JustifyMethod = "right" if name in self._numbers else "left"
            overflow: OverflowMethod = "fold" if name in WRAPS else "ellipsis"
            table.add_column(
                name,
                justify=justify,
                no_wrap=name not in WRAPS,
                overflow=overflow,
                ratio=self._wide.get(name),
                min_width=self._needed(name),
            )
        kept = [self._columns.index(name) for name in shown]
        for row in self._rows:
            table.add_row(*(row[place] for place in kept))
        return table

    def _least(self, shown: list[str]) -> int:
        """The width below which a name or a number would be cut."""
        return sum(map(self._needed, shown)) + _BETWEEN * (len(shown) - 1)

    def _needed(self, name: str) -> int:
        place = self._columns.index(name)
        width = max(Text.from_markup(text).cell_len for text in (name, *(row[place] for row in self._rows)))
        return min(width, _LEAST) if name in self._wide else width
