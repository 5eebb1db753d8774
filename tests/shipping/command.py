"""`apprproxy check` in this process, as its operator types it."""

from click.testing import CliRunner, Result

from apprproxy.cli import main
from tests.fakes.logs import logging_kept


def checked(*arguments: str) -> Result:
    with logging_kept():
        return CliRunner().invoke(main, ["check", *arguments])
