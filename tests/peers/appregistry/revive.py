"""The unmodified `appr` and `cnr-server` packages of 2017 import and work on Python 3.

install-appr.sh puts this file beside them, with a `.pth` line that imports it when the interpreter starts. What lies
on disk stays as it was published: names that Python 3 dropped are given back, and sources are edited as they are
compiled.
"""

import collections
import collections.abc
import re
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import decode_source
from types import CodeType, ModuleType

Edit = tuple[str, str]  # a regular expression over whole lines, and what stands there instead

# names that were builtins, or lived in `collections` itself
GONE = {"basestring": str, "unicode": str}
MOVED = ("Mapping", "Iterable")

EVERYWHERE: tuple[Edit, ...] = (
    (r"\.iteritems\(\)", ".items()"),
    (r"\byaml\.load\(", "yaml.safe_load("),
    (r"\b(e|exc|excp)\.message\b", r"str(\1)"),
    (r'^(\s*)print (".*)$', r"\1print(\2)"),
)

# by module, without its first component (`appr` or `cnr`)
IN_MODULE: dict[str, tuple[Edit, ...]] = {
    # callers index, sort or serialise what used to be lists
    r"(models|plugins|packager)\b.*": (
        (r"^(\s*)(return |[\w\[\]'.]+ = )([^\n=]*\.(?:keys|values)\(\))$", r"\1\2list(\3)"),
    ),
    r"pack|packager": (
        (r"self\.b64blob = blob$", "self.b64blob = blob if isinstance(blob, str) else blob.decode()"),
        (r"b64encode\(blob\)", "b64encode(blob).decode()"),
        (r"self\.files\[tfile\.name\]", "self.files[member.name]"),  # a member's file no longer has its full name
    ),
    r"models\.kv\.filesystem": ((r"f\.write\(data\)", "f.write(data.encode() if isinstance(data, str) else data)"),),
    r"api\.(info|registry)": ((r"headers\.to_list\(\)", "headers.to_wsgi_list()"),),
    r"api\.info": ((r"import urllib$", "import urllib.parse"), (r"urllib\.unquote", "urllib.parse.unquote")),
    r"api\.gevent_app": ((r"gevent\.wsgi", "gevent.pywsgi"),),
    r"commands\.push": ((r"b64encode\(kubefile\.read\(\)\)", "b64encode(kubefile.read()).decode()"),),
    r"commands\.command_base": ((r"exc\.response\.content", "exc.response.text"),),
    r"commands\.inspect": ((r"package\.file\(self\.file\)", "package.file(self.file).decode(errors='replace')"),),
    r"plugins\.helm": ((r"open\('requirements\.yaml', 'wb'\)", "open('requirements.yaml', 'w')"),),
    r"render_jsonnet": ((r"return full_path, content$", "return full_path, content.encode()"),),
}


def edited(module: str, source: str) -> str:
    inner = module.partition(".")[2]
    edits = [*EVERYWHERE, *(edit for name, some in IN_MODULE.items() if re.fullmatch(name, inner) for edit in some)]
    for pattern, instead in edits:
        source = re.sub(pattern, instead, source, flags=re.MULTILINE)
    return source


class Reviver(SourceFileLoader):
    # pip is told not to compile: so the only byte code there is was made here, from edited sources
    def source_to_code(self, data, path, *, _optimize=-1) -> CodeType:  # type: ignore[no-untyped-def,override]
        return compile(edited(self.name, decode_source(data)), path, "exec", dont_inherit=True, optimize=_optimize)

    def exec_module(self, module: ModuleType) -> None:
        vars(module).update(GONE)
        super().exec_module(module)


class Finder:
    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.partition(".")[0] not in {"appr", "cnr"}:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec and isinstance(spec.loader, SourceFileLoader):
            spec.loader = Reviver(spec.loader.name, spec.loader.path)
        return spec


for _name in MOVED:
    setattr(collections, _name, getattr(collections.abc, _name))
sys.meta_path.insert(0, Finder)
