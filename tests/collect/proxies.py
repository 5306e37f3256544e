"""A proxy of the loopback as the engine and Traefik's API would describe it."""

from typing import Any

Rule = tuple[str, str] | tuple[str, str, bool]


def payloads(ports: dict[str, int], *rules: Rule, local: bool = True, **api: Any) -> dict[str, Any]:
    """What the sources of the proxy are given: entry points by port of the loopback, and HTTP routers.

    A rule is the text, the entry point, and whether its router has TLS.
    """
    numbers = {entrypoint: 1000 + index for index, entrypoint in enumerate(ports)}
    published = {
        f"{numbers[entrypoint]}/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]
        for entrypoint, port in ports.items()
    }
    container = {
        "Id": "1" * 64,
        "Name": "/traefik",
        "HostConfig": {"NetworkMode": "front"},
        "NetworkSettings": {"Ports": published, "Networks": {"front": {"IPAddress": "10.255.0.2"}}},
    }
    routers = {
        f"r{index}@file": {
            "rule": rule,
            "using": [entrypoint],
            "status": "enabled",
            "service": "s",
            **({"tls": {}} if tls else {}),
        }
        for index, (rule, entrypoint, tls) in enumerate((*one, False)[:3] for one in rules)
    }
    entrypoints = [{"name": entrypoint, "address": f":{number}"} for entrypoint, number in numbers.items()]
    told = {"version": {"Version": "3.6.6"}, "rawdata": {"routers": routers}, "overview": {}, **api}
    told = {"url": "http://127.0.0.1:8080", "container": "traefik", "entrypoints": entrypoints, **told}
    return {"engine": {"local": local, "containers": [container]}, "traefik_api": told}
