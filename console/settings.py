"""All settings of an installation, composed from each package's own: minewatch.toml, and MINEWATCH_* variables over it.

``MINEWATCH_LOG__URL`` stands for ``[log] url``: two underscores lead one level down.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from console.web_settings import WebSettings
from disposal.settings import DisposalSettings
from rules.settings import RulesSettings
from stream.access import settled
from stream.database import database_url
from stream.errors import ConfigurationError
from stream.remote_evidence import evidence_url
from stream.settings import CaptureSettings, DatabaseSettings, EvidenceSettings, LogSettings, MqttSettings
from stream.site import Camera, Place, Sensor, Site, Zone
from vision.settings import VisionSettings


class Settings(BaseSettings):
    """Everything that one installation of one mine can be told."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix="MINEWATCH_", env_nested_delimiter="__")

    mine: str = Field("mine", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", title="Mine", description="The mine's id.")
    log: LogSettings = LogSettings()
    database: DatabaseSettings = DatabaseSettings()
    mqtt: MqttSettings = MqttSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    capture: CaptureSettings = CaptureSettings()
    vision: VisionSettings = VisionSettings()
    rules: RulesSettings = RulesSettings()
    disposal: DisposalSettings = DisposalSettings()
    console: WebSettings = WebSettings()
    places: tuple[Place, ...] = ()
    cameras: tuple[Camera, ...] = ()
    sensors: tuple[Sensor, ...] = ()
    zones: tuple[Zone, ...] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what the caller hands in: the environment reaches the settings through ``load``, from cli.py alone."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    def site(self) -> Site:
        """The mine's places, cameras, sensors and zones. Raises ConfigurationError where they contradict each other."""
        try:
            return Site(
                mine=self.mine, places=self.places, cameras=self.cameras, sensors=self.sensors, zones=self.zones
            )
        except ValidationError as error:
            raise ConfigurationError(f"The configuration cannot be used: {first_fault(error)}.") from error


class _Environment(EnvSettingsSource):
    """pydantic-settings' reading of variables, on a mapping that is handed in."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = {name.lower(): value for name, value in variables.items()}
        super().__init__(Settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return self._variables


def load(config: Path | None, environment: Mapping[str, str], data: Path) -> Settings:
    """The settings in ``config`` and ``environment``, with everything unset placed under the folder ``data``.

    Relative paths of cameras, sensors and weights count from the configuration's own folder.
    Raises ConfigurationError, in one line, for a file that cannot be read and a setting that cannot be used.
    """
    content = {} if config is None else _read(config)
    origin = "The environment" if config is None else str(config)
    try:
        settings = Settings(**_merged(content, _Environment(environment)()))
    except ValidationError as error:
        raise ConfigurationError(f"{origin} cannot be used: {first_fault(error)}.") from error
    base = Path.cwd() if config is None else config.resolve().parent
    return placed(settings, base, data.resolve())


def placed(settings: Settings, base: Path, data: Path) -> Settings:
    """``settings`` with relative sources resolved against ``base`` and unset stores put under ``data``.

    Raises ConfigurationError where a file of certificates or with a password cannot be used.
    """
    database = settled(settings.database, "database", base)
    evidence = settled(settings.evidence, "evidence", base)
    return settings.model_copy(
        update={
            "log": settled(settings.log, "log", base).model_copy(update={"folder": data / "log"}),
            "mqtt": settled(settings.mqtt, "mqtt", base),
            "database": DatabaseSettings(url=database_url(database, f"sqlite:///{data / 'minewatch.db'}")),
            "evidence": EvidenceSettings(url=evidence_url(evidence, (data / "evidence").as_uri())),
            "disposal": _with_heads(settings.disposal, data),
            "cameras": tuple(c.model_copy(update={"url": _located(c.url, base)}) for c in settings.cameras),
            "sensors": tuple(s.model_copy(update={"url": _located(s.url, base)}) for s in settings.sensors),
        }
    )


def _with_heads(disposal: DisposalSettings, data: Path) -> DisposalSettings:
    """Export the audit chain's head somewhere in any case; on another machine's share it is worth more."""
    heads = disposal.audit.heads or data / "audit-heads.jsonl"
    return disposal.model_copy(update={"audit": disposal.audit.model_copy(update={"heads": heads})})


def first_fault(error: ValidationError) -> str:
    """The first thing that is wrong, as ``where: what``, without the value (it may be a secret)."""
    fault = error.errors()[0]
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"there is no setting {where!r}; remove it or mend its name"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _read(config: Path) -> dict[str, Any]:
    try:
        with config.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigurationError(
            f"The configuration {config} cannot be read: {error.strerror}. Check the path."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The configuration {config} is no TOML: {error}. Mend that line.") from error


def _merged(lower: dict[str, Any], upper: dict[str, Any]) -> dict[str, Any]:
    result = dict(lower)
    for key, value in upper.items():
        below = result.get(key)
        result[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def _located(url: str, base: Path) -> str:
    if "://" in url or url.isdigit() or Path(url).is_absolute():
        return url
    return str((base / url).resolve())
