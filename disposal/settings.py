"""Settings of the disposal package: frozen once read, each with a title and a description."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from stream.settings import Section

_WHERE = "on-site or off-site; auto: on the site where its address is localhost or of a private network, else off it. What leaves the site is masked, and private things never do."
_OFF_SITE_PICTURES = (
    "never: none leaves the site. blurred: one of an alert that is not private may, with every head covered that the "
    "detectors saw. They miss some heads, and what they miss leaves as it is: hence never, unless you set it."
)
BackendName = Literal["openai", "transformers", "clerk", "composer"]
BACKENDS: tuple[BackendName, ...] = get_args(BackendName)


class EndpointSettings(Section):
    """An OpenAI-compatible endpoint that writes drafts."""

    url: str = Field("", title="Endpoint", description="Base URL, for instance http://host:8000/v1; empty: none.")
    model: str = Field("", title="Model", description="The model's name at that endpoint.")
    key: SecretStr = Field(SecretStr(""), title="Key", description="API key, where the endpoint asks for one.")
    where: Literal["auto", "on-site", "off-site"] = Field("auto", title="Where it stands", description=_WHERE)
    price_input: float = Field(0.0, ge=0, title="Price of input", description="What a million tokens sent cost.")
    price_cached: float = Field(
        0.0, ge=0, title="Price of cached input", description="What a million tokens cost that the server knew already."
    )
    price_output: float = Field(0.0, ge=0, title="Price of output", description="What a million tokens written cost.")
    daily_budget: float = Field(
        0.0, ge=0, title="Daily budget", description="After so much on a UTC day the next backend serves; 0: no limit."
    )
    pictures: bool = Field(
        False, title="Pictures", description="The model takes pictures: the evidence goes with the request."
    )

    off_site_pictures: Literal["never", "blurred"] = Field(
        "never", title="Pictures off the site", description=_OFF_SITE_PICTURES
    )

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if self.url and urlsplit(self.url).scheme not in ("http", "https"):
            raise ValueError("url is no http:// or https:// address")
        if self.url and not self.model:
            raise ValueError("model is missing: name the model that the endpoint serves")
        if self.off_site_pictures != "never" and not self.pictures:
            raise ValueError("off_site_pictures is set and pictures is not: say pictures = true if the model takes any")
        return self


class LocalModelSettings(Section):
    """A causal language model in a folder on this machine, in the transformers format."""

    folder: Path | None = Field(None, title="Model folder", description="Folder of the model; empty: none.")
    tokens: int = Field(900, ge=100, le=8000, title="Tokens", description="Tokens that a draft may have at most.")
    batch: int = Field(8, ge=1, le=64, title="Batch", description="Drafts that are written side by side at most.")


class DrafterSettings(Section):
    """Who writes the drafts, in which language, and how long it may take."""

    order: tuple[BackendName, ...] = Field(
        ("openai", "transformers", "clerk", "composer"),
        title="Order",
        description="Backends in the order in which they are asked; one that is not configured is left out. clerk: the small model that ships.",
    )
    language: Literal["zh", "en"] = Field("zh", title="Language", description="The language that models write in.")
    seconds: float = Field(
        20.0, gt=0, le=600, title="Time budget", description="Seconds for a model's draft; then the next one is asked."
    )
    rest_seconds: float = Field(
        60.0, ge=0, title="Rest", description="Seconds for which a backend that did not answer is not asked again."
    )
    wait_seconds: float = Field(
        30.0,
        gt=0,
        le=3600,
        title="Longest wait",
        description="Seconds that an alert waits for a model at most; in a flood what has waited longer is composed.",
    )
    endpoint: EndpointSettings = EndpointSettings()
    local: LocalModelSettings = LocalModelSettings()
    clerk: Path | None = Field(
        None,
        title="Clerk",
        description="Folder of a clerk that was trained further on what people approved; empty: the one that ships.",
    )


class ClosureSettings(Section):
    """How long a routine alert waits for its hazard to end; everything else stands in the closure policy."""

    ongoing_seconds: float = Field(
        600.0,
        gt=0,
        title="Longest wait",
        description="Seconds for which a routine hazard may go on before its document goes to a person.",
    )


class EscalationSettings(Section):
    """After how many seconds an alert that nobody acknowledges is passed on, by priority, and how often."""

    critical: float = Field(60.0, gt=0, title="Critical", description="Seconds for critical alerts.")
    high: float = Field(180.0, gt=0, title="High", description="Seconds for alerts of high priority.")
    medium: float = Field(600.0, gt=0, title="Medium", description="Seconds for alerts of medium priority.")
    low: float = Field(1800.0, gt=0, title="Low", description="Seconds for alerts of low priority.")
    overdue: float = Field(
        3600.0, gt=0, title="Overdue", description="Seconds after which the next one is called for an overdue document."
    )
    times: int = Field(3, ge=0, le=20, title="Times", description="How often an alert is passed on at most.")

    def seconds(self, priority: str) -> float:
        """The seconds for that priority."""
        return {"critical": self.critical, "high": self.high, "medium": self.medium}.get(priority, self.low)

    def due(self, priority: str, now: datetime) -> datetime | None:
        """When an alert of that priority that was raised or passed on now is passed on next; None: never."""
        return now + timedelta(seconds=self.seconds(priority)) if self.times else None


class NotifySettings(Section):
    """Where messages leave the house."""

    url: str = Field("", title="Webhook", description="http(s) URL that gets every message; empty: only the log file.")
    secret: SecretStr = Field(SecretStr(""), title="Secret", description="Signs each message (HMAC-SHA256).")
    where: Literal["auto", "on-site", "off-site"] = Field("auto", title="Where it stands", description=_WHERE)
    siren_url: str = Field(
        "",
        title="Siren",
        description="http(s) URL that is told when a siren is due and when its alert was acknowledged; empty: the webhook.",
    )
    seconds: float = Field(5.0, gt=0, le=60, title="Time-out", description="Seconds for one delivery.")
    attempts: int = Field(
        8, ge=1, le=50, title="Attempts", description="Deliveries tried before a message is given up."
    )

    @model_validator(mode="after")
    def _usable(self) -> Self:
        for name, url in (("url", self.url), ("siren_url", self.siren_url)):
            if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
                raise ValueError(f"{name} is no http:// or https:// address")
        return self

    def url_for(self, kind: str) -> str:
        """The address that gets messages of that kind; empty: none."""
        return (self.siren_url or self.url) if kind.startswith("siren") else self.url


class PrivacySettings(Section):
    """What is private: nothing of it leaves the site, whatever stands in the order of drafts or at the webhook."""

    places: tuple[str, ...] = Field((), title="Places", description="Ids of places whose alerts are private.")
    sources: tuple[str, ...] = Field((), title="Sources", description="Ids of cameras and sensors that are private.")
    types: tuple[str, ...] = Field((), title="Risk types", description="Risk types whose alerts are private.")
    reports: bool = Field(
        True, title="Reports", description="What people report by hand is private, with its text and photo."
    )

    def covers(self, place: str, source: str, source_kind: str, kind: str) -> bool:
        """Whether an alert of that place, source and type is private."""
        by_hand = self.reports and source_kind == "person"
        return by_hand or place in self.places or source in self.sources or kind in self.types


class DeadManSettings(Section):
    """Who outside is told that the house is at work; what falls silent is told to the webhook in any case."""

    alive_url: str = Field(
        "",
        title="Sign of life",
        description="http(s) URL that is called while every stage is at work; whoever runs it alarms when that stops. Empty: none.",
    )
    alive_seconds: float = Field(
        60.0, ge=1, le=3600, title="Interval", description="Seconds between two signs of life."
    )

    @model_validator(mode="after")
    def _usable(self) -> Self:
        url = self.alive_url
        if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
            raise ValueError("alive_url is no http:// or https:// address")
        return self


class AuditSettings(Section):
    """Where the head of the audit chain is written down."""

    heads: Path | None = Field(
        None,
        title="Exported heads",
        description="A file, best on another machine's share, that gets the chain's head; empty: none.",
    )
    seconds: float = Field(300.0, gt=0, title="Interval", description="Seconds between two exports of the head.")


class RetentionSettings(Section):
    """How long things stay."""

    readings_days: float = Field(
        400, ge=2, title="Readings", description="Days for which readings are kept for policy and plots."
    )
    evidence_years: float = Field(
        10,
        gt=0,
        le=100,
        title="Evidence",
        description="Years for which evidence is kept after its alert was closed and the last word on its document; while on hold, for ever.",
    )
    unnamed_days: float = Field(
        30,
        ge=8,
        title="Unnamed evidence",
        description="Days for which evidence stays that no alert names; never less than risks stay on the log, and a day.",
    )

    def outlasting(self, log_hours: float) -> Self:
        """The same, with unnamed evidence kept for longer than a risk that names it may wait on the log."""
        return self.model_copy(update={"unnamed_days": max(self.unnamed_days, log_hours / 24 + 1)})


class DisposalSettings(Section):
    """Everything that disposal/ can be told."""

    drafter: DrafterSettings = DrafterSettings()
    closure: ClosureSettings = ClosureSettings()
    escalation: EscalationSettings = EscalationSettings()
    notify: NotifySettings = NotifySettings()
    deadman: DeadManSettings = DeadManSettings()
    audit: AuditSettings = AuditSettings()
    privacy: PrivacySettings = PrivacySettings()
    retention: RetentionSettings = RetentionSettings()
    lease_seconds: float = Field(
        60.0,
        gt=1,
        title="Lease",
        description="Seconds after which a step that a stopped worker had taken is done by another one; the time budget of drafts is added.",
    )
