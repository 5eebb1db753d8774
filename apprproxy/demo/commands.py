"""The exact commands to try, for who has the clients and for who has none; each on a line of its own, to copy."""

from collections.abc import Mapping

from apprproxy.demo.embedded import HUB, LIAR, OLD_QUAY

LOOPBACK = "127.0.0.1"


def commands(gateway: str) -> dict[str, list[str]]:
    """By what they show; ``gateway`` is its URL."""
    host = gateway.removeprefix("http://")
    return {
        "A Helm chart": [
            f"helm pull oci://{host}/{HUB}/charts/demo --version 0.1.0 --plain-http",
            f"helm show chart oci://{host}/{HUB}/charts/demo --plain-http",
        ],
        "An image for two platforms, and a chart's signature": [
            f"crane validate --insecure --remote {host}/{HUB}/images/tool:1.0",
            f"oras discover --plain-http {host}/{HUB}/charts/demo:0.1.0",
        ],
        "App Registry packages": [
            f"appr list {gateway}/{OLD_QUAY}",
            f"appr pull -t helm {gateway}/{OLD_QUAY}/alice/nginx:stable",
        ],
        "Nothing but curl: how an answer came about, a list, the metrics": [
            f"curl -si {gateway}/v2/{HUB}/charts/demo/manifests/0.1.0",
            f"curl -s {gateway}/{OLD_QUAY}/cnr/api/v1/packages",
            f"curl -s {gateway}/metrics",
        ],
        "A lie, which is refused (helm tries a few times before it says so)": [
            f"helm pull oci://{host}/{LIAR}/charts/other --version 0.1.0 --plain-http",
            f"curl -si {gateway}/v2/{LIAR}/images/other/manifests/1.0",
        ],
    }


def proxy_stands_between(environment: Mapping[str, str]) -> bool:
    """Would clients send requests for loopback to a proxy that the environment names?"""
    given = {key.lower(): value for key, value in environment.items() if value}
    if not {"http_proxy", "all_proxy"} & given.keys():
        return False
    direct = {host.strip() for host in given.get("no_proxy", "").split(",")}
    return not direct & {"*", LOOPBACK}
