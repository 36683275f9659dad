"""An effect that can be changed while a stream runs, within what its policy allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from configs.settings import Settings, SettingsError, unknown
from s3pot.types import OcclusionMask
from stream.effects import Effect, StandIn, effects, stand_ins
from stream.patch import Image
from stream.policy import OpenPolicy, Policy, build_privacy, policies

T = TypeVar("T")


class Switch:
    """Holds the name of what is drawn. Any thread may change it; it counts from the next frame on.

    The privacy policy decides what is hidden; here is only chosen what is shown in its place.

    Args:
        settings: of the run.

    Attributes:
        name: of what is drawn now.
        names: of what may be.
        private: whether the policy is one that hides.

    Raises:
        SettingsError: there is no such policy or effect.
    """

    def __init__(self, settings: Settings) -> None:
        if settings.privacy.policy not in policies:
            raise SettingsError(unknown("policy", settings.privacy.policy, policies))
        self._settings = settings
        self.private = settings.privacy.policy != "open"
        self.names = tuple(stand_ins if self.private else effects)
        self.name = settings.privacy.effect if self.private else settings.effect.name
        self.to(self.name)
        self._effects: dict[str, Effect] = {}
        self._stand_ins: dict[str, StandIn] = {}

    def to(self, name: str) -> None:
        """Change it.

        Raises:
            SettingsError: there is no such effect, or the policy allows it not.
        """
        if name not in self.names:
            raise SettingsError(unknown("effect", name, self.names))
        self.name = name

    def effect(self, image: Image, masks: Sequence[OcclusionMask]) -> Image:
        """Of a policy that is open."""
        return self._kept(self._effects, effects)(image, masks)

    def stand_in(self, picture: Image, source: NDArray[np.uint8], face_px: float) -> Image:
        """Of one that hides."""
        return self._kept(self._stand_ins, stand_ins)(picture, source, face_px)

    def _kept(self, built: dict[str, T], known: dict[str, Callable[[Settings], T]]) -> T:
        name = self.name
        if name not in built:
            built[name] = known[name](self._settings)
        return built[name]

    def policy(self) -> Policy:
        """A policy that draws with this; see :func:`stream.policy.build_policy`.

        It writes no audit of its own: see :mod:`stream.web.audits`.
        """
        if self.private:
            silent = self._settings.privacy.model_copy(update={"audit": ""})
            settings = self._settings.model_copy(update={"privacy": silent})
            return build_privacy(settings, self.stand_in)
        return OpenPolicy(self.effect)
