"""Builds every object of a gateway once and hands it down; ``protocols`` is what each protocol is made of."""

from apprproxy.app.build import App as App
from apprproxy.app.build import build as build
from apprproxy.app.build import build_beside as build_beside
from apprproxy.app.doors import limits_of as limits_of
from apprproxy.app.doubts import doubts as doubts
from apprproxy.app.files import try_files as try_files
from apprproxy.app.lines import Lifetime as Lifetime
from apprproxy.app.lines import lifetime as lifetime
from apprproxy.app.lines import server_tls as server_tls
