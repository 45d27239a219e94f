"""What `python -m tests.model.mutations` is to break is there to be broken."""

from __future__ import annotations

import pytest

from tests.model.mutations import CORE, MUTATIONS, ROOT, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_finds_its_text_once(mutation: Mutation) -> None:
    assert (ROOT / CORE / mutation.file).read_text().count(mutation.old) == 1
