"""Reads `Settings` from command-line options, the environment and a TOML file, in this order of precedence."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from streams.errors import UserError
from streams.settings import CONFIG_ENV, ENV_PREFIX, OTHER_VARIABLES, SettingInfo, Settings, setting_infos

# Kubernetes gives each pod variables for each service of its namespace; a service named flagged-* has our prefix.
_SERVICE_VARIABLE = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$")
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")

_PASSWORDS = frozenset({"sasl_password", "sasl_password_file"})

_LONGEST_SHOWN = 80
_LARGEST_SECRET_BYTES = 64 * 1024


def load_settings(
    config: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """The settings of this process.

    `config` is the TOML file (`--config`; else `FLAGGED_CONFIG`, else there is none), `environ` the environment
    (the process's own by default), `overrides` what command-line options gave, by TOML key, None for not given.
    Raises UserError for an unreadable file, an unknown name, a bad value, or values that don't go together.
    """
    environ = os.environ if environ is None else environ
    infos = {info.key: info for info in setting_infos()}
    found: dict[str, Any] = {}

    config = config or environ.get(CONFIG_ENV) or None
    if config is not None:
        _lay_over(found, _from_file(Path(config).expanduser(), infos))
    _lay_over(found, _from_environment(environ, infos))
    _lay_over(found, _from_options(overrides or {}, infos))
    settings = Settings(**found)
    _check_together(settings)
    return _with_password(settings)


def _lay_over(found: dict[str, Any], higher: dict[str, Any]) -> None:
    """Puts the values of a source over those of the sources below it."""
    # Two ways to say one thing: a password given above is not to clash with the file of one named below.
    if not _PASSWORDS.isdisjoint(higher):
        for name in _PASSWORDS:
            found.pop(name, None)
    found.update(higher)


def _from_file(path: Path, infos: Mapping[str, SettingInfo]) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise UserError(f"{path}: can't read the settings ({error.strerror}); check --config or {CONFIG_ENV}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: the settings are not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not valid TOML: {error}") from None
    found: dict[str, Any] = {}
    for key, given in table.items():
        info = infos.get(key) or _unknown(key, infos, f"{path}: key")
        value = _read(info, given, f"{path}: {key}")
        found[info.name] = path.parent / value if isinstance(value, Path) else value
    return found


def _from_environment(environ: Mapping[str, str], infos: Mapping[str, SettingInfo]) -> dict[str, Any]:
    by_env = {info.env: info for info in infos.values()}
    found: dict[str, Any] = {}
    for name, given in sorted(environ.items()):
        if not name.startswith(ENV_PREFIX) or name == CONFIG_ENV or name in OTHER_VARIABLES or not given:
            continue
        info = by_env.get(name)
        if info is not None:
            found[info.name] = _read(info, given, name)
        elif not _SERVICE_VARIABLE.search(name) and not _SERVICE_ADDRESS.match(given):
            _unknown(name, [*by_env, *OTHER_VARIABLES, CONFIG_ENV], "environment variable")
    return found


def _from_options(overrides: Mapping[str, Any], infos: Mapping[str, SettingInfo]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, given in overrides.items():
        if given is not None:
            info = infos.get(key) or _unknown(key, infos, "option")
            found[info.name] = _read(info, given, f"option {key}")
    return found


def _unknown(name: str, known: Iterable[str], what: str) -> Any:
    """Raises the UserError for a name that no setting has."""
    names = list(known)
    # Without a cutoff there is always a nearest one; a far-fetched guess still shows what names look like.
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.0)[0]
    raise UserError(f"{what} {_shown(name)} is not a setting; the nearest is {nearest} (all are in docs/SETTINGS.md)")


def _read(info: SettingInfo, given: object, where: str) -> Any:
    try:
        return info.reader(str(given) if isinstance(given, Path) else given)
    except ValueError as error:
        shown = "what was given" if info.secret else _shown(given)
        raise UserError(f"{where}: {shown} is not valid; give {error}") from None


def _shown(given: object) -> str:
    shown = repr(given)
    return shown if len(shown) <= _LONGEST_SHOWN else shown[:_LONGEST_SHOWN] + "..."


def _check_together(settings: Settings) -> None:
    """Raises UserError for values that are good alone and not together."""
    protocol = settings.security_protocol
    if protocol.startswith("SASL_"):
        if settings.sasl_username is None:
            raise UserError(f"sasl_username: needed with security_protocol {protocol}; set FLAGGED_SASL_USERNAME")
        if settings.sasl_password is None and settings.sasl_password_file is None:
            raise UserError(
                f"sasl_password: needed with security_protocol {protocol}; "
                "set FLAGGED_SASL_PASSWORD_FILE or FLAGGED_SASL_PASSWORD"
            )
    else:
        _refuse_unused(settings, ("sasl_username", "sasl_password", "sasl_password_file"), "SASL_SSL")
    if settings.sasl_password is not None and settings.sasl_password_file is not None:
        raise UserError("sasl_password, sasl_password_file: both are given; give one")
    if not protocol.endswith("SSL"):
        _refuse_unused(settings, ("ssl_ca_file", "ssl_cert_file", "ssl_key_file"), "SSL or SASL_SSL")
    if settings.ssl_key_file is not None and settings.ssl_cert_file is None:
        raise UserError("ssl_key_file: a key without a certificate; set FLAGGED_SSL_CERT_FILE too")
    if settings.heartbeat_interval_ms * 3 > settings.session_timeout_ms:
        raise UserError("heartbeat_interval: at most a third of session_timeout, or a lost packet looks like a death")
    topics = (*settings.input_topics, *settings.output_topics, settings.changelog_topic)
    for topic in topics:
        if topics.count(topic) > 1:
            raise UserError(f"two topics have the name {topic!r}; give each of the seven, and the changelog, its own")


def _refuse_unused(settings: Settings, names: tuple[str, ...], needed: str) -> None:
    for name in names:
        if getattr(settings, name) is not None:
            raise UserError(
                f"{name}: has no effect with security_protocol {settings.security_protocol}; "
                f"set FLAGGED_SECURITY_PROTOCOL to {needed}, or leave {name} out"
            )


def _with_password(settings: Settings) -> Settings:
    """The settings with the password of `sasl_password_file` read in."""
    path = settings.sasl_password_file
    if path is None:
        return settings
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_SECRET_BYTES).decode()
    except OSError as error:
        raise UserError(f"sasl_password_file: can't read {path} ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UserError(f"sasl_password_file: {path} is not UTF-8 text") from None
    password = content.removesuffix("\n").removesuffix("\r")
    if not password:
        raise UserError(f"sasl_password_file: {path} is empty")
    return replace(settings, sasl_password=password)
