"""Builds every object once and hands it down; the only package that names concrete classes."""

from apprproxy.app.build import App as App
from apprproxy.app.build import build as build
from apprproxy.app.doors import limits_of as limits_of
from apprproxy.app.lines import server_tls as server_tls
