"""Settings of the vision package: frozen once read, each with a title and a description."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from stream.catalogue import RISK_TYPES, Confirmation
from stream.settings import Section
from vision.weights_file import bundled_pins, folder_digest

Backend = Literal["auto", "torch", "openvino"]
Precision = Literal["auto", "fp32"]


class DetectorSettings(Section):
    """One detector: which weights, how they run, and what their classes mean."""

    weights: str = Field(
        title="Weights",
        description="Name of bundled weights (ppe), or a path to ultralytics weights: a .pt file or an OpenVINO export folder.",
    )
    sha256: str = Field(
        "",
        pattern=r"^([0-9a-f]{64})?$",
        title="Digest",
        description="sha256 of the weights; required for weights of your own, bundled ones are pinned by the release.",
    )
    backend: Backend = Field(
        "auto",
        title="Backend",
        description="auto: torch where there is a GPU, else OpenVINO; weights of one's own run on what they are made for.",
    )
    precision: Precision = Field(
        "auto",
        title="Precision",
        description="auto: what the processor runs fastest (bf16 where it can), fp32: full precision.",
    )
    image_size: int | None = Field(
        None,
        ge=64,
        le=2048,
        multiple_of=32,
        title="Image size",
        description="Long side of the detector's input in pixels; empty: as exported.",
    )
    threshold: float = Field(
        0.4, gt=0, lt=1, title="Threshold", description="Confidence from which a box counts, where no class says more."
    )
    thresholds: dict[str, float] = Field(
        default_factory=dict, title="Thresholds", description="Confidence from which a box of this label counts."
    )
    class_map: dict[str, str] = Field(
        default_factory=dict,
        title="Classes",
        description="The weights' class names -> labels of Minewatch; an empty label leaves the class out.",
    )

    @field_validator("thresholds")
    @classmethod
    def _shares(cls, value: dict[str, float]) -> dict[str, float]:
        for label, threshold in value.items():
            if not 0.0 < threshold < 1.0:
                raise ValueError(f"the threshold of {label} is {threshold}: write a number between 0 and 1")
        return value


class MotionSettings(Section):
    """When a frame is worth the detector's time."""

    enabled: bool = Field(
        True, title="Motion gate", description="Leave frames out in which nothing moves, between full scans."
    )
    level: int = Field(
        12, ge=1, le=255, title="Level", description="Change of grey level (of 255) from which a point counts as moved."
    )
    share: float = Field(
        0.002, gt=0, lt=1, title="Share", description="Share of the picture's points that must have moved."
    )
    linger_seconds: float = Field(
        4.0,
        ge=0,
        title="Linger",
        description="Seconds after the last motion for which every frame is still analysed, so that an absence is observed.",
    )


class ConfirmationSettings(Section):
    """Other delays than the catalogue's for one risk type; what is left out stays as it is there."""

    on_delay: float | None = Field(None, ge=0, title="On-delay", description="Seconds of support before it is raised.")
    share: float | None = Field(None, gt=0, le=1, title="Share", description="Share of frames that must support it.")
    off_delay: float | None = Field(
        None, gt=0, title="Off-delay", description="Seconds of observed absence that end it."
    )
    full_scans: int | None = Field(None, ge=1, title="Full scans", description="Frames in which it must be absent.")


class VisionSettings(Section):
    """Everything that vision/ can be told."""

    detectors: dict[str, DetectorSettings] = Field(
        default_factory=lambda: {
            name: DetectorSettings(weights=name) for name, (path, _) in bundled_pins().items() if path.is_dir()
        },
        title="Detectors",
        description="Detectors by the name under which cameras ask for them; all bundled ones unless set.",
    )
    motion: MotionSettings = MotionSettings()
    full_scan_seconds: float = Field(
        2.0,
        gt=0,
        title="Full scan",
        description="Seconds of captured time after which a camera's picture is analysed even though nothing moves.",
    )
    staleness_seconds: float = Field(
        0.0,
        ge=0,
        title="Staleness budget",
        description="Frames read longer ago than this are skipped and counted; 0: none is.",
    )
    batch: int = Field(8, ge=1, le=64, title="Batch", description="Most pictures given to a detector at once.")
    clip_seconds: float = Field(
        4.0,
        ge=0,
        le=30,
        title="Clip",
        description="Seconds before a risk is raised that are kept as a clip; 0: no clips.",
    )
    confirmations: dict[str, ConfirmationSettings] = Field(
        default_factory=dict,
        title="Confirmation",
        description="Delays by risk type, where they differ from the catalogue.",
    )

    @model_validator(mode="after")
    def _types_are_known(self) -> Self:
        if unknown := sorted(set(self.confirmations) - set(RISK_TYPES)):
            raise ValueError(f"vision.confirmations names {', '.join(unknown)}: the catalogue has no such risk type")
        return self

    def for_watch(self, weights: Path | None = None) -> Self:
        """These settings for looking through sources once: no frame is too old, and ``weights`` see everything.

        Whoever names weights on the command line vouches for them: their digest now is the pin.
        Raises WeightsError where there are none at that path.
        """
        changes: dict[str, object] = {"staleness_seconds": 0.0}
        if weights is not None:
            pin = folder_digest(weights.resolve())
            changes["detectors"] = {"ppe": DetectorSettings(weights=str(weights.resolve()), sha256=pin)}
        return self.model_copy(update=changes)

    def confirmation(self, risk_type: str) -> Confirmation:
        """The delays of that risk type: the catalogue's, with what is set here in their place."""
        base = RISK_TYPES[risk_type].confirmation
        override = self.confirmations.get(risk_type)
        if override is None:
            return base
        return Confirmation(
            on_delay=base.on_delay if override.on_delay is None else override.on_delay,
            share=base.share if override.share is None else override.share,
            off_delay=base.off_delay if override.off_delay is None else override.off_delay,
            full_scans=base.full_scans if override.full_scans is None else override.full_scans,
        )
