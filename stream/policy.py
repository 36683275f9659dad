"""What may leave, between the model and all sinks: results in, results whose pictures may be shown out.

A policy takes results and gives results, in order, one for each frame that it was handed; their
``frame.image`` is what every sink shows, and nothing else of the picture goes on.  It may hold some back to
know what comes, as :mod:`stream.ahead` does, hence lists and :meth:`Policy.flush`.  (No iterators: one that
nobody runs to its end would have :meth:`Policy.blind` close nothing.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from configs.settings import Settings, SettingsError, unknown
from stream.effects import Effect, StandIn, build_effect, stand_ins
from stream.frame import Frame, FrameResult
from stream.outputs import check_path
from stream.privacy.audit import LEAK, Audit
from stream.privacy.choice import Choice
from stream.privacy.leaving import LEAK_FRAMES
from stream.privacy.policy import PrivacyPolicy


class Policy(Protocol):
    """One for a stream, called by one thread."""

    def push(self, result: FrameResult) -> list[FrameResult]:
        """One result in, in order; those that may leave now out."""
        ...

    def blind(self, frame: Frame, cause: str) -> list[FrameResult]:
        """The same for a frame of which nothing is known.

        Args:
            frame: as it came; of a new frame, or of the last one while there is no signal.
            cause: in plain lower-case words ("model raised", "time out", "no signal"); anything else
                is counted as "other", for the text of an error may hold an address.
        """
        ...

    def restarted(self, cause: str, *, ids_kept: bool = False) -> None:
        """The stream began anew; call ``flush`` before it, so that nothing old comes late.

        Args:
            cause: as above.
            ids_kept: the tracker was not reset, so that ids mean what they did.
        """
        ...

    def flush(self) -> list[FrameResult]:
        """Those held back, at the end or where the stream pauses."""
        ...

    def reset(self) -> None:
        """Another stream begins, with ids of its own; for the same one come back: ``restarted``."""
        ...

    def close(self) -> None:
        """Write what is to be written of the run."""
        ...


class OpenPolicy:
    """Fails open: the effect where something is known, else the picture as it is.

    Args:
        effect: what is drawn.
    """

    def __init__(self, effect: Effect) -> None:
        self._effect = effect

    def push(self, result: FrameResult) -> list[FrameResult]:
        """The picture with the effect."""
        image = self._effect(result.frame.image, result.masks)
        return [replace(result, frame=replace(result.frame, image=image))]

    def blind(self, frame: Frame, cause: str) -> list[FrameResult]:
        """The picture as it is."""
        return [FrameResult(frame, (), ())]

    def restarted(self, cause: str, *, ids_kept: bool = False) -> None:
        """Nothing is remembered."""

    def flush(self) -> list[FrameResult]:
        """Nothing is held back."""
        return []

    def reset(self) -> None:
        """Nothing is remembered."""

    def close(self) -> None:
        """Nothing is written."""


def build_open(settings: Settings) -> Policy:
    """The effect that the settings name."""
    return OpenPolicy(build_effect(settings))


def build_privacy(settings: Settings, stand_in: StandIn | None = None) -> Policy:
    """See :mod:`stream.privacy.policy`; ``effect.name`` is not asked, ``privacy.effect`` is.

    Args:
        settings: of the run.
        stand_in: what hides, in place of the one that the settings name.
    """
    s = settings.privacy
    if s.effect not in stand_ins:
        raise SettingsError(unknown("privacy.effect", s.effect, stand_ins))
    try:
        choice = Choice(s.who, s.ids, s.hide, s.rest)
    except ValueError as error:
        raise SettingsError(f"privacy: {error}") from None
    path = Path(s.audit) if s.audit else None
    if path is not None:
        check_path(path, None)
    audit = Audit(s.hide, s.rest, s.who, s.ids, s.effect, LEAK.format(frames=LEAK_FRAMES))
    return PrivacyPolicy(
        choice, stand_in or stand_ins[s.effect](settings), audit, audit_path=path,
        held_frames=s.held_frames, wait_seconds=s.wait_seconds, delay_frames=s.delay_frames,
    )  # fmt: skip


policies: dict[str, Callable[[Settings], Policy]] = {"open": build_open, "privacy": build_privacy}


def build_policy(settings: Settings) -> Policy:
    """The policy that the settings name.

    Raises:
        SettingsError: there is no such policy or effect, or what they say does not go together.
        SinkError: the audit cannot be written where it is to be.
        FileNotFoundError: a sticker's picture is missing.
    """
    name = settings.privacy.policy
    if name not in policies:
        raise SettingsError(unknown("policy", name, policies))
    return policies[name](settings)
