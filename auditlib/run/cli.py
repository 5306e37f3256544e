"""The command line. Thin: it reads arguments, calls the stages, prints, and chooses the exit code."""

import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from auditlib import folders, parameters
from auditlib.derived import Facts
from auditlib.facts import snapshot
from auditlib.findings.audit import Audit
from auditlib.findings.check import SEVERITIES_FR, VERDICTS_FR
from auditlib.findings.policy import Policy
from auditlib.french import os_error, plural, typography, visible
from auditlib.notebook import load, record
from auditlib.parameters import ParameterError, Parameters
from auditlib.version import __version__

DONE, FOUND, NOT_DONE, USAGE, INTERRUPTED = 0, 1, 2, 64, 130

_CODES = """\b
Codes de sortie :
  0    fait, et rien à la gravité « fail_on » ou au-delà
  1    des constats à cette gravité ou au-delà
  2    pas fait comme demandé (source exigée non lue, instantané illisible,
       disque plein, tous les carnets en échec)
  64   commande ou paramètres incorrects
  130  interrompu
"""


class _French(click.Command):
    """click's own English, in French: headings of the help."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options of a command, and the commands of a group."""
        rows = [row for parameter in self.get_params(ctx) if (row := parameter.get_help_record(ctx))]
        with formatter.section("Options"):
            formatter.write_dl([(names, help_text.replace("[required]", "[obligatoire]")) for names, help_text in rows])
        if isinstance(self, click.Group):
            with formatter.section("Commandes"):
                formatter.write_dl([(name, command.get_short_help_str(80)) for name, command in self.commands.items()])


class _Command(_French):
    pass


class _Group(_French, click.Group):
    command_class = _Command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """The command that the first word names."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            names = ", ".join(self.commands)
            raise click.UsageError(f"Commande inconnue : « {args[0]} ». Commandes : {names}.", ctx)
        return super().resolve_command(ctx, args)


_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def _helped(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.help_option("-h", "--help", help="Affiche cette aide.")(function)


def _parametrised(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that give parameters: a file, then single values."""
    file = click.option("-f", "file", type=Path, metavar="FICHIER", help="Fichier de paramètres (YAML).")
    value = click.option(
        "-p",
        "values",
        type=(str, str),
        multiple=True,
        metavar="NOM VALEUR",
        help="Un paramètre ; l’emporte sur le fichier.",
    )
    return file(value(function))


def _read(file: Path | None, values: Sequence[tuple[str, str]], run: Path | None = None) -> Parameters:
    """The parameters that were given, on those that a run was given if there is one."""
    overrides = {name: parameters.override(name, value) for name, value in values}
    return parameters.read(file, overrides, parameters.kept(run) if run else None)


@click.group(cls=_Group, epilog=_CODES, context_settings=_SETTINGS, add_help_option=False)
@click.version_option(__version__, "--version", message="%(prog)s %(version)s", help="Affiche la version.")
@_helped
def cli() -> None:
    """Audit runtime d’un serveur auto-hébergé : Docker, Traefik et services de la machine."""


@cli.command(add_help_option=False)
@_parametrised
@click.option("--notebooks", type=Path, metavar="DOSSIER", help="Dossier des carnets (celui du projet par défaut).")
@click.option("--fast", is_flag=True, help="Carnets exécutés dans un seul processus : plus vite, sans isolation.")
@_helped
def run(file: Path | None, values: Sequence[tuple[str, str]], notebooks: Path | None, *, fast: bool) -> int:
    """Tout l’audit : collecte, carnets, rapport."""
    from auditlib.run import workbook  # noqa: PLC0415 - papermill costs every other command half a second

    settings = _read(file, values)
    done = workbook.run(settings, notebooks or folders.project() / "notebooks", _tell, fast=fast)
    for name in ("rapport.html", "rapport.md", "constats.json"):
        click.echo(done.folder / name)
    for name in done.failed:
        _tell(f"Carnet en échec, gardé avec sa trace : {done.folder / folders.NOTEBOOKS / name}.ipynb")
    return _verdict(done.audit, snapshot.read(done.folder), settings)


@cli.command(add_help_option=False)
@_parametrised
@click.option(
    "--output", type=Path, required=True, metavar="DOSSIER", help="Où écrire l’instantané (dossier nouveau ou vide)."
)
@_helped
def collect(file: Path | None, values: Sequence[tuple[str, str]], output: Path) -> int:
    """Seulement l’instantané, dans un dossier."""
    settings = _read(file, values)
    facts = record(str(output), **settings.model_dump(exclude_unset=True))
    _tell(repr(facts))
    click.echo(output)
    return _required(facts.snapshot, settings)


@cli.command(add_help_option=False)
@click.argument("path", metavar="[INSTANTANÉ]", default="")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", help="table (défaut) ou json.")
@_parametrised
@_helped
def check(path: str, form: str, file: Path | None, values: Sequence[tuple[str, str]]) -> int:
    """Constats d’un instantané, ou du dernier de cette machine, jugés par les paramètres de son exécution."""
    from auditlib.report.constats import constats  # noqa: PLC0415

    settings = _read(file, values)
    folder = folders.find(path or settings.snapshot, settings.outputs)
    settings = _read(file, values, folder.parent)
    facts = Facts(snapshot.read(folder), Policy.of(settings))
    click.echo(constats(facts) if form == "json" else _table(facts.audit), nl=form != "json")
    return _verdict(facts.audit, facts.snapshot, settings)


