"""Was a cache carried along as a whole? A copy without a part of it starts as if nothing were wrong."""

from collections.abc import Iterator

from apprproxy.app import App


def lacking(app: App) -> Iterator[str]:
    """Blocking. Raises StoreFailed."""
    blobs = app.ledger.totals().blobs
    if not blobs:
        return
    if app.names.made:
        yield (
            f"names/ was made now, and {blobs} blobs are held: which release had which digest first is forgotten, and"
            " what names point at is asked anew"
        )
    if not any((app.settings.cache.directory / "blobs").glob("*/*")):
        yield f"blobs/ has nothing in it, and {blobs} blobs were held: each is a transfer again"
