"""The commands: parse, build, call. Exit status 0 fine, 1 it went wrong, 2 used wrongly."""

from apprproxy.cli.main import main as main
