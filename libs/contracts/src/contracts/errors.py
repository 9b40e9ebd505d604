"""What can go wrong while reading or writing something that crosses a service boundary.

ContractError
├── InvalidSubjectToken     an id that would change the meaning of a NATS subject
├── NotOurSubject           a subject that no builder of ours makes
└── Undecodable             bytes that are not what the contract says
    └── UnknownEvent        a type or version that this release does not know
"""


class ContractError(Exception):
    """Something crossing a service boundary does not keep to the contract."""


class InvalidSubjectToken(ContractError, ValueError):
    """An id may hold only letters, digits, `_` and `-` (1 to 64 of them): it becomes part of a NATS subject."""


class NotOurSubject(ContractError, ValueError):
    """The subject was not made by a builder of `contracts.subjects`."""


class Undecodable(ContractError, ValueError):
    """The bytes are not valid JSON of the expected shape."""


class UnknownEvent(Undecodable):
    """The event's type or version is unknown to this release: upgrade before you read newer events."""
