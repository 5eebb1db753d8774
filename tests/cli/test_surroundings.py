"""What surrounds a command may be odd: closed streams, a full disk, another locale, a folder that has gone."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from apprproxy.__main__ import INTERRUPTED, main
from apprproxy.store.directory.place import prepare
from tests.fakes.command import not_ours

ROOT = Path(__file__).parents[2]
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def runs(folder: Path, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A line of shell in which `$it` is the command; the cache is `cache` in the folder."""
    return subprocess.run(
        ["sh", "-c", script],
        cwd=folder,
        env=not_ours()
        | {"PYTHONPATH": str(ROOT), "it": f"{sys.executable} -m apprproxy", "APPRPROXY_CACHE__DIRECTORY": "cache"}
        | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_without_a_standard_input_there_is_nobody_to_ask(tmp_path: Path) -> None:
    ran = runs(tmp_path, "$it cache purge --all <&-")

    assert 2 == ran.returncode
    assert "needs --yes" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_without_a_standard_error_a_command_does_its_work(closed: str, tmp_path: Path) -> None:
    prepare(tmp_path / "cache")

    assert 0 == runs(tmp_path, f"$it cache pin {closed}").returncode


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    ran = runs(tmp_path, "$it check >/dev/full")

    assert (1, "error: cannot write: No space left on device") == (ran.returncode, ran.stderr.splitlines()[-1])


def test_a_character_that_the_terminal_has_not_got_is_written_by_its_number(tmp_path: Path) -> None:
    ran = runs(tmp_path, "$it check", PYTHONIOENCODING="latin-1", APPRPROXY_CACHE__DIRECTORY="Ł")

    assert (0, False) == (ran.returncode, "Traceback" in ran.stderr)
    assert "directory: \\u0141\n" in ran.stdout


def test_a_name_that_the_locale_cannot_spell_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("cache: {directory: Łódź}", encoding="utf-8")
    ran = runs(tmp_path, "unset APPRPROXY_CACHE__DIRECTORY; $it serve --config c.yaml", **ASCII)

    assert 2 == ran.returncode
    assert (
        "configuration: cache.directory: no such name can be in this locale (LC_ALL); use a UTF-8 one\n" == ran.stderr
    )


def test_a_current_directory_that_has_gone_is_told(tmp_path: Path) -> None:
    ran = runs(tmp_path, "mkdir gone && cd gone && rmdir ../gone && $it cache stats")

    assert 2 == ran.returncode
    assert ran.stderr.endswith("the current directory has been deleted; give an absolute path\n")
    assert "Traceback" not in ran.stderr


def test_ctrl_c_while_it_is_loaded_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    class Loading(ModuleType):
        @property
        def main(self) -> object:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "apprproxy.cli", Loading("apprproxy.cli"))
    with pytest.raises(SystemExit) as ended:
        main()

    assert INTERRUPTED == ended.value.code
