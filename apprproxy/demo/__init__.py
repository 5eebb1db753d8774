"""A gateway at work on one machine: embedded upstreams, one of them lying, and a table of what came of it."""
