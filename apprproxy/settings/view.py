"""A view: several upstreams under one name, in order, and the hosts by which clients may reach it."""

from typing import Any

from pydantic import Field, model_serializer, model_validator

from apprproxy.settings.fields import HostName, Section


class View(Section):
    """A plain list stands for its members."""

    members: list[str]
    hosts: list[HostName] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: object) -> object:
        if isinstance(given, list):
            return {"members": given}
        if not isinstance(given, (dict, cls)):
            raise ValueError("must be a list, such as [quay.io]")  # noqa: TRY004 — pydantic's
        return given

    @model_serializer
    def _as_written(self) -> dict[str, Any] | list[str]:
        return {"members": self.members, "hosts": self.hosts} if self.hosts else self.members
