"""App Registry (CNR, appr), both directions: towards clients and towards upstreams.

The protocol has no living specification; what is said here of it was observed on the genuine appr-server 0.7.4 and
cnr-server 0.2.7 and read in Quay 3.8. Digests are over the uncompressed tar.
"""
