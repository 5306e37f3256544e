"""Whether a firewall is active, as far as it can be known by reading: no command here loads a kernel module."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from auditlib.collect.processes import named
from auditlib.facts.tables.host import Firewall

MAX_OUTPUT = 20_000_000  # characters; Kubernetes and Docker write thousands of rules

_PROGRAMS = ("usr/sbin", "sbin", "usr/bin", "bin")


def fetch(timeout_s: float, root: Path = Path("/"), commands: bool = True) -> dict[str, Any]:
    """Configuration files of ufw, processes of firewalld, rules of the kernel (root only), below `root`."""
    return {
        "installed": [name for name in ("ufw", "firewalld", "nft", "iptables") if _installed(root, name)],
        "ufw_conf": _text(root / "etc/ufw/ufw.conf"),
        "ufw_default": _text(root / "etc/default/ufw"),
        "firewalld": bool(named(root / "proc", "firewalld")),
        "nft": _run(timeout_s, "nft", "-j", "list", "ruleset") if commands and _nftables(root) else None,
        "iptables": _run(timeout_s, "iptables-legacy-save", "-t", "filter") if commands and _iptables(root) else None,
        # Without the module there can be no rule; without root nobody may look.
        "nft_loaded": _nftables(root),
        "iptables_loaded": _iptables(root),
    }


def _installed(root: Path, program: str) -> bool:
    return any((root / folder / program).exists() for folder in _PROGRAMS)


def _text(path: Path) -> str | None:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(100_000)
    except OSError:
        return None


def _nftables(root: Path) -> bool | None:
    """Whether the kernel's nf_tables is there: asking `nft` without it would load it."""
    modules = _text(root / "proc/modules")
    if (root / "sys/module/nf_tables").exists() or re.search(r"^nf_tables ", modules or "", re.MULTILINE):
        return True
    return None if modules is None else False


def _iptables(root: Path) -> bool | None:
    """Whether the old iptables has a filter table; only root may know. None: unknown."""
    try:
        names = (root / "proc/net/ip_tables_names").read_text("ascii")
    except FileNotFoundError:
        return False
    except OSError:
        return None
    return "filter" in names.split()


def _run(timeout_s: float, *command: str) -> str | None:
    program = shutil.which(command[0], path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if os.geteuid() != 0 or not program:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - fixed words
            [program, *command[1:]], capture_output=True, text=True, errors="replace", timeout=timeout_s, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if len(done.stdout) <= MAX_OUTPUT else None


def rows(payload: dict[str, Any]) -> Iterator[Firewall]:
    """Rows of `firewalls`: always the same four, so that an unknown state shows."""
    installed = set(payload["installed"])
    enabled = _assigned(payload["ufw_conf"], "ENABLED")
    yield Firewall(
        name="ufw",
        installed="ufw" in installed,
        active=enabled == "yes" if enabled else (None if "ufw" in installed else False),
        input_policy=(_assigned(payload["ufw_default"], "DEFAULT_INPUT_POLICY") or "").lower() or None,
        evidence="/etc/ufw/ufw.conf" if enabled else None,
    )
    yield Firewall(
        name="firewalld",
        installed="firewalld" in installed,
        active=payload["firewalld"],
        input_policy=None,
        evidence="/proc",
    )
    active, policy = _nft(payload["nft"])
    yield Firewall(
        name="nftables",
        installed="nft" in installed,
        active=active if payload["nft_loaded"] else payload["nft_loaded"],
        input_policy=policy,
        evidence="nft list ruleset" if active is not None else None,
    )
    active, policy = _legacy(payload["iptables"])
    yield Firewall(
        name="iptables",
        installed="iptables" in installed,
        active=active if payload["iptables_loaded"] else payload["iptables_loaded"],
        input_policy=policy,
        evidence="iptables-legacy-save" if active is not None else None,
    )


def _assigned(text: str | None, name: str) -> str | None:
    """The value of a shell assignment, without its quotation marks."""
    found = re.findall(rf"^\s*{name}\s*=\s*[\"']?([\w-]+)", text or "", re.MULTILINE)
    return found[-1] if found else None


def _nft(output: str | None) -> tuple[bool | None, str | None]:
    """Whether a ruleset filters what comes in (a chain at the hook input that drops or rejects), and its policy.

    Docker's own chains are at the hooks forward and prerouting: they are no firewall.
    """
    try:
        objects = json.loads(output)["nftables"] if output else None
        if objects is None:
            return None, None
        chains = [one["chain"] for one in objects if "chain" in one and one["chain"].get("hook") == "input"]
        rules = [one["rule"] for one in objects if "rule" in one]
        policies = {chain.get("policy", "accept") for chain in chains}
        places = {(chain["family"], chain["table"]) for chain in chains}
        stops = any(
            (rule["family"], rule["table"]) in places
            and _reaches_input(rule["chain"], chains)
            and any(word in expression for expression in rule.get("expr", []) for word in ("drop", "reject"))
            for rule in rules
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None, None
    policy = "drop" if "drop" in policies else "accept" if policies else None
    return policy == "drop" or stops, policy


def _reaches_input(chain: str, inputs: list[dict[str, Any]]) -> bool:
    return any(chain == one["name"] for one in inputs) or "input" in chain.lower()


def _legacy(output: str | None) -> tuple[bool | None, str | None]:
    """The same of `iptables-save`: the policy of the chain INPUT, and whether one of its rules drops or rejects."""
    match = re.search(r"^:INPUT (\w+)", output or "", re.MULTILINE)
    if not match:
        return None, None
    stops = re.search(r"^-A (?:INPUT|\S*input\S*) .*-j (?:DROP|REJECT)\b", output or "", re.MULTILINE | re.IGNORECASE)
    return match[1] == "DROP" or bool(stops), match[1].lower()
