"""A Helm chart that `helm template` renders."""

from typing import Any

import yaml

from apprproxy.demo.archive import Archive, archive

_TEMPLATE = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-{{ .Chart.Name }}
data:
  greeting: {{ .Values.greeting | quote }}
"""


def metadata(name: str, version: str) -> dict[str, Any]:
    """What Chart.yaml says, and the configuration of a chart in an OCI registry."""
    return {
        "apiVersion": "v2",
        "name": name,
        "version": version,
        "description": "A chart of the apprproxy demo",
        "type": "application",
    }


def chart(name: str, version: str) -> Archive:
    """Everything below one folder: helm drops the first part of each path."""
    return archive(
        {
            f"{name}/Chart.yaml": yaml.safe_dump(metadata(name, version), sort_keys=False),
            f"{name}/values.yaml": f"greeting: hello from {name} {version}\n",
            f"{name}/templates/configmap.yaml": _TEMPLATE,
        }
    )
