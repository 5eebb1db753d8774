"""What a document names, what that names, and so on: the one question that uses and pins both ask of the links.

Links are anybody's word, so the answer is bounded in depth and in number.
"""

DEPTH = 4
"""An index, its manifests, their layers; and one more for an index of indexes."""

WIDTH = 10_000
"""Keys below one document, and links kept of one: images have hundreds of layers at most, the largest indexes some
hundred manifests. What is beyond is fetched, served and evicted as anything else, only not on its parent's account."""

BELOW = f"""
WITH RECURSIVE below (key, depth) AS (
    SELECT :root, 0
    UNION
    SELECT links.child, depth + 1 FROM below JOIN links ON links.parent = below.key WHERE depth < {DEPTH}
    LIMIT {WIDTH + 1}
)
"""

BLOBS_BELOW = """
SELECT key FROM below
UNION
SELECT blobs.key FROM below CROSS JOIN blobs ON blobs.unpacked = below.key
"""
"""The blobs' own keys, also of those that are named by the tar inside."""
