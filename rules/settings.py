"""Settings of the rules package: frozen once read, each with a title and a description."""

from pydantic import Field

from stream.settings import Section


class MatcherSettings(Section):
    """How clauses are found for a risk."""

    top: int = Field(8, ge=1, le=50, title="Matches", description="How many clauses are found for a risk at most.")
    model: str = Field(
        "",
        title="Embedding model",
        description="A sentence-transformers model by name or folder, for both languages; empty: the bundled English one; none: search by words alone.",
    )
    floor: float | None = Field(
        None,
        title="Floor",
        description="Score (0..1) below which no clause counts as found; empty: the calibrated one.",
    )


class LimitSettings(Section):
    """When a reading counts as back within a limit."""

    hysteresis: float = Field(
        0.05,
        ge=0,
        le=0.5,
        title="Hysteresis",
        description="Share of the limit's value by which a reading must be inside the limit before the risk can end.",
    )
    clear_seconds: float = Field(
        10, ge=0, title="Off-delay", description="Seconds for which readings must stay inside before the risk ends."
    )
    clear_readings: int = Field(
        3, ge=1, title="Readings inside", description="Readings that must lie inside before the risk ends."
    )


class RulesSettings(Section):
    """Everything that rules/ can be told."""

    matcher: MatcherSettings = MatcherSettings()
    limits: LimitSettings = LimitSettings()
