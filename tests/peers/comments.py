"""What the comments of an example tell its readers to do, to the letter: only where things are is replaced."""

import re
from dataclasses import dataclass

from tests.shipping.examples import EXAMPLES

_TEXT = len("#   containerd   ")
"""Where a client's text begins."""

CHART = ("ORGANISATION/CHART", "corp/charts/demo")


@dataclass(frozen=True, slots=True)
class Comments:
    """``address`` is what the example calls the gateway's, with its scheme where clients want one."""

    name: str
    address: str
    host: str

    def file(self, name: str) -> str:
        """The contents of a client's file."""
        lines = self._lines()
        begin = next(at for at, line in enumerate(lines) if name in line) + 1
        snippet = []
        for line in lines[begin:]:
            text = line[_TEXT:]
            if not text.startswith("    "):
                break
            snippet.append(text.strip())
        assert snippet, f"{self.name} does not say what stands in {name}"
        return self._placed("\n".join(snippet) + "\n")

    def command(self, *words: str) -> list[str]:
        """The arguments of a command that begins with these words, these left out."""
        beginning = " ".join(words)
        found = next(found for line in self._lines() if (found := re.search(f"{beginning} (.*)", line)))
        return self._placed(found.group(1)).replace(*CHART).split()

    def _lines(self) -> list[str]:
        return [line for line in (EXAMPLES / self.name).read_text().splitlines() if line.startswith("#")]

    def _placed(self, text: str) -> str:
        return text.replace(f"https://{self.address}", f"http://{self.host}").replace(self.address, self.host)
