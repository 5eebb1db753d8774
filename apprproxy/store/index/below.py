"""What a document names, what that names, and so on: the one question that uses and pins both ask of the links.

Links are anybody's word, so the answer is bounded in depth and in number.
"""

DEPTH = 4
"""An index, its manifests, their layers; and one more for an index of indexes."""

WIDTH = 10_000
"""Keys below one document, and links kept of one: images have hundreds of layers at most, the largest indexes some
hundred manifests. What is beyond is fetched, served and evicted as anything else, only not on its parent's account."""

STEPS = 2 * WIDTH
"""Links that are followed in one question, which takes some 70 ms: a thousand documents that all name the same thousand
lead by a million links to two thousand keys, and whoever writes waits for that.

The deepest come first. What a document names is put down when its turn comes, however much of it is followed then: the
nearest first would put down ten thousand links at each of twenty thousand steps, and hold everybody for minutes."""

BELOW = f"""
WITH RECURSIVE walked (key, depth) AS (
    SELECT :root, 0
    UNION ALL
    SELECT links.child, depth + 1 FROM walked JOIN links ON links.parent = walked.key WHERE depth < {DEPTH}
    ORDER BY 2 DESC
    LIMIT {STEPS + 1}
),
nearest_first (key) AS (
    SELECT :root UNION ALL SELECT child FROM links WHERE parent = :root UNION ALL SELECT key FROM walked
),
below (key) AS (SELECT DISTINCT key FROM nearest_first LIMIT {WIDTH + 1})
"""
"""What the root names itself is never passed over."""

BLOBS_BELOW = """
SELECT key FROM below
UNION
SELECT blobs.key FROM below CROSS JOIN blobs ON blobs.unpacked = below.key
"""
"""The blobs' own keys, also of those that are named by the tar inside."""
