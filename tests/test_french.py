"""French as it is written."""

import datetime as dt
import errno
import os
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlib import french
from auditlib.french import listing, number, os_error, plural, quoted, sentence, typography, visible

PROSE = st.text(st.sampled_from("ab1 ;:!?%«»`/sh\u00a0\u202f.") | st.characters(), max_size=40)


# No-break spaces


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Oui ; non ! Quoi ?", "Oui\u202f; non\u202f! Quoi\u202f?"),
        ("« mot » : 5 %", "«\u00a0mot\u00a0»\u00a0: 5\u00a0%"),
        ("« » vide", "«\u00a0» vide"),
        (
            "en 3 s, à 14 h 05, 512 o, 1,5 Gio, 12 j",
            "en 3\u00a0s, à 14\u00a0h\u00a005, 512\u00a0o, 1,5\u00a0Gio, 12\u00a0j",
        ),
        ("2 services, 3 hommes, 4 os", "2 services, 3 hommes, 4 os"),
        ("port 80:80 et clé:valeur", "port 80:80 et clé:valeur"),
        ("lancer `a ; b : c` ; puis", "lancer `a ; b : c`\u202f; puis"),
        ("voir http://x/?a=1 ; ou ssh://h/p : oui", "voir http://x/?a=1\u202f; ou ssh://h/p\u00a0: oui"),
        ("un ` seul ; suite", "un ` seul\u202f; suite"),
        ("deux  ; espaces", "deux \u202f; espaces"),
        ("", ""),
    ],
)
def test_typography(written: str, shown: str) -> None:
    assert typography(written) == shown


@given(PROSE)
def test_typography_only_changes_spaces(written: str) -> None:
    shown = typography(written)
    assert len(shown) == len(written)
    assert all(new == old or (old == " " and new in "\u00a0\u202f") for old, new in zip(written, shown, strict=True))


@given(PROSE)
def test_typography_is_idempotent(written: str) -> None:
    assert typography(typography(written)) == typography(written)


@given(PROSE, st.text("a ;:!?«»%", max_size=12), PROSE)
def test_code_and_addresses_are_left_alone(before: str, code: str, after: str) -> None:
    before, after = before.replace("`", ""), after.replace("`", "")
    shown = typography(f"{before} `{code}` {after}")
    assert f"`{code}`" in shown
    address = "https://x.fr/?q=;:!%"
    assert address in typography(f"{before} {address} {after}")


@given(PROSE)
def test_no_forbidden_break_is_left(written: str) -> None:
    own = re.sub(r"`[^`]*`", "x", typography(written))
    assert not re.search(r" [;:!?%»]|« ", own)


# Numbers and words


@pytest.mark.parametrize(
    ("value", "decimals", "shown"),
    [
        (0, 0, "0"),
        (12345, 0, "12\u202f345"),
        (1234567.89, 1, "1\u202f234\u202f567,9"),
        (0.25, 2, "0,25"),
        (99.6, 0, "100"),
        (-3.5, 1, "-3,5"),
    ],
)
def test_number(value: float, decimals: int, shown: str) -> None:
    assert number(value, decimals) == shown


@pytest.mark.parametrize(
    ("count", "words", "shown"),
    [
        (0, ("conteneur",), "0 conteneur"),
        (1, ("conteneur",), "1 conteneur"),
        (2, ("conteneur",), "2 conteneurs"),
        (1000, ("port",), "1\u202f000 ports"),
        (0, ("source lue", "sources lues"), "0 source lue"),
        (2, ("source lue", "sources lues"), "2 sources lues"),
        (2, ("réseau", "réseaux"), "2 réseaux"),
        (2, ("accès",), "2 accès"),
        (2, ("conteneur en pause",), "2 conteneurs en pause"),
    ],
)
def test_plural(count: int, words: tuple[str, ...], shown: str) -> None:
    assert plural(count, *words) == shown


@pytest.mark.parametrize(
    ("items", "shown"), [([], ""), (["a"], "a"), (["a", "b"], "a et b"), (["a", "b", "c"], "a, b et c")]
)
def test_listing(items: list[str], shown: str) -> None:
    assert listing(iter(items)) == shown


def test_listing_of_alternatives_and_quotation_marks() -> None:
    assert listing(map(quoted, "abc"), "ou") == "« a », « b » ou « c »"


@pytest.mark.parametrize(("items", "shown"), [("a", "a"), ("ab", "a et b"), ("abc", "a et b…")])
def test_listing_of_the_first(items: str, shown: str) -> None:
    assert listing(items, most=2) == shown


