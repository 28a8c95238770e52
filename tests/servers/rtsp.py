"""A real RTSP server that plays a file, as a camera would."""

import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.servers.server import Server, ServerUnavailableError

SYSTEM_PYTHON = "/usr/bin/python3"
SCRIPT = Path(__file__).with_name("rtsp_script.py")
PROBE = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


class RtspServer(Server):
    """One clip at ``url``: every client sees it from the start, at its own pace, ``times`` times over.

    The clip is turned into H.264 unless it is that already.
    """

    name = "The RTSP server"

    def __init__(self, clip: Path, folder: Path, times: int = 1) -> None:
        _require()
        super().__init__(folder)
        self.url = f"rtsp://{self.host}:{self.port}/camera"
        self._clip = self.folder / "clip.mp4"
        _as_h264(clip, self._clip, times)

    def command(self) -> Sequence[str]:
        return [SYSTEM_PYTHON, str(SCRIPT), str(self.port), str(self._clip)]

    def answers(self) -> bool:
        question = f"DESCRIBE {self.url} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n"
        try:
            with socket.create_connection((self.host, self.port), timeout=10) as connection:
                connection.sendall(question.encode())
                return connection.recv(4096).startswith(b"RTSP/1.0 200")
        except OSError:
            return False


def _require() -> None:
    for program in ("ffmpeg", "ffprobe"):
        if shutil.which(program) is None:
            raise ServerUnavailableError(f"{program} is not installed (Debian: ffmpeg)")
    if not Path(SYSTEM_PYTHON).exists() or subprocess.run([SYSTEM_PYTHON, "-c", PROBE], capture_output=True).returncode:
        raise ServerUnavailableError(
            "GStreamer's RTSP server is not installed (Debian: gir1.2-gst-rtsp-server-1.0 python3-gi "
            "gstreamer1.0-plugins-good gstreamer1.0-plugins-bad)"
        )


def _as_h264(clip: Path, target: Path, times: int) -> None:
    probe = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=codec_name", "-of", "csv=p=0"]
    codec = subprocess.run([*probe, str(clip)], capture_output=True, text=True, check=True).stdout.strip().rstrip(",")
    coder = ["copy"] if codec == "h264" else ["libx264", "-preset", "ultrafast", "-g", "30", "-pix_fmt", "yuv420p"]
    quiet = ["ffmpeg", "-v", "error", "-nostdin", "-y"]
    subprocess.run(
        [*quiet, "-stream_loop", str(times - 1), "-i", str(clip), "-an", "-c:v", *coder, str(target)], check=True
    )
