"""Settings of the whole tool: TOML files, checked by pydantic. ``default.toml`` is the reference."""

from configs.settings import Settings, SettingsError, load_settings

__all__ = ["Settings", "SettingsError", "load_settings"]
