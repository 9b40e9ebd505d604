"""What Natter's services say to one another and to the outside: events, commands, frames, subjects and codes.

Import from the module that names the thing (`from contracts.events import MessageCreated`); this package
re-exports nothing, so that a reader always sees which vocabulary a name belongs to.
"""
