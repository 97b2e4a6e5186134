"""Whether the index that would be served finds what exact search finds."""

from collections.abc import Iterator

from pipeline.artifacts import Store
from pipeline.doctor.finding import FAIL, OK, SKIP, Finding
from pipeline.errors import ArtifactError


def self_check(store: Store) -> Iterator[Finding]:
    """Yield the recall of the promoted bundle's canaries against its floor."""
    if store.current("bundle") is None:
        yield Finding("index", SKIP, "no bundle is promoted", "plotpointe run CONFIG")
        return
    from serving.bundle import Bundle

    cure = "plotpointe run CONFIG --from index, or: plotpointe rollback bundle"
    try:
        found = Bundle.open(store).self_check()
    except (ArtifactError, OSError, ValueError) as error:
        yield Finding("index", FAIL, f"the promoted bundle does not open: {error}", cure)
        return
    told = f"recall {found.recall:.3f} of {found.canaries} canaries' lists, floor {found.floor:g}"
    if found.ready:
        yield Finding("index", OK, told)
    else:
        yield Finding("index", FAIL, f"{told}: {found.reason}", cure)