@pytest.mark.parametrize(
    ("parts", "shown"),
    [
        ([], ""),
        (["", " "], ""),
        (["refusé"], "Refusé."),
        (["Refusé."], "Refusé."),
        (["à lire ", "puis à voir."], "À lire ; puis à voir."),
    ],
)
def test_sentence(parts: list[str], shown: str) -> None:
    assert sentence(parts) == shown


# Dates, durations, sizes


@pytest.mark.parametrize(
    ("moment", "zone", "shown"),
    [
        ((2026, 1, 1, 14, 5), "UTC", "1er janvier 2026 à 14 h 05 (UTC)"),
        ((2026, 11, 21, 0, 0), "UTC", "21 novembre 2026 à 0 h 00 (UTC)"),
        ((2026, 8, 11, 9, 59), "Europe/Paris", "11 août 2026 à 11 h 59"),
        ((2026, 12, 31, 23, 30), "Europe/Paris", "1er janvier 2027 à 0 h 30"),
        ((2026, 3, 1, 2, 0), "America/Toronto", "28 février 2026 à 21 h 00"),
    ],
)
def test_instant(moment: tuple[int, ...], zone: str, shown: str) -> None:
    assert french.instant(dt.datetime(*moment, tzinfo=dt.UTC), zone) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (0.04, "0 s"),
        (0.44, "0,4 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.7, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3599.6, "1 h 00 min"),
        (11_400, "3 h 10 min"),
        (172_799, "47 h 59 min"),
        (172_800, "2 j"),
    ],
)
def test_duration(seconds: float, shown: str) -> None:
    assert french.duration(seconds) == shown


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        (0, "0 o"),
        (1023, "1\u202f023 o"),
        (1024, "1 Kio"),
        (1536, "1,5 Kio"),
        (1024**2 - 1, "1 Mio"),
        (8 * 1024**3, "8 Gio"),
        (7, "7 o"),
        (100_400, "98 Kio"),
        (154_000_000_000, "143 Gio"),
        (5000 * 1024**4, "5\u202f000 Tio"),
    ],
)
def test_size(octets: int, shown: str) -> None:
    assert french.size(octets) == shown


# Text from the machine


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("a\nb\r\tc", "a⟨0A⟩b⟨0D⟩⟨09⟩c"),
        ("\x1b[31mrouge\x9b0m", "⟨1B⟩[31mrouge⟨9B⟩0m"),
        ("nom\u202egnp.exe", "nom⟨202E⟩gnp.exe"),
        ("\u061c\u200b\u2028\u2066\ufeff\u00ad\u3164", "⟨61C⟩⟨200B⟩⟨2028⟩⟨2066⟩⟨FEFF⟩⟨AD⟩⟨3164⟩"),
        ("\ud800\uffff\U000e0041", "⟨D800⟩⟨FFFF⟩⟨E0041⟩"),
        ("été œuf — « à » \u00a0\u202f 日本 😀 \ufffd", "été œuf — « à » \u00a0\u202f 日本 😀 \ufffd"),
        (443, "443"),
    ],
)
def test_visible(hostile: object, shown: str) -> None:
    assert visible(hostile) == shown


@given(st.text(st.characters(), max_size=60))
def test_nothing_that_hides_or_moves_is_left(hostile: str) -> None:
    shown = visible(hostile)
    assert visible(shown) == shown
    assert not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in shown)
    assert not any(
        unicodedata.bidirectional(c) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI") for c in shown
    )
    shown.encode("utf-8")


# What the system refuses


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disque plein"),
        (PermissionError(errno.EACCES, "Permission denied"), "permission refusée"),
        (FileNotFoundError(errno.ENOENT, "No such file"), "fichier ou dossier absent"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "connexion refusée"),
        (ConnectionResetError(errno.ECONNRESET, "x"), "connexion coupée"),
        (BrokenPipeError(errno.EPIPE, "x"), "connexion coupée"),
        (NotADirectoryError(errno.ENOTDIR, "x"), "ce n’est pas un dossier"),
        (OSError(errno.ENETUNREACH, "x"), "réseau injoignable"),
        (OSError(errno.EHOSTUNREACH, "x"), "machine injoignable"),
        (OSError(errno.EADDRINUSE, "x"), "adresse déjà utilisée"),
        (TimeoutError("timed out"), "délai dépassé"),
        (OSError(errno.ELOOP, os.strerror(errno.ELOOP)), os.strerror(errno.ELOOP)),
        (OSError("odd\x1b"), "odd⟨1B⟩"),
    ],
)
def test_os_error(error: OSError, shown: str) -> None:
    assert os_error(error) == shown
