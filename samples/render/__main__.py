"""Draw the clips: ``python -m samples.render --out FOLDER [NAME ...]``; ffmpeg, where it is installed, packs them."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import cv2

from samples.render.clips import CLIPS, FRAMES_PER_SECOND, SIZE, Clip, frames


def write(clip: Clip, folder: Path) -> Path:
    """Draw a clip into `folder` as an MP4 file that OpenCV reads: H.264, or MPEG-4 where there is no ffmpeg."""
    target = folder / f"{clip.name}.mp4"
    drawn = folder / f".{clip.name}.mp4"
    writer = cv2.VideoWriter(str(drawn), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), FRAMES_PER_SECOND, SIZE)
    if not writer.isOpened():
        raise SystemExit(f"{target} cannot be written: is the folder writable, and has this OpenCV its ffmpeg?")
    for picture in frames(clip):
        writer.write(picture)
    writer.release()
    if packer := shutil.which("ffmpeg"):
        pack(packer, drawn, target)
        drawn.unlink()
    else:
        drawn.replace(target)
    return target


def pack(packer: str, drawn: Path, target: Path) -> None:
    """Turn a drawn clip into H.264, a third of its size."""
    command = [packer, "-y", "-loglevel", "error", "-i", str(drawn), "-c:v", "libx264", "-preset", "slow", "-crf", "27"]
    command += ["-pix_fmt", "yuv420p", "-g", "30", "-bf", "0", "-movflags", "+faststart", "-fflags", "+bitexact"]
    subprocess.run([*command, str(target)], check=True)  # noqa: S603  the caller's own ffmpeg on a file just written


def main() -> None:
    """Draw the clips that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m samples.render", description="Draw the clips of the sample mine.")
    parser.add_argument("--out", type=Path, default=Path("samples/clips"), help="where the clips go")
    parser.add_argument("names", nargs="*", metavar="NAME", help="which clips; all where none is named")
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - {clip.name for clip in CLIPS}:
        raise SystemExit(f"There is no clip {', '.join(sorted(unknown))}: {', '.join(c.name for c in CLIPS)}.")
    chosen.out.mkdir(parents=True, exist_ok=True)
    for clip in CLIPS:
        if not chosen.names or clip.name in chosen.names:
            target = write(clip, chosen.out)
            sys.stderr.write(f"{target}: {clip.frame_count} frames, {target.stat().st_size / 1e6:.2f} MB\n")


if __name__ == "__main__":
    main()
