"""What a member can be told, and what it means: URLs, durations, certificates."""

from roost.settings.arguments import SettingsArguments
from roost.settings.settings import DEFAULTS, SECRET, BadSetting, Settings

__all__ = ["DEFAULTS", "SECRET", "BadSetting", "Settings", "SettingsArguments"]
