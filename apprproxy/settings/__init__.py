"""The configuration file: what may stand in it, what it means, and what is wrong with it."""

from apprproxy.settings.load import BadConfiguration, load
from apprproxy.settings.model import Settings

__all__ = ["BadConfiguration", "Settings", "load"]
