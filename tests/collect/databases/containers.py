"""Containers as the engine inspects them, with the fields that databases are read from."""

from typing import Any


def container(name: str, image: str = "app:1", *, command: tuple[str, ...] = ("app",), **given: Any) -> dict[str, Any]:
    """One container. `networks` maps a network to its address, or to a whole end; `env`, `ports`, `mounts`, `mode`."""
    networks = {
        network: end if isinstance(end, dict) else {"IPAddress": end, "Aliases": [], "Gateway": ""}
        for network, end in given.get("networks", {}).items()
    }
    return {
        "Id": f"{name.encode().hex():0<64}"[:64],
        "Name": f"/{name}",
        "Path": command[0],
        "Args": list(command[1:]),
        "State": {"Running": given.get("running", True)},
        "Mounts": given.get("mounts", []),
        "Config": {
            "Image": image,
            "Env": [f"{key}={value}" for key, value in given.get("env", {}).items()],
            "ExposedPorts": {port: {} for port in given.get("exposed", ())},
            "Healthcheck": given.get("check"),
        },
        "HostConfig": {
            "NetworkMode": given.get("mode", "bridge"),
            "ExtraHosts": given.get("extra"),
            "Links": given.get("links"),
        },
        "NetworkSettings": {"Networks": networks, "Ports": given.get("ports", {})},
    }


def volume(destination: str, name: str = "données", kind: str = "volume") -> dict[str, Any]:
    """A mount."""
    return {"Type": kind, "Name": name, "Source": f"/var/{name}", "Destination": destination}