@cli.command(add_help_option=False)
@click.argument("path", metavar="[EXÉCUTION]", default="")
@click.option("--outputs", default="outputs", metavar="DOSSIER", help="Dossier des exécutions.")
@_helped
def report(path: str, outputs: str) -> int:
    """Refait les exports d’une exécution, ou de la dernière de cette machine."""
    import platform  # noqa: PLC0415

    from auditlib.report import exports  # noqa: PLC0415

    folder = folders.find(path).parent if path else folders.last(folders.outputs_folder(outputs), platform.node())
    exports.export(folder, Policy.of(parameters.read(None, None, parameters.kept(folder))))
    folders.owned_by_caller(folder)
    click.echo(folder / exports.HTML)
    return DONE


@cli.command(add_help_option=False)
@click.argument("url", metavar="URL")
@click.option("--snapshot", "path", default="", metavar="INSTANTANÉ", help="L’instantané (le dernier par défaut).")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="text (défaut) ou json.")
@click.option("--outputs", default="outputs", metavar="DOSSIER", help="Dossier des exécutions.")
@_helped
def explain(url: str, path: str, form: str, outputs: str) -> int:
    """Le chemin d’une requête, étape par étape, et pourquoi elle échoue."""
    from auditlib.report.explanation import RequestError  # noqa: PLC0415 - the analysis costs the other commands
    from auditlib.report.explanation import explain as explained  # noqa: PLC0415

    try:
        answer = explained(load(path, outputs), url)
    except RequestError as error:
        raise click.UsageError(f"{error}.") from error
    click.echo(answer.json() if form == "json" else answer.text())
    return DONE


@cli.command(add_help_option=False)
@click.argument("path", metavar="[INSTANTANÉ]", default="")
@click.option(
    "--output",
    type=Path,
    default=Path("attendus.yaml"),
    metavar="FICHIER",
    help="Le fichier à écrire (attendus.yaml par défaut).",
)
@click.option("--force", is_flag=True, help="Remplace le fichier s’il existe, et ce qu’une personne y a changé.")
@click.option("--outputs", default="outputs", metavar="DOSSIER", help="Dossier des exécutions.")
@_helped
def expect(path: str, output: Path, outputs: str, *, force: bool) -> int:
    """Fige ce qui est vrai dans un fichier d’attendus, que les audits suivants vérifient."""
    from auditlib.findings import expectations  # noqa: PLC0415

    text = expectations.document(load(path, outputs).snapshot)
    try:
        with output.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise folders.RunError(
            f"Le fichier {output} existe déjà : il n’a pas été touché. Donnez un autre --output, ou --force pour le "
            "remplacer et perdre ce qui y a été changé."
        ) from None
    except OSError as error:
        raise folders.RunError(f"Écriture de {output} : {os_error(error)}.") from error
    folders.owned_by_caller(output)
    _tell(f"Relisez ce fichier, puis nommez-le dans les paramètres : « expected: {output} ».")
    click.echo(output)
    return DONE


def _table(audit: Audit) -> str:
    """Findings and verdicts for a terminal."""
    lines = [f"{SEVERITIES_FR[f.severity]:<12} {f.check:<12} {f.message}" for f in audit.live] or ["Aucun constat."]
    lines += [f"{'dérogation':<12} {f.check:<12} {f.message}" for f in audit.waived]
    unknown = [result for result in audit.results if result.verdict == "unknown"]
    lines += [f"{VERDICTS_FR['unknown']:<12} {result.check:<12} {result.reason}" for result in unknown]
    return "\n".join(visible(line) for line in lines)


def _verdict(audit: Audit, collected: snapshot.Snapshot, settings: Parameters) -> int:
    """The exit code of what was found."""
    if code := _required(collected, settings):
        return code
    if settings.fail_on == "never":
        return DONE
    grave = audit.at_least(settings.fail_on)
    if grave:
        level = SEVERITIES_FR[settings.fail_on]
        _tell(f"{plural(len(grave), 'constat')} de gravité {level} ou au-delà.")
    return FOUND if grave else DONE


def _required(collected: snapshot.Snapshot, settings: Parameters) -> int:
    missing = snapshot.unread(collected, settings.require)
    if missing:
        _tell(f"Audit incomplet : sources exigées et non lues entièrement : {', '.join(missing)}.")
    return NOT_DONE if missing else DONE


def _tell(line: str) -> None:
    """Progress and errors go to the standard error: the standard output is for results."""
    click.echo(typography(line), err=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code. Every error is one French sentence on the standard error."""
    # A service manager stops a run as a person does: what was done is kept, nothing is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return cli.main(args=arguments, prog_name="auditlib", standalone_mode=False) or DONE
    except click.exceptions.NoArgsIsHelpError as help_text:
        click.echo(help_text.message, err=True)
        return USAGE
    except click.ClickException as error:
        _tell(f"{_usage(error)} Aide : auditlib --help.")
        return USAGE
    except ParameterError as error:
        _tell(str(error))
        return USAGE
    except (folders.RunError, snapshot.SnapshotError) as error:
        _tell(str(error))
        return NOT_DONE
    except (KeyboardInterrupt, click.Abort) as interruption:
        # click wraps the interruption, which says what was kept.
        _tell(f"Interrompu.{interruption.__cause__ or interruption}")
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return DONE


def _usage(error: click.ClickException) -> str:
    """The usage errors of click, in French."""
    match error:
        case click.NoSuchOption():
            return f"Option inconnue : {error.option_name}."
        case click.MissingParameter():
            return f"Il manque {error.param.opts[0] if error.param else 'un argument'}."
        case click.BadOptionUsage():
            return f"L’option {error.option_name} n’a pas les valeurs qu’elle attend."
        case click.BadParameter(param=click.Parameter(type=click.Choice(choices=choices)) as parameter):
            return f"Valeur refusée pour {parameter.opts[0]}. Valeurs possibles : {', '.join(choices)}."
        case _ if "unexpected extra" in error.message:
            return f"Argument en trop : {error.message.partition('(')[2].rstrip(').')}."
        case _:
            return error.message
