"""Settings: frozen structs that check themselves, read once and handed down."""

from headwater.config.describe import Described, describe, env_example, section_doc, show
from headwater.config.load import environment, load
from headwater.config.settings import (
    AdminSettings,
    BackfillSettings,
    BrokerSettings,
    DatabaseSettings,
    DeliverySettings,
    LogSettings,
    RelaySettings,
    RetentionSettings,
    Settings,
)
from headwater.config.values import AdminKey, Dsn, Secret, duration, masked, spell

__all__ = [
    "AdminKey",
    "AdminSettings",
    "BackfillSettings",
    "BrokerSettings",
    "DatabaseSettings",
    "DeliverySettings",
    "Described",
    "Dsn",
    "LogSettings",
    "RelaySettings",
    "RetentionSettings",
    "Secret",
    "Settings",
    "describe",
    "duration",
    "env_example",
    "environment",
    "load",
    "masked",
    "section_doc",
    "show",
    "spell",
]
