"""``python -m samples.render FOLDER [NAME ...]``: draw the clips; needs ffmpeg to write them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from samples.render.clips import CLIPS, FRAMES_PER_SECOND, SIZE, Clip, frames


def write(clip: Clip, folder: Path) -> Path:
    """Draw a clip into ``folder`` as H.264 in an MP4 file."""
    target = folder / f"{clip.name}.mp4"
    size = f"{SIZE[0]}x{SIZE[1]}"
    command = ["ffmpeg", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "bgr24", "-s", size]
    command += ["-r", str(FRAMES_PER_SECOND), "-i", "-", "-c:v", "libx264", "-preset", "slow", "-crf", "27"]
    command += [
        "-pix_fmt",
        "yuv420p",
        "-g",
        "30",
        "-bf",
        "0",
        "-movflags",
        "+faststart",
        "-fflags",
        "+bitexact",
        str(target),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as writer:
        assert writer.stdin is not None
        for picture in frames(clip):
            writer.stdin.write(picture.tobytes())
    if writer.returncode:
        raise SystemExit(f"ffmpeg could not write {target}.")
    return target


def main() -> None:
    """Draw the clips that are named, or all."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for clip in CLIPS:
        if not sys.argv[2:] or clip.name in sys.argv[2:]:
            sys.stderr.write(f"{write(clip, folder)}\n")


if __name__ == "__main__":
    main()
