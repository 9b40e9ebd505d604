"""What can go wrong in the notifier.

NotifierError
├── ConfigError             the environment asks for something that this release cannot do
├── StoreError
│   ├── StoreUnavailable    Postgres cannot answer now: wait and try again
│   │   └── StoreMisconfigured  it answers, but somebody has to change something first
│   └── StoreRefused        Postgres will never take these values
├── FactsUnavailable        chat-api does not say how things stand: ask again later
├── PullBroken              the JetStream consumer no longer delivers: set it up again
└── PushError               (notifier.providers.base) a provider did not take a push
"""

from __future__ import annotations


class NotifierError(Exception):
    """The notifier could not do what it was asked."""


class ConfigError(NotifierError):
    """The configuration asks for something that this release cannot do; the text says what to set instead."""


class StoreError(NotifierError):
    """Postgres did not do what was asked."""


class StoreUnavailable(StoreError):
    """Postgres cannot answer now (away, busy, or not migrated): the same call may succeed later."""


class StoreMisconfigured(StoreUnavailable):
    """Postgres answers, but not to us: wrong password, missing database, tables or rights. Waiting alone helps not."""


class StoreRefused(StoreError):
    """Postgres refuses the values themselves: the same call never succeeds."""


class FactsUnavailable(NotifierError):
    """chat-api cannot be asked, or does not answer: nothing is decided without it."""


class PullBroken(NotifierError):
    """The consumer went silent or is gone; it has to be set up again."""
