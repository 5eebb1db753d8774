"""The commands as an operator runs them: their exit statuses, and what they say when something is wrong."""

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from apprproxy import __version__
from tests.fakes.command import run
from tests.settings.files import QUAY, SECRET, upstream

COMMANDS = ["serve", "check"]


class Operator:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def configured(self, text: str) -> Path:
        path = self.folder / "apprproxy.yaml"
        path.write_text(text)
        return path

    def runs(self, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        return run(*map(str, arguments), environment=environment)


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


@pytest.fixture
def taken() -> Iterator[str]:
    """An address that another program listens on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        yield f"127.0.0.1:{other.getsockname()[1]}"


def test_the_version_is_told(operator: Operator) -> None:
    ran = operator.runs("--version")

    assert (0, f"apprproxy {__version__}\n") == (ran.returncode, ran.stdout)


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["serve", "--help"], ["check", "--help"]])
def test_help_is_one_option_away(arguments: list[str], operator: Operator) -> None:
    ran = operator.runs(*arguments)

    assert 0 == ran.returncode
    assert ran.stdout.startswith("Usage: ")
    assert "" == ran.stderr


@pytest.mark.parametrize("group", [[], ["cache"], ["names"]])
def test_what_a_command_does_is_told_to_its_end(group: list[str], operator: Operator) -> None:
    _, _, commands = operator.runs(*group, "--help").stdout.partition("\nCommands:\n")

    assert "" != commands
    assert "..." not in commands


def test_the_first_help_names_the_commands_and_the_configuration_file(operator: Operator) -> None:
    helped = operator.runs("--help").stdout

    assert {"serve", "check", "config/apprproxy.yaml"} <= set(helped.replace(".\n", "\n").split())


@pytest.mark.parametrize("arguments", [["bogus"], ["check", "--bogus"], ["serve", "--log-level", "loud"]])
def test_a_mistyped_command_is_wrong_use(arguments: list[str], operator: Operator) -> None:
    ran = operator.runs(*arguments)

    assert (2, "") == (ran.returncode, ran.stdout)
    assert arguments[-1] in ran.stderr


@pytest.mark.parametrize(
    ("group", "command"),
    [([], "apprproxy serve"), (["cache"], "apprproxy cache stats"), (["names"], "apprproxy names list")],
)
def test_where_the_file_is_named_too_early_it_is_said_where_it_stands(
    group: list[str], command: str, operator: Operator
) -> None:
    ran = operator.runs(*group, "--config", "x.yaml", command.rsplit(maxsplit=1)[-1])

    assert (2, "") == (ran.returncode, ran.stdout)
    assert f"--config stands after the command: {command} --config x.yaml" in ran.stderr


def test_check_prints_what_is_in_force(operator: Operator) -> None:
    path = operator.configured(QUAY)
    ran = operator.runs("check", "--config", path, APPRPROXY_CACHE__MEMORY="5MiB")

    assert (0, "") == (ran.returncode, ran.stderr)
    assert "5MiB" == yaml.safe_load(ran.stdout)["cache"]["memory"]


def test_check_takes_the_file_from_the_environment(operator: Operator) -> None:
    path = operator.configured("offline: true\n")

    assert "offline: true" in operator.runs("check", APPRPROXY_CONFIG=str(path)).stdout


def test_check_prints_no_secret(operator: Operator) -> None:
    path = operator.configured(upstream("auth: {username: bot}"))
    ran = operator.runs("check", "--config", path, **{"APPRPROXY_UPSTREAMS__QUAY.IO__AUTH__PASSWORD": SECRET})

    assert 0 == ran.returncode
    assert SECRET not in ran.stdout + ran.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_bad_configuration_is_wrong_use_and_names_the_key(command: str, operator: Operator) -> None:
    path = operator.configured("cache: {memroy: 1B}\n" + upstream("fresh_for: 60"))
    ran = operator.runs(command, "--config", path)

    assert (2, "") == (ran.returncode, ran.stdout)
    assert [
        "configuration: cache.memroy: there is no such key; did you mean memory?",
        "configuration: upstreams.quay.io.fresh_for: not a duration: 60; write 500ms, 10s, 5m, 12h or 7d",
    ] == ran.stderr.splitlines()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_is_not_there_is_wrong_use(command: str, operator: Operator) -> None:
    ran = operator.runs(command, "--config", operator.folder / "missing.yaml")

    assert 2 == ran.returncode
    assert [f"configuration: {operator.folder}/missing.yaml: No such file or directory"] == ran.stderr.splitlines()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_directory_in_its_place_is_wrong_use(command: str, operator: Operator) -> None:
    ran = operator.runs(command, "--config", operator.folder)

    assert 2 == ran.returncode
    assert "is a directory" in ran.stderr


@pytest.mark.parametrize("key", ["listen", "ops"])
def test_an_address_in_use_is_told_in_one_line_with_its_key(key: str, operator: Operator, taken: str) -> None:
    server = {"listen": "127.0.0.1:0"} | {key: taken}
    path = operator.configured(f"server: {json.dumps(server)}\ncache: {{directory: {operator.folder}/cache}}\n{QUAY}")
    ran = operator.runs("serve", "--config", path, "--log-level", "warning")

    assert 1 == ran.returncode
    assert [
        f"error: cannot listen on {taken}: it is in use by another program; give another in server.{key}, or"
        f" APPRPROXY_SERVER__{key.upper()}=127.0.0.1:8081"
    ] == ran.stderr.splitlines()


def test_an_address_that_cannot_be_had_is_told_with_its_key(operator: Operator) -> None:
    address, said = "203.0.113.1:0", "it is no address of this machine"
    path = operator.configured(
        f"server: {{listen: '{address}'}}\ncache: {{directory: {operator.folder}/cache}}\n{QUAY}"
    )
    ran = operator.runs("serve", "--config", path, "--log-level", "warning")

    assert ran.stderr.startswith(f"error: cannot listen on {address}: {said}; give another in server.listen, or ")


def test_a_cache_that_cannot_be_made_is_told_in_one_line(operator: Operator) -> None:
    path = operator.configured(f"cache: {{directory: {operator.folder}/apprproxy.yaml}}\n{QUAY}")
    ran = operator.runs("serve", "--config", path)

    assert 1 == ran.returncode
    [line] = ran.stderr.splitlines()
    assert line.startswith(f"error: cache.directory {operator.folder}/apprproxy.yaml: ")


def test_check_foresees_that_no_cache_can_be_there(operator: Operator) -> None:
    path = operator.configured(f"cache: {{directory: {operator.folder}/apprproxy.yaml/x}}\n{QUAY}")
    ran, elsewhere = operator.runs("check", "--config", path), operator.runs("check", "--elsewhere", "--config", path)

    assert (1, "", 0) == (ran.returncode, ran.stdout, elsewhere.returncode)
    assert ran.stderr.endswith(f"/apprproxy.yaml/x: {path} is no directory\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_password_file_that_is_not_there_is_wrong_use(command: str, operator: Operator) -> None:
    auth = f"auth: {{username: bot, password_file: {operator.folder}/password}}"
    path = operator.configured(f"cache: {{directory: {operator.folder}/cache}}\n" + upstream(auth))
    ran = operator.runs(command, "--config", path)

    assert 2 == ran.returncode
    assert not (operator.folder / "cache").exists(), "nothing is made for a gateway that does not start"
    [line] = ran.stderr.splitlines()
    assert line.startswith("configuration: upstreams.quay.io.auth.password_file: ")


def test_the_files_of_another_machine_can_be_left_alone(operator: Operator) -> None:
    path = operator.configured(upstream("auth: {username: bot, password_file: /nowhere/password}"))

    assert 0 == operator.runs("check", "--elsewhere", "--config", path).returncode


def test_what_is_doubtful_is_told_by_check_and_in_the_log(operator: Operator, taken: str) -> None:
    config = operator.folder / "config.json"
    config.write_text('{"auths": {}}')
    server = f"server: {{listen: '{taken}'}}\ncache: {{directory: {operator.folder}/cache}}\n"
    path = operator.configured(server + upstream(f"auth: {{docker_config: {config}}}"))
    checked, served = operator.runs("check", "--config", path), operator.runs("serve", "--config", path)

    assert 0 == checked.returncode
    assert f"warning: upstreams.quay.io.auth.docker_config: {config} has no account for quay.io" in checked.stderr
    assert '"event": "the configuration is doubtful"' in served.stderr


def test_check_says_that_any_login_succeeds_and_is_yaml_all_the_same(operator: Operator) -> None:
    ran = operator.runs("check", "--config", operator.configured(upstream("fresh_for: 5m")))

    assert "`helm registry login`" in ran.stdout
    assert "5m" == yaml.safe_load(ran.stdout)["upstreams"]["quay.io"]["fresh_for"]
