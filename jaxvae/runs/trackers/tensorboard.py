"""Write TensorBoard events."""

import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxvae.common.optional import require


class TensorBoard:
    """Write events to `tensorboard/`; those after `first_step`, left by a killed run, are not shown.

    Events are written synchronously: on a full disk SummaryWriter's thread dies silently, and the next `add_scalar`
    waits for it for ever.
    """

    def __init__(self, workdir: Path, first_step: int):
        (workdir / "tensorboard").mkdir(exist_ok=True)
        name = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}"
        self._events = require("tensorboardX.record_writer").RecordWriter(str(workdir / "tensorboard" / name))
        self._event(0, file_version="brain.Event:2")
        if first_step:  # TensorBoard drops later events
            log = require("tensorboardX.proto.event_pb2").SessionLog
            self._event(first_step + 1, session_log=log(status=log.SessionStatus.Value("START")))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._event(step, summary=require("tensorboardX.summary").scalar(name, float(value)))
        self._events.flush()

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        self._event(step, summary=require("tensorboardX.summary").image(name, picture, dataformats="HWC"))

    def results(self, values: Mapping[str, float], files: Sequence[Path]) -> None:
        """Record nothing: TensorBoard shows the run's folder, where the results are."""

    def close(self) -> None:
        self._events.close()

    def _event(self, step: int, **content: Any) -> None:
        event = require("tensorboardX.proto.event_pb2").Event(step=step, wall_time=time.time(), **content)
        self._events.write(event.SerializeToString())
